//! Values to ask for, chosen from the database: the same ones for the same incidents.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

/// Query parameters.
pub(super) type Parameters = Vec<(String, String)>;

/// SQL condition of the incidents that no benchmark wrote ([`crate::record::PREFIX`]), so that every
/// run asks for the same.
pub(crate) const LOADED: &str = "NOT starts_with(correlation_id, 'bench-')";

/// Values that many incidents share: the parameter and the column of `incidents`.
pub(super) const FACETS: [(&str, &str); 9] = [
    ("namespace", "namespace"),
    ("cluster", "cluster"),
    ("environment", "environment"),
    ("target_type", "target_type"),
    ("workflow_name", "workflow_name"),
    ("action_type", "action_type"),
    ("alert_name", "alert_name"),
    ("severity", "alert_severity"),
    ("status", "execution_status"),
];

/// Values that few incidents share: parameters that are also columns.
pub(super) const OF_INCIDENT: [&str; 5] = [
    "correlation_id",
    "remediation_name",
    "fingerprint",
    "target_name",
    "action_history_id",
];

/// `list_incidents` sorts up to so many incidents and walks through time for more.
const LIST_FEW_MAX: i64 = 10_000;

/// `search_incidents` compares the texts of up to so many incidents and uses an index for more.
pub(super) const SEARCH_FEW_MAX: i64 = 30_000;

/// Two values of different facets, and the incidents with the rarer of them.
const PAIRS: &str = "\
    SELECT pair.values, pair.incidents, min(alone.incidents) AS with_rarer \
    FROM value_counts AS pair CROSS JOIN jsonb_each(pair.values) AS one \
    JOIN value_counts AS alone ON alone.values = jsonb_build_object(one.key, one.value) \
    WHERE pair.facets = 2 GROUP BY pair.values, pair.incidents";

/// Counts the incidents of every value of every facet, and of every two values, in a temporary table
/// that the functions below choose from.
pub(super) async fn count(client: &Client) -> Result<()> {
    let columns = FACETS.map(|(_, column)| column);
    let mut sets = Vec::new();
    for (index, one) in columns.iter().enumerate() {
        sets.push(format!("({one})"));
        let others = columns.iter().skip(index + 1);
        sets.extend(others.map(|other| format!("({one}, {other})")));
    }
    let (all, sets) = (columns.join(", "), sets.join(", "));
    // GROUPING tells a missing value, which nobody can ask for, from a column that does not matter.
    let statement = format!(
        "CREATE TEMP TABLE value_counts AS SELECT * FROM ( \
             SELECT {} AS values, {} - bit_count(GROUPING({all})::bit(32)) AS facets, \
                 count(*) AS incidents \
             FROM incidents WHERE {LOADED} GROUP BY GROUPING SETS ({sets})) AS counted \
         WHERE facets = (SELECT count(*) FROM jsonb_object_keys(values)); \
         ANALYZE value_counts",
        object(FACETS),
        columns.len()
    );
    let counted = client.batch_execute(&statement).await;
    counted.context("count the incidents by their values")
}

/// The most common value of a facet.
pub(super) async fn common(client: &Client, facet: &str) -> Result<Option<Parameters>> {
    let statement = "SELECT values::text FROM value_counts WHERE facets = 1 AND values ? $1 \
        ORDER BY incidents DESC, values LIMIT 1";
    choose(client, statement, &[&facet]).await
}

/// The rarest value of a facet that more than `floor` incidents have.
pub(super) async fn rarest_above(
    client: &Client,
    facet: &str,
    floor: i64,
) -> Result<Option<Parameters>> {
    let statement = "SELECT values::text FROM value_counts WHERE facets = 1 AND values ? $1 \
        AND incidents > $2 ORDER BY incidents, values LIMIT 1";
    choose(client, statement, &[&facet, &floor]).await
}

/// Two common values that are rare together: of the pairs of at most [`LIST_FEW_MAX`] incidents
/// the one whose rarer value is the most common.
pub(super) async fn pair_of_few(client: &Client) -> Result<Option<Parameters>> {
    let statement = format!(
        "SELECT values::text FROM ({PAIRS}) AS pairs WHERE incidents <= $1 \
         ORDER BY with_rarer DESC, incidents, values LIMIT 1"
    );
    choose(client, &statement, &[&LIST_FEW_MAX]).await
}

/// The pair with the longest walk: of the pairs of more than [`LIST_FEW_MAX`] incidents the one
/// with the most incidents of its rarer value for each of its own.
pub(super) async fn pair_of_many(client: &Client) -> Result<Option<Parameters>> {
    let statement = format!(
        "SELECT values::text FROM ({PAIRS}) AS pairs WHERE incidents > $1 \
         ORDER BY with_rarer::double precision / incidents DESC, values LIMIT 1"
    );
    choose(client, &statement, &[&LIST_FEW_MAX]).await
}

/// The `day` (UTC) with the most incidents or its `month`, from the first to the last microsecond.
pub(super) async fn busiest(client: &Client, unit: &str) -> Result<Option<Parameters>> {
    let time = |time: &str| format!("to_char({time}, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");
    let statement = format!(
        "SELECT jsonb_build_object('since', {}, 'until', {})::text FROM ( \
             SELECT date_trunc('day', opened_at AT TIME ZONE 'UTC') AS day FROM incidents \
             WHERE {LOADED} GROUP BY day ORDER BY count(*) DESC, day LIMIT 1) AS busiest, \
         LATERAL (SELECT date_trunc($1, day) AS first) AS unit",
        time("first"),
        time("first + ('1 ' || $1)::interval - '1 microsecond'::interval"),
    );
    choose(client, &statement, &[&unit]).await
}

/// The incident in the middle of all ids, and its values that few others share.
pub(super) async fn example(client: &Client) -> Result<(i64, Parameters)> {
    let statement = format!(
        "SELECT {}::text, id FROM incidents WHERE {LOADED} AND id >= ( \
             SELECT (min(id) + max(id)) / 2 FROM incidents WHERE {LOADED}) ORDER BY id LIMIT 1",
        object(OF_INCIDENT.map(|name| (name, name)))
    );
    let row = client.query_opt(&statement, &[]).await;
    let row = row
        .context("find an incident")?
        .context("there are no incidents: fill an empty database with `bench load`")?;
    Ok((row.try_get(1)?, parameters(row.try_get(0)?)?))
}

/// SQL of an object with the columns that are not NULL.
fn object<const N: usize>(columns: [(&str, &str); N]) -> String {
    let members = columns.map(|(name, column)| format!("'{name}', {column}::text"));
    format!(
        "jsonb_strip_nulls(jsonb_build_object({}))",
        members.join(", ")
    )
}

async fn choose(
    client: &Client,
    statement: &str,
    arguments: &[&(dyn ToSql + Sync)],
) -> Result<Option<Parameters>> {
    let row = client.query_opt(statement, arguments).await;
    match row.context("choose values to ask for")? {
        None => Ok(None),
        Some(row) => parameters(row.try_get(0)?).map(Some),
    }
}

fn parameters(object: &str) -> Result<Parameters> {
    let values: BTreeMap<String, String> =
        serde_json::from_str(object).context("read the values to ask for")?;
    Ok(values.into_iter().collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_runs_write_is_not_asked_for() {
        assert!(super::LOADED.contains(&format!("'{}'", crate::record::PREFIX)));
    }
}
