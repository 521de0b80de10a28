//! Stores records for the audit routes.

use embedding::EmbeddingRequest;
use records::{AnyRecord, Kind, Record, Rejection, Report, Violation, parse_batch};
use serde::Serialize;
use store::{Database, NewRecord, StoredRecord};

use crate::answer::{Answer, Recorded};
use crate::log::{Receipt, preferred_wait, sign_after_response};
use crate::problem::Problem;
use crate::request::Request;
use crate::settings;

/// The items of a batch, in order, and how many of them were stored.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchResult {
    /// Number of items that are stored, now or earlier.
    pub stored: usize,
    /// Number of these that were stored earlier.
    pub replayed: usize,
    /// Number of items that are invalid and were not stored.
    pub refused: usize,
    /// What became of each item, in order.
    pub items: Vec<BatchItem>,
}

/// What became of an item.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum BatchItem {
    /// The record is stored.
    Stored(StoredItem),
    /// The item is invalid.
    Refused(RefusedItem),
}

/// A stored record.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StoredItem {
    /// 201.
    pub status: u16,
    /// Path of the record's incident.
    pub location: String,
    /// Whether the record was stored earlier, or by an earlier item of the batch.
    pub replayed: bool,
    /// What the route of a single record responds.
    #[serde(flatten)]
    pub recorded: Recorded,
}

/// Why an item is not stored: a problem (RFC 9457).
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RefusedItem {
    /// URI of the problem type.
    #[serde(rename = "type")]
    pub problem_type: String,
    /// Title of the problem type.
    pub title: &'static str,
    /// 400.
    pub status: u16,
    /// What is wrong with the item and how to correct it.
    pub detail: String,
    /// Each violated rule.
    pub errors: Vec<Violation>,
}

/// Parses and stores the record in a request.
///
/// # Errors
///
/// The record is invalid, or could not be stored; then the caller may retry.
pub fn store_record<K: Kind>(request: &Request) -> Result<Answer, Problem> {
    request.refuse_parameters()?;
    let record: AnyRecord = Record::<K>::parse(request.body(), &settings::cluster_name()?)?.into();
    let (title, correlation_id) = (record.title, record.common.correlation_id.clone());
    telemetry::name(&correlation_id);
    let database = settings::writer_database()?;
    let stored = store(&database, request, vec![record])
        .map_err(|problem| problem.about(&correlation_id))?
        .pop()
        .ok_or_else(|| Problem::internal("the record is neither stored nor refused"))?;
    let mut receipt = Receipt::of(&stored);
    let wait = preferred_wait(request);
    if let Some(wait) = wait {
        receipt.wait(&database, &stored, wait);
    }
    let answer = Answer::created(&Recorded::new(title, &stored, receipt), stored.is_replayed)?
        .with("location", incident_path(&stored))
        .about(&correlation_id);
    Ok(match wait {
        Some(wait) => answer.with("preference-applied", format!("wait={}", wait.as_secs())),
        None if stored.is_elected => answer.then(move || sign_after_response(&database)),
        None => answer,
    })
}

/// Parses and stores the batch of records in a request: all, or, if the caller prefers lenient
/// handling, the valid ones.
///
/// # Errors
///
/// Nothing is stored: the batch or an item is invalid, or the database failed; then the caller may
/// retry.
pub fn store_batch(request: &Request) -> Result<Answer, Problem> {
    request.refuse_parameters()?;
    let handling = request.preference("handling");
    let is_lenient = handling.is_some_and(|handling| handling.eq_ignore_ascii_case("lenient"));
    let cluster_name = settings::cluster_name()?;
    let items = parse_batch(request.body(), request.batch_form(), &cluster_name)
        .map_err(Problem::validation)?;
    telemetry::items_received(items.len());
    let refused = items.iter().filter(|item| item.is_err()).count();
    let correlation_id = shared_correlation_id(&items);
    if let Some(correlation_id) = &correlation_id {
        telemetry::name(correlation_id);
    }
    let about = |problem: Problem| match &correlation_id {
        Some(correlation_id) => problem.about(correlation_id),
        None => problem,
    };
    if refused == items.len() || refused > 0 && !is_lenient {
        return Err(about(refusal(items)));
    }
    let (mut valid, mut outcomes) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            Ok(record) => {
                outcomes.push(Ok(record.title));
                valid.push(record);
            }
            Err(rejection) => outcomes.push(Err(rejection)),
        }
    }
    let database = settings::batch_database()?;
    let stored = store(&database, request, valid).map_err(about)?;
    let is_elected = stored.iter().any(|stored| stored.is_elected);
    let result = BatchResult::new(outcomes, stored);
    let mut answer = match refused {
        0 => Answer::created(&result, result.replayed == result.stored)?,
        _ => Answer::partly_created(&result)?,
    };
    if is_lenient {
        answer = answer.with("preference-applied", "handling=lenient");
    }
    if let Some(correlation_id) = &correlation_id {
        answer = answer.about(correlation_id);
    }
    Ok(match is_elected {
        true => answer.then(move || sign_after_response(&database)),
        false => answer,
    })
}

fn store(
    database: &Database,
    request: &Request,
    records: Vec<AnyRecord>,
) -> Result<Vec<StoredRecord>, Problem> {
    let model = settings::embedding_model();
    let records: Vec<_> = records
        .into_iter()
        .map(|record| NewRecord {
            text: EmbeddingRequest::new(model.clone(), record.embedded_text.clone()),
            record,
        })
        .collect();
    let stored = database.write_records(
        &records,
        request.user(),
        settings::has_log_key(),
        settings::embedding_cache,
    )?;
    for (new, stored) in records.iter().zip(&stored) {
        telemetry::record_stored(new.record.kind, stored.is_replayed);
    }
    Ok(stored)
}

fn refusal(items: Vec<Result<AnyRecord, Rejection>>) -> Problem {
    let numbered = items.into_iter().enumerate();
    Problem::validation(Report::of_items(
        numbered.filter_map(|(number, item)| Some((number, item.err()?.report))),
    ))
}

/// The correlation id of all items, as far as they have one.
fn shared_correlation_id(items: &[Result<AnyRecord, Rejection>]) -> Option<String> {
    let mut ids = items.iter().filter_map(|item| match item {
        Ok(record) => Some(&record.common.correlation_id),
        Err(rejection) => rejection.correlation_id.as_ref(),
    });
    let first = ids.next()?;
    ids.all(|id| id == first).then(|| first.clone())
}

fn incident_path(stored: &StoredRecord) -> String {
    format!("/api/v1/incidents/{}", stored.incident_id)
}

impl BatchResult {
    /// `outcomes` holds the title of each stored record's kind.
    fn new(outcomes: Vec<Result<&'static str, Rejection>>, stored: Vec<StoredRecord>) -> Self {
        let replayed = stored.iter().filter(|stored| stored.is_replayed).count();
        let (total, stored_count) = (outcomes.len(), stored.len());
        let mut stored = stored.into_iter();
        let items = outcomes.into_iter().filter_map(|outcome| {
            Some(match outcome {
                Ok(title) => BatchItem::Stored(StoredItem::new(title, &stored.next()?)),
                Err(rejection) => BatchItem::Refused(Problem::from(rejection).into_item()),
            })
        });
        Self {
            items: items.collect(),
            stored: stored_count,
            replayed,
            refused: total - stored_count,
        }
    }
}

impl StoredItem {
    fn new(title: &str, stored: &StoredRecord) -> Self {
        Self {
            status: http::StatusCode::CREATED.as_u16(),
            location: incident_path(stored),
            replayed: stored.is_replayed,
            recorded: Recorded::new(title, stored, Receipt::of(stored)),
        }
    }
}
