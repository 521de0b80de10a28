//! Embeds stored texts again with the configured model.

use std::time::{Duration, Instant};

use embedding::{Embedding, EmbeddingFailure, EmbeddingRequest, Model, embed_all_as_asked};
use incidents::{Backfill, BackfillQuery};
use records::Violation;
use serde_json::json;
use store::{Database, UnknownText};
use web::{Answer, Problem, Request};

/// No text starts later than this after the request; callers and proxies wait no longer.
const BEGUN_MAX: Duration = Duration::from_secs(10);

/// Texts read and embedded at a time; each comes with a record. A slow server embeds as many in the
/// time of one attempt.
const READ_MAX: i64 = 20;

/// Embeds texts of other models again. The request can be repeated and run beside others.
///
/// # Errors
///
/// Fails if the model or the database is unusable and no text was embedded.
pub(crate) fn backfill(request: &Request) -> Result<Answer, Problem> {
    let query = BackfillQuery::parse(request.query()).map_err(Problem::validation)?;
    let model = web::usable_model()?;
    let database = web::writer_database()?;
    let (done, failure) = embed_again(&database, &mut Provider::of(&model), query);
    let Done {
        embedded,
        failed,
        next,
    } = done;
    match failure {
        Some(failure) if embedded + failed == 0 => return Err(failure),
        _ => {}
    }
    Ok(Answer::ok(&Backfill {
        model: model.name().to_owned(),
        embedded,
        failed,
        left: database.count_unknown_texts(model.name(), i64::MAX)?,
        next,
    })?)
}

struct Done {
    embedded: i64,
    failed: i64,
    /// Id up to which all texts were embedded or failed; `None` at the end.
    next: Option<i64>,
}

/// Embeds until the limits or until a failure that concerns more than one text.
fn embed_again(
    database: &Database,
    provider: &mut Provider<'_>,
    query: BackfillQuery,
) -> (Done, Option<Problem>) {
    let until = Instant::now() + BEGUN_MAX;
    let mut after = query.after;
    let mut done = Done {
        embedded: 0,
        failed: 0,
        next: Some(after),
    };
    loop {
        let wanted = query.limit - done.embedded - done.failed;
        // At the limit, one text shows whether any remain.
        let count = wanted.clamp(1, READ_MAX);
        let texts = match database.find_unknown_texts(provider.model.name(), after, count) {
            Ok(texts) => texts,
            Err(error) => return (done, Some(error.into())),
        };
        if texts.is_empty() {
            done.next = None;
            return (done, None);
        }
        if wanted == 0 || Instant::now() > until {
            return (done, None);
        }
        for text in provider.embed_together(texts) {
            let is_late = Instant::now() > until && done.embedded + done.failed > 0;
            if is_late && !text.is_embedded() {
                return (done, None);
            }
            match renew(database, provider, &text, until) {
                Ok(Renewal::Done) => done.embedded += 1,
                Ok(Renewal::Failed) => done.failed += 1,
                Ok(Renewal::Begun) => return (done, None),
                Err(problem) => return (done, Some(problem)),
            }
            after = text.unknown.id;
            done.next = Some(after);
        }
    }
}

/// A text that another model embedded, and what the configured model made of it.
struct Text {
    unknown: UnknownText,
    /// `None` if no record has the text, or it is blank.
    asked: Option<Asked>,
}

struct Asked {
    request: EmbeddingRequest,
    embedded: Result<Embedding, EmbeddingFailure>,
    is_alone: bool,
}

impl Text {
    fn is_embedded(&self) -> bool {
        let asked = self.asked.as_ref();
        asked.is_some_and(|asked| asked.embedded.is_ok())
    }
}

/// The configured model during a request.
struct Provider<'a> {
    model: &'a Model,
    /// Whether a trial has succeeded.
    is_up: bool,
}

impl<'a> Provider<'a> {
    fn of(model: &'a Model) -> Self {
        Self {
            model,
            is_up: false,
        }
    }

    /// Embeds texts, with one call if the provider takes so many.
    fn embed_together(&self, texts: Vec<UnknownText>) -> Vec<Text> {
        let request = |unknown: &UnknownText| {
            let request = EmbeddingRequest::new(self.model.clone(), unknown.text.clone()?);
            (request.key().model == self.model.name()).then_some(request)
        };
        let requests: Vec<_> = texts.iter().map(request).collect();
        let asked: Vec<_> = requests.iter().flatten().collect();
        let is_alone = asked.len() == 1;
        let mut embedded = embed_all_as_asked(&asked, web::embedding_cache).into_iter();
        let mut asked = |request| {
            Some(Asked {
                request,
                embedded: embedded.next()?,
                is_alone,
            })
        };
        let texts = texts.into_iter().zip(requests);
        texts
            .map(|(unknown, request)| Text {
                unknown,
                asked: request.and_then(&mut asked),
            })
            .collect()
    }

    /// Embeds a text again that failed with others, if the provider is up: one text can fail all.
    fn embed_alone(
        &mut self,
        request: &EmbeddingRequest,
    ) -> Result<Result<Embedding, EmbeddingFailure>, Problem> {
        if !self.is_up {
            self.try_out()?;
        }
        let embedded = embed_all_as_asked(&[request], web::embedding_cache).pop();
        Ok(embedded.unwrap_or(Err(EmbeddingFailure::Unavailable)))
    }

    fn try_out(&mut self) -> Result<(), Problem> {
        self.model.try_out().map_err(unavailable)?;
        self.is_up = true;
        Ok(())
    }
}

fn unavailable(fault: Option<(&'static str, String)>) -> Problem {
    let errors = fault.map(|(variable, message)| Violation::new(variable, "readiness", message));
    Problem::unavailable(
        "the embedding provider is unavailable; retry the same request",
        errors.into_iter().collect(),
    )
}

enum Renewal {
    Done,
    Failed,
    /// Time ran out before all records with the text referred to the new vector.
    Begun,
}

fn renew(
    database: &Database,
    provider: &mut Provider<'_>,
    text: &Text,
    until: Instant,
) -> Result<Renewal, Problem> {
    let id = text.unknown.id;
    let fail = |error: &str| {
        telemetry::warn(
            "cannot embed a stored text again",
            json!({"embedding": id, "error": error}),
        );
        Ok(Renewal::Failed)
    };
    let Some(asked) = &text.asked else {
        return match text.unknown.text {
            Some(_) => fail("the text is blank"),
            None if database.remove_unused_embedding(id)? => Ok(Renewal::Done),
            None => fail("no record has this text any more"),
        };
    };
    let embedded = match &asked.embedded {
        Err(EmbeddingFailure::Unavailable) if !asked.is_alone => {
            &provider.embed_alone(&asked.request)?
        }
        embedded => embedded,
    };
    match embedded {
        Ok(embedding) => Ok(match database.renew_embedding(id, embedding, until)? {
            true => Renewal::Done,
            false => Renewal::Begun,
        }),
        // A trial tells a failure on this text from a failure of the provider.
        Err(failure) => {
            provider.try_out()?;
            fail(match failure {
                EmbeddingFailure::Refused => "the provider refuses the text",
                EmbeddingFailure::Unavailable => "the provider fails on the text",
            })
        }
    }
}
