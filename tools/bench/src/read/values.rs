//! The values that the measures ask for, chosen from the database itself: the same again for
//! the same incidents.

use anyhow::{Context as _, Result};
use chrono::{DateTime, Months, SecondsFormat, TimeDelta, Utc};
use tokio_postgres::Client;

use super::groups::Groups;

/// What a request asks for, parameter by parameter.
pub(crate) type Parameters = Vec<(&'static str, String)>;

/// The incidents that values are chosen from: not those that the writes of an earlier run made,
/// so that the next one asks for the same. A part of SQL; its start is that of
/// [`crate::record::PREFIX`].
pub(crate) const LOADED: &str = "NOT starts_with(correlation_id, 'bench-')";

/// What an incident has that few others have, or none.
const OF_INCIDENT: [&str; 5] = [
    "correlation_id",
    "remediation_name",
    "fingerprint",
    "target_name",
    "action_history_id",
];

/// What there is to ask for.
pub(crate) struct Values {
    /// How many incidents have which values.
    pub(crate) groups: Groups,
    /// How many there are.
    pub(crate) incidents: i64,
    /// An incident: the one in the middle of all ids.
    pub(crate) incident_id: i64,
    /// What few others have in common with it, or none, parameter by parameter.
    pub(crate) of_incident: Parameters,
    /// When the day with the most incidents begins (UTC).
    pub(crate) busiest_day: DateTime<Utc>,
}

impl Values {
    /// Looks for them.
    pub(crate) async fn read(client: &Client) -> Result<Self> {
        let incidents = client
            .query_one("SELECT count(*) FROM incidents", &[])
            .await
            .and_then(|row| row.try_get(0))
            .context("count the incidents")?;
        let example = client
            .query_opt(
                &format!(
                    "SELECT id, correlation_id, remediation_name, fingerprint, target_name, \
                         action_history_id::text \
                     FROM incidents WHERE {LOADED} AND id >= ( \
                         SELECT (min(id) + max(id)) / 2 FROM incidents WHERE {LOADED}) \
                     ORDER BY id LIMIT 1"
                ),
                &[],
            )
            .await
            .context("find an incident")?
            .context("there are no incidents: fill an empty database with `bench load`")?;
        let busiest_day = client
            .query_one(
                &format!(
                    "SELECT date_trunc('day', opened_at, 'UTC') AS day FROM incidents \
                     WHERE {LOADED} GROUP BY day ORDER BY count(*) DESC, day LIMIT 1"
                ),
                &[],
            )
            .await
            .and_then(|row| row.try_get(0))
            .context("find the busiest day")?;
        let mut of_incident = Vec::new();
        for (index, name) in (1..).zip(OF_INCIDENT) {
            let value: Option<String> = example.try_get(index)?;
            of_incident.extend(value.map(|value| (name, value)));
        }
        Ok(Self {
            groups: Groups::read(client).await?,
            incidents,
            incident_id: example.try_get(0)?,
            of_incident,
            busiest_day,
        })
    }

    /// The busiest day, from its first to its last microsecond.
    pub(crate) fn day(&self) -> Parameters {
        range(self.busiest_day, self.busiest_day + TimeDelta::days(1))
    }

    /// The calendar month of that day.
    pub(crate) fn month(&self) -> Option<Parameters> {
        use chrono::Datelike as _;
        let since = self.busiest_day.with_day(1)?;
        Some(range(since, since.checked_add_months(Months::new(1))?))
    }
}

/// From an instant to before another one.
fn range(since: DateTime<Utc>, end: DateTime<Utc>) -> Parameters {
    let until = end - TimeDelta::microseconds(1);
    let written = |instant: DateTime<Utc>| instant.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    vec![("since", written(since)), ("until", written(until))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_write_is_not_asked_for() {
        assert!(LOADED.contains(&format!("'{}'", crate::record::PREFIX)));
    }

    #[test]
    fn ranges_end_with_the_last_microsecond_of_a_day_and_a_month() {
        let since = "2026-02-03T00:00:00Z".parse().unwrap();
        let written = |parameters: Parameters| {
            let values: Vec<_> = parameters.into_iter().map(|(_, value)| value).collect();
            values.join(" ")
        };
        let values = Values {
            groups: Groups::default(),
            incidents: 1,
            incident_id: 1,
            of_incident: Vec::new(),
            busiest_day: since,
        };
        assert_eq!(
            written(values.day()),
            "2026-02-03T00:00:00Z 2026-02-03T23:59:59.999999Z"
        );
        assert_eq!(
            written(values.month().unwrap()),
            "2026-02-01T00:00:00Z 2026-02-28T23:59:59.999999Z"
        );
    }
}
