//! Embeds stored texts again with the configured model.

use std::time::{Duration, Instant};

use embedding::{EmbeddingFailure, EmbeddingRequest, Model};
use incidents::{Backfill, BackfillQuery};
use records::Violation;
use serde_json::json;
use store::{Database, UnknownText};
use web::{Answer, Problem, Request};

/// No text starts later than this after the request; callers and proxies wait no longer.
const BEGUN_MAX: Duration = Duration::from_secs(10);

/// Texts read at a time; each comes with a record.
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
    let (done, failure) = embed_again(&database, &model, query);
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
    model: &Model,
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
        // One more text shows whether any remain.
        let read = database.find_unknown_texts(model.name(), after, (wanted + 1).min(READ_MAX));
        let texts = match read {
            Ok(texts) => texts,
            Err(error) => return (done, Some(error.into())),
        };
        if texts.is_empty() {
            done.next = None;
            return (done, None);
        }
        for text in texts {
            if done.embedded + done.failed == query.limit || Instant::now() > until {
                return (done, None);
            }
            match renew(database, model, &text, until) {
                Ok(Renewal::Done) => done.embedded += 1,
                Ok(Renewal::Failed) => done.failed += 1,
                Ok(Renewal::Begun) => return (done, None),
                Err(problem) => return (done, Some(problem)),
            }
            after = text.id;
            done.next = Some(after);
        }
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
    model: &Model,
    unknown: &UnknownText,
    until: Instant,
) -> Result<Renewal, Problem> {
    let fail = |error: &str| {
        telemetry::warn(
            "cannot embed a stored text again",
            json!({"embedding": unknown.id, "error": error}),
        );
        Ok(Renewal::Failed)
    };
    let Some(text) = &unknown.text else {
        return match database.remove_unused_embedding(unknown.id)? {
            true => Ok(Renewal::Done),
            false => fail("no record has this text any more"),
        };
    };
    let request = EmbeddingRequest::new(model.clone(), text.clone());
    if request.key().model != model.name() {
        return fail("the text is blank");
    }
    match request.embed_as_asked(web::embedding_cache) {
        Ok(embedding) => Ok(
            match database.renew_embedding(unknown.id, &embedding, until)? {
                true => Renewal::Done,
                false => Renewal::Begun,
            },
        ),
        // A trial tells a failure on this text from a failure of the provider.
        Err(failure) => match (model.try_out(), failure) {
            (Ok(()), EmbeddingFailure::Refused) => fail("the provider refuses the text"),
            (Ok(()), EmbeddingFailure::Unavailable) => fail("the provider fails on the text"),
            (Err(fault), _) => Err(unavailable(fault)),
        },
    }
}
