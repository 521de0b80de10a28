//! Requests reviews from the API server.

use std::fmt;
use std::time::{Duration, Instant};

use http_client::{Failure, Post};

use crate::Verb;
use crate::settings::{Mode, Reviewer};
use crate::token::BearerToken;
use crate::verdict::Verdict;
use crate::wire::{self, Malformed, ReviewKind};

/// Time limit of both reviews together: a caller should not wait longer for a 503.
const REVIEW_TIME_MAX: Duration = Duration::from_secs(2);

/// Size limit of a response, which repeats the token and can list hundreds of groups.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

const STATUS_UNAUTHORIZED: u16 = 401;

/// Why there is no verdict, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    question: ReviewKind,
    cause: Cause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Failure(Failure),
    Status(u16),
    Malformed(Malformed),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: ", self.question.kind())?;
        match self.cause {
            Cause::Failure(Failure::NotGranted) => f.write_str(
                "the host denies the connection; spin.toml must allow kubernetes_api_url",
            ),
            Cause::Failure(Failure::Unsendable) => f.write_str("the host refused the request"),
            Cause::Failure(Failure::TimedOut) => f.write_str("no response in time"),
            Cause::Failure(Failure::Connection(problem)) => f.write_str(problem),
            Cause::Failure(Failure::TooLong) => f.write_str("the response is too long"),
            Cause::Status(status) => write!(f, "status {status}"),
            Cause::Malformed(problem) => f.write_str(problem),
        }
    }
}

struct Asker<'a> {
    reviewer: &'a Reviewer,
    token: &'a BearerToken,
    begun: Instant,
}

/// A successful response, or that the API server rejected the token.
enum Answer {
    Body(Vec<u8>),
    Unauthorized,
}

impl Reviewer {
    pub(crate) fn ask(&self, token: &BearerToken, verb: Verb) -> Result<Verdict, Trouble> {
        let begun = Instant::now();
        match &self.mode {
            Mode::TokenReview {
                own_token,
                audiences,
            } => {
                let asker = Asker {
                    reviewer: self,
                    token: own_token,
                    begun,
                };
                asker.ask_about(token, audiences, verb)
            }
            Mode::SelfReview => {
                let asker = Asker {
                    reviewer: self,
                    token,
                    begun,
                };
                asker.ask_about_itself(verb)
            }
        }
    }
}

impl Asker<'_> {
    fn ask_about(
        &self,
        token: &BearerToken,
        audiences: &[String],
        verb: Verb,
    ) -> Result<Verdict, Trouble> {
        let question = ReviewKind::TokenReview;
        let body = self.ask_as_service(question, &wire::token_review(token, audiences))?;
        let user = wire::read_token_review(&body, audiences).map_err(malformed(question))?;
        let Some(user) = user else {
            return Ok(Verdict::Unauthenticated);
        };
        let question = ReviewKind::SubjectAccessReview;
        let asked = wire::subject_access_review(&user, &self.reviewer.namespace, verb);
        let body = self.ask_as_service(question, &asked)?;
        let may = wire::read_access_review(question, &body).map_err(malformed(question))?;
        verdict(&user, may, question)
    }

    fn ask_about_itself(&self, verb: Verb) -> Result<Verdict, Trouble> {
        let question = ReviewKind::SelfSubjectReview;
        let body = match self.ask(question, &wire::self_subject_review())? {
            Answer::Body(body) => body,
            Answer::Unauthorized => return Ok(Verdict::Unauthenticated),
        };
        let user = wire::read_self_subject_review(&body).map_err(malformed(question))?;
        let question = ReviewKind::SelfSubjectAccessReview;
        let asked = wire::self_subject_access_review(&self.reviewer.namespace, verb);
        let body = match self.ask(question, &asked)? {
            Answer::Body(body) => body,
            // The token expired between the two reviews.
            Answer::Unauthorized => return Ok(Verdict::Unauthenticated),
        };
        let may = wire::read_access_review(question, &body).map_err(malformed(question))?;
        verdict(&user, may, question)
    }

    /// Sends a review with the service's token. Its rejection is not the caller's fault.
    fn ask_as_service(&self, question: ReviewKind, body: &[u8]) -> Result<Vec<u8>, Trouble> {
        match self.ask(question, body)? {
            Answer::Body(body) => Ok(body),
            Answer::Unauthorized => Err(Trouble {
                question,
                cause: Cause::Status(STATUS_UNAUTHORIZED),
            }),
        }
    }

    fn ask(&self, question: ReviewKind, body: &[u8]) -> Result<Answer, Trouble> {
        let trouble = |cause| Trouble { question, cause };
        let failed = |failure| trouble(Cause::Failure(failure));
        let left = REVIEW_TIME_MAX.saturating_sub(self.begun.elapsed());
        let post = Post {
            address: &self.reviewer.api,
            path: question.path(),
            credentials: Some(("authorization", self.token.authorization())),
            body,
        };
        let response = post.send(left).map_err(failed)?;
        match response.status() {
            200 | 201 => {}
            STATUS_UNAUTHORIZED => return Ok(Answer::Unauthorized),
            // Redirects are not followed: only the API server may see the token.
            status => return Err(trouble(Cause::Status(status))),
        }
        if !response.content_type().is_some_and(|given| is_json(&given)) {
            return Err(trouble(Cause::Malformed(
                "the response is not of type application/json",
            )));
        }
        let body = response.read_body(ANSWER_BYTES_MAX).map_err(failed)?;
        Ok(Answer::Body(body))
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

fn malformed(question: ReviewKind) -> impl FnOnce(Malformed) -> Trouble {
    move |problem| Trouble {
        question,
        cause: Cause::Malformed(problem),
    }
}

fn verdict(user: &wire::User, may: bool, question: ReviewKind) -> Result<Verdict, Trouble> {
    if may {
        let name = user.name().map_err(malformed(question))?;
        Ok(Verdict::Admitted(name))
    } else {
        Ok(Verdict::Forbidden)
    }
}
