//! Listing incidents.

use incidents::{Filter, FoundPage, ListQuery};
use spin_sdk::pg4::ParameterValue;

use crate::connection::{Database, Row};
use crate::error::{Cause, StoreError};
use crate::incident::read_summary;
use crate::parameter::{optional_text, optional_time};

/// The function is described in `migrations/`. It answers a row of nulls after the first four
/// columns where the page is empty.
const LIST_INCIDENTS: &str = "
    SELECT
        total, snapshot::text, forgotten_xid::text, cursor_key,
        id, action_history_id, action_id, alert_name, alert_severity, action_type,
        action_timestamp AT TIME ZONE 'UTC', model_used, model_confidence, execution_status,
        namespace, cluster, target_type, target_name, correlation_id
    FROM list_incidents(
        ROW($1::text, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text,
            $8::timestamp AT TIME ZONE 'UTC', $9::timestamp AT TIME ZONE 'UTC')::incident_filter,
        $10, $11, $12::text::pg_snapshot, $13, $14::timestamp AT TIME ZONE 'UTC', $15)";

impl Database {
    /// A page of the incidents that pass a filter, and how many pass, all as of one moment:
    /// now, or when the walk of the query's cursor began.
    ///
    /// # Errors
    ///
    /// The database could not be asked.
    pub fn list_incidents(&self, query: &ListQuery) -> Result<FoundPage, StoreError> {
        self.run("list the incidents", |session| {
            let walk = query.cursor.as_ref().map(incidents::Cursor::walk);
            let mut parameters = filter_parameters(&query.filter);
            parameters.extend([
                query.limit.into(),
                query.offset.into(),
                optional_text(walk.map(|walk| walk.snapshot.to_string())),
                walk.map_or(ParameterValue::DbNull, |walk| walk.total.into()),
                optional_time(walk.map(|walk| walk.last.action_timestamp)),
                walk.map_or(ParameterValue::DbNull, |walk| walk.last.id.into()),
            ]);
            read_page(session.query(LIST_INCIDENTS, &parameters)?.iter())
        })
    }
}

/// The values of an `incident_filter`.
pub(crate) fn filter_parameters(filter: &Filter) -> Vec<ParameterValue> {
    let texts = [
        &filter.namespace,
        &filter.cluster,
        &filter.action_type,
        &filter.alert_name,
        &filter.severity,
        &filter.status,
        &filter.correlation_id,
    ];
    let times = [filter.since, filter.until];
    let texts = texts.into_iter().map(|text| optional_text(text.clone()));
    texts.chain(times.into_iter().map(optional_time)).collect()
}

fn read_page<'a>(rows: impl Iterator<Item = Row<'a>>) -> Result<FoundPage, Cause> {
    let mut page = None;
    for mut row in rows {
        let head = (
            row.next()?,
            row.next::<String>()?,
            row.next::<String>()?,
            row.next()?,
        );
        let (total, snapshot, forgotten_xid, cursor_key) = head;
        let page = match &mut page {
            Some(page) => page,
            None => page.insert(FoundPage {
                total,
                snapshot: snapshot.parse().map_err(|_| Cause::Answer("no snapshot"))?,
                forgotten_xid: forgotten_xid
                    .parse()
                    .map_err(|_| Cause::Answer("no transaction"))?,
                cursor_key,
                incidents: Vec::new(),
            }),
        };
        if let Some(incident) = read_summary(&mut row)? {
            page.incidents.push(incident);
        }
    }
    page.ok_or(Cause::Answer("no row"))
}
