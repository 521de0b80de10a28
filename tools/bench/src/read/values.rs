//! Values to ask for, chosen from the database: the same ones for the same incidents.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use chrono::{DateTime, Datelike as _, Months, SecondsFormat, TimeDelta, Utc};
use tokio_postgres::Client;

/// Query parameters.
pub(super) type Parameters = Vec<(&'static str, String)>;

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
const OF_INCIDENT: [&str; 5] = [
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

/// The values to choose from.
pub(super) struct Values {
    groups: Vec<Group>,
    /// All incidents.
    pub(super) incidents: i64,
    /// The incident in the middle of all ids.
    pub(super) incident_id: i64,
    /// Its values that few others share.
    pub(super) of_incident: Parameters,
    /// The beginning (UTC) of the day with the most incidents.
    busiest_day: DateTime<Utc>,
}

/// The incidents with one value, or with two values of different parameters.
struct Group {
    values: Parameters,
    incidents: i64,
    /// The incidents with the rarer of its values.
    with_rarer: i64,
}

impl Values {
    /// Reads them from the database.
    pub(super) async fn read(client: &Client) -> Result<Self> {
        let incidents = client
            .query_one("SELECT count(*) FROM incidents", &[])
            .await
            .and_then(|row| row.try_get(0))
            .context("count the incidents")?;
        let columns = OF_INCIDENT.join("::text, ");
        let example = format!(
            "SELECT id, {columns}::text FROM incidents WHERE {LOADED} AND id >= ( \
                 SELECT (min(id) + max(id)) / 2 FROM incidents WHERE {LOADED}) \
             ORDER BY id LIMIT 1"
        );
        let example = client
            .query_opt(&example, &[])
            .await
            .context("find an incident")?
            .context("there are no incidents: fill an empty database with `bench load`")?;
        let mut of_incident = Vec::new();
        for (index, name) in (1..).zip(OF_INCIDENT) {
            let value: Option<String> = example.try_get(index)?;
            of_incident.extend(value.map(|value| (name, value)));
        }
        let busiest_day = format!(
            "SELECT date_trunc('day', opened_at, 'UTC') AS day FROM incidents \
             WHERE {LOADED} GROUP BY day ORDER BY count(*) DESC, day LIMIT 1"
        );
        let busiest_day = client
            .query_one(&busiest_day, &[])
            .await
            .and_then(|row| row.try_get(0))
            .context("find the busiest day")?;
        Ok(Self {
            groups: groups(count_values(client).await?),
            incidents,
            incident_id: example.try_get(0)?,
            of_incident,
            busiest_day,
        })
    }

    /// The most common value of a parameter.
    pub(super) fn common(&self, parameter: &str) -> Option<Parameters> {
        let groups = self.singles(parameter);
        selected(groups.min_by_key(|group| (-group.incidents, &group.values)))
    }

    /// The rarest value of a parameter that more than `floor` incidents have.
    pub(super) fn rarest_above(&self, parameter: &str, floor: i64) -> Option<Parameters> {
        let groups = self.singles(parameter);
        let groups = groups.filter(|group| group.incidents > floor);
        selected(groups.min_by_key(|group| (group.incidents, &group.values)))
    }

    /// Two common values that are rare together: of the pairs of at most [`LIST_FEW_MAX`] incidents
    /// the one whose rarer value is the most common.
    pub(super) fn pair_of_few(&self) -> Option<Parameters> {
        let pairs = self.groups.iter().filter(|group| group.values.len() == 2);
        let few = pairs.filter(|group| group.incidents <= LIST_FEW_MAX);
        selected(few.min_by_key(|group| (-group.with_rarer, group.incidents, &group.values)))
    }

    /// The pair with the longest walk: of the pairs of more than [`LIST_FEW_MAX`] incidents the one
    /// with the most incidents of its rarer value for each of its own.
    pub(super) fn pair_of_many(&self) -> Option<Parameters> {
        let pairs = self.groups.iter().filter(|group| group.values.len() == 2);
        let many = pairs.filter(|group| group.incidents > LIST_FEW_MAX);
        let walk = |group: &Group| group.with_rarer as f64 / group.incidents as f64;
        selected(many.max_by(|one, other| {
            let by_walk = walk(one).total_cmp(&walk(other));
            by_walk.then_with(|| other.values.cmp(&one.values))
        }))
    }

    fn singles(&self, parameter: &str) -> impl Iterator<Item = &Group> {
        let groups = self.groups.iter();
        groups.filter(move |group| matches!(group.values.as_slice(), [(of, _)] if *of == parameter))
    }

    /// The busiest day, from its first to its last microsecond.
    pub(super) fn day(&self) -> Parameters {
        range(self.busiest_day, self.busiest_day + TimeDelta::days(1))
    }

    /// The month of that day.
    pub(super) fn month(&self) -> Option<Parameters> {
        let since = self.busiest_day.with_day(1)?;
        Some(range(since, since.checked_add_months(Months::new(1))?))
    }
}

fn selected(group: Option<&Group>) -> Option<Parameters> {
    Some(group?.values.clone())
}

/// The range from one instant to the microsecond before another.
fn range(since: DateTime<Utc>, end: DateTime<Utc>) -> Parameters {
    let until = end - TimeDelta::microseconds(1);
    let written = |instant: DateTime<Utc>| instant.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    vec![("since", written(since)), ("until", written(until))]
}

/// Counts the incidents of every value of every facet, and of every two values.
async fn count_values(client: &Client) -> Result<Vec<(Parameters, i64)>> {
    let columns = FACETS.map(|(_, column)| column);
    let mut sets = Vec::new();
    for (index, one) in columns.iter().enumerate() {
        sets.push(format!("({one})"));
        let others = columns.iter().skip(index + 1);
        sets.extend(others.map(|other| format!("({one}, {other})")));
    }
    let (all, sets) = (columns.join(", "), sets.join(", "));
    // GROUPING tells a missing value from a column that does not matter.
    let statement = format!(
        "SELECT {all}, {} - bit_count(GROUPING({all})::bit(32))::integer, count(*) \
         FROM incidents WHERE {LOADED} GROUP BY GROUPING SETS ({sets})",
        columns.len()
    );
    let rows = client.query(&statement, &[]).await;
    let mut counted = Vec::new();
    for row in rows.context("count the incidents by their values")? {
        let mut values = Vec::new();
        for (index, (parameter, _)) in FACETS.iter().enumerate() {
            let value: Option<String> = row.try_get(index)?;
            values.extend(value.map(|value| (*parameter, value)));
        }
        // Nobody can ask for incidents without a value.
        if values.len() == usize::try_from(row.try_get::<_, i32>(columns.len())?)? {
            counted.push((values, row.try_get(columns.len() + 1)?));
        }
    }
    Ok(counted)
}

fn groups(counted: Vec<(Parameters, i64)>) -> Vec<Group> {
    let mut alone = HashMap::new();
    for (values, incidents) in &counted {
        if let [value] = values.as_slice() {
            alone.insert(value.clone(), *incidents);
        }
    }
    let group = |(values, incidents): (Parameters, i64)| Group {
        with_rarer: values
            .iter()
            .filter_map(|value| alone.get(value).copied())
            .min()
            .unwrap_or(0),
        values,
        incidents,
    };
    counted.into_iter().map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(counts: &[(&[(&'static str, &str)], i64)]) -> Values {
        let owned = |values: &[(&'static str, &str)]| {
            let values = values.iter();
            values
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect()
        };
        let counted = counts.iter().map(|(values, count)| (owned(values), *count));
        Values {
            groups: groups(counted.collect()),
            incidents: 1,
            incident_id: 1,
            of_incident: Vec::new(),
            busiest_day: "2026-02-03T00:00:00Z".parse().unwrap(),
        }
    }

    fn shown(parameters: Option<Parameters>) -> String {
        let values = parameters.into_iter().flatten().map(|(_, value)| value);
        values.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_runs_write_is_not_asked_for() {
        assert!(LOADED.contains(&format!("'{}'", crate::record::PREFIX)));
    }

    #[test]
    fn ranges_end_with_the_last_microsecond() {
        let (day, month) = (values(&[]).day(), values(&[]).month());
        assert_eq!(
            shown(Some(day)),
            "2026-02-03T00:00:00Z 2026-02-03T23:59:59.999999Z"
        );
        assert_eq!(
            shown(month),
            "2026-02-01T00:00:00Z 2026-02-28T23:59:59.999999Z"
        );
    }

    #[test]
    fn values_and_pairs_are_chosen_by_how_many_incidents_have_them() {
        let values = values(&[
            (&[("namespace", "a")], 90_000),
            (&[("namespace", "b")], 10),
            (&[("severity", "high")], 60_000),
            (&[("severity", "low")], 40_000),
            (&[("status", "failed")], 30_000),
            // Rare together, but one of its values is rare anyway.
            (&[("namespace", "b"), ("severity", "high")], 1),
            (&[("namespace", "a"), ("status", "failed")], 10_000),
            (&[("namespace", "a"), ("severity", "low")], 9_999),
            // 6 and 2.5 incidents of the rarer value for each.
            (&[("severity", "high"), ("namespace", "a")], 10_001),
            (&[("severity", "low"), ("status", "failed")], 12_000),
        ]);
        assert_eq!(shown(values.common("namespace")), "a");
        assert_eq!(shown(values.rarest_above("namespace", 0)), "b");
        assert_eq!(shown(values.rarest_above("severity", 40_000)), "high");
        assert_eq!(values.rarest_above("namespace", 90_000), None);
        assert_eq!(shown(values.pair_of_few()), "a low");
        assert_eq!(shown(values.pair_of_many()), "high a");
    }
}
