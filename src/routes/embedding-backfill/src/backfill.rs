//! Embedding texts again with the configured model.

use std::time::{Duration, Instant};

use embedding::{EmbeddingFailure, EmbeddingRequest, Model};
use incidents::{Backfill, BackfillQuery};
use serde_json::json;
use store::{Database, UnknownText};
use web::{Answer, Problem, Request};

/// No text is begun later than this after the request: a caller, and what stands before the service,
/// waits no longer.
const BEGUN_MAX: Duration = Duration::from_secs(10);

/// So many texts are read at a time: each comes with a record.
const READ_MAX: i64 = 20;

/// A provider that leaves so many texts in a row without an answer is down. One that fails on a text is
/// passed by.
const UNANSWERED_MAX: i64 = 3;

/// Embeds texts again that another model than the configured one embedded.
///
/// What is done stays done, whatever ends the request; it can be sent again, beside others and
/// beside writes.
///
/// # Errors
///
/// The model cannot be used, or the database; nothing was embedded.
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
    Answer::ok(&Backfill {
        model: model.name().to_owned(),
        embedded,
        failed,
        left: database.count_unknown_texts(model.name(), i64::MAX)?,
        next,
    })
}

#[derive(Default)]
struct Done {
    embedded: i64,
    failed: i64,
    /// Up to where all texts were embedded or failed; `None` at the end.
    next: Option<i64>,
}

/// Does as much as there is time for, until something fails that is not about single texts.
fn embed_again(
    database: &Database,
    model: &Model,
    query: BackfillQuery,
) -> (Done, Option<Problem>) {
    let begun = Instant::now();
    let mut done = Done {
        next: Some(query.after),
        ..Done::default()
    };
    let mut after = query.after;
    // How many the provider left without an answer since it last gave one.
    let mut unanswered = 0;
    loop {
        let wanted = query.limit - done.embedded - done.failed - unanswered;
        // One more tells whether there are more.
        let read = database.find_unknown_texts(model.name(), after, (wanted + 1).min(READ_MAX));
        let texts = match read {
            Ok(texts) => texts,
            Err(error) => return (done, Some(error.into())),
        };
        if texts.is_empty() {
            if unanswered > 0 && done.embedded + done.failed == 0 {
                return (done, Some(no_answer()));
            }
            done.failed += unanswered;
            done.next = None;
            return (done, None);
        }
        for text in texts {
            let tried = done.embedded + done.failed + unanswered;
            if tried == query.limit || begun.elapsed() > BEGUN_MAX {
                return (done, (unanswered > 0).then(no_answer));
            }
            after = text.id;
            match renew(database, model, &text) {
                Ok(Renewal::Unanswered) if unanswered + 1 == UNANSWERED_MAX => {
                    return (done, Some(no_answer()));
                }
                Ok(Renewal::Unanswered) => unanswered += 1,
                Ok(renewal) => {
                    // It answers: those before were about their texts.
                    done.failed += unanswered + i64::from(renewal == Renewal::Refused);
                    done.embedded += i64::from(renewal == Renewal::Embedded);
                    unanswered = 0;
                    done.next = Some(after);
                }
                Err(problem) => return (done, Some(problem)),
            }
        }
    }
}

fn no_answer() -> Problem {
    Problem::unavailable(
        "the provider of embeddings is not available; the same request may be sent again",
        Vec::new(),
    )
}

#[derive(PartialEq, Eq)]
enum Renewal {
    Embedded,
    /// The text cannot be embedded by this model.
    Refused,
    /// The provider is down, or fails on this text.
    Unanswered,
}

/// Embeds one text again.
fn renew(database: &Database, model: &Model, unknown: &UnknownText) -> Result<Renewal, Problem> {
    let refuse = |error: &str| {
        telemetry::warn(
            "text not embedded again",
            json!({"embedding": unknown.id, "error": error}),
        );
        Ok(Renewal::Refused)
    };
    let Some(text) = &unknown.text else {
        return refuse("no record says it any more");
    };
    let request = EmbeddingRequest::new(model.clone(), text.clone());
    if request.key().model != model.name() {
        return refuse("it is blank");
    }
    match request.embed_as_asked(web::embedding_cache) {
        Ok(embedding) => {
            database.renew_embedding(unknown.id, &embedding)?;
            Ok(Renewal::Embedded)
        }
        Err(EmbeddingFailure::Refused) => refuse("the provider refuses it"),
        Err(EmbeddingFailure::Unavailable) => Ok(Renewal::Unanswered),
    }
}
