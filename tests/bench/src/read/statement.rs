//! The statements that the service sends, as scripts of pgbench: its own text, with the
//! parameters that it makes of a request.

use anyhow::{Context as _, Result, anyhow};
use chrono::{DateTime, Utc};
use incidents::{Filter, ListQuery};

use crate::pgbench::Script;

/// What the service reads incidents with. Taken from its source, so that it is the same.
const LIST_SOURCE: &str = include_str!("../../../../src/store/src/list.rs");
const INCIDENT_SOURCE: &str = include_str!("../../../../src/store/src/incident.rs");

/// The names of the parameters: variables of pgbench, which sends them as parameters, too.
const NAMES: [&str; 15] = [
    "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13", "p14", "p15",
];

/// Lists incidents, as `store` does for this query.
pub(crate) fn list(query: &ListQuery) -> Result<Script> {
    let walk = query.cursor.as_ref().map(incidents::Cursor::walk);
    let mut parameters = filter_parameters(&query.filter);
    parameters.extend([
        Some(query.limit.to_string()),
        Some(query.offset.to_string()),
        walk.map(|walk| walk.snapshot.to_string()),
        walk.map(|walk| walk.total.to_string()),
        walk.map(|walk| instant(walk.last.action_timestamp)),
        walk.map(|walk| walk.last.id.to_string()),
    ]);
    script(LIST_SOURCE, "LIST_INCIDENTS", &parameters)
}

/// Reads one incident, with as many of its records as `store` reads.
pub(crate) fn incident(id: i64) -> Result<Script> {
    const RECORDS_MAX: i64 = 1000;
    let parameters = [Some(id.to_string()), Some(RECORDS_MAX.to_string())];
    script(INCIDENT_SOURCE, "FIND_INCIDENT", &parameters)
}

/// Reads the query part of a URL as the service does.
pub(crate) fn parse(query: &str) -> Result<ListQuery> {
    ListQuery::parse(query).map_err(|violations| anyhow!("{query:?} is refused: {violations:?}"))
}

/// The values of a filter as texts, in the order of the parameters of a statement.
pub(crate) fn filter_parameters(filter: &Filter) -> Vec<Option<String>> {
    vec![
        filter.namespace.clone(),
        filter.cluster.clone(),
        filter.action_type.clone(),
        filter.alert_name.clone(),
        filter.severity.clone(),
        filter.status.clone(),
        filter.correlation_id.clone(),
        filter.since.map(instant),
        filter.until.map(instant),
    ]
}

/// As PostgreSQL reads a timestamp without a time zone.
fn instant(instant: DateTime<Utc>) -> String {
    instant.naive_utc().to_string()
}

/// A statement of the service's source with its parameters. What is null stands in the text:
/// pgbench has no such value.
fn script(source: &str, name: &str, parameters: &[Option<String>]) -> Result<Script> {
    let mut text = constant(source, name)
        .with_context(|| format!("find the statement {name} in the service's source"))?
        .to_owned();
    let mut variables = Vec::new();
    // The last one first: $1 is also the beginning of $10.
    for (index, parameter) in parameters.iter().enumerate().rev() {
        let name = NAMES.get(index).context("count the parameters")?;
        let replacement = match parameter {
            None => "NULL".to_owned(),
            Some(value) => {
                variables.push((*name, value.clone()));
                format!(":{name}")
            }
        };
        text = text.replace(&format!("${}", index + 1), &replacement);
    }
    text.push_str(";\n");
    Ok(Script { text, variables })
}

/// The value of a constant that is one literal without escapes.
fn constant<'a>(source: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = source.split_once(&format!("const {name}: &str = \""))?;
    let (value, _) = value.split_once("\";")?;
    (!value.contains(['\\', '"'])).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(script: &Script) -> Vec<String> {
        let mut variables = script.variables.clone();
        variables.reverse();
        let written = |(name, value)| format!("{name}={value}");
        variables.into_iter().map(written).collect()
    }

    #[test]
    fn a_list_has_the_services_statement_and_the_querys_parameters() {
        let query = "namespace=a%20b&status=failed&since=2026-11-01T10:00:00%2B02:00&offset=7";
        let script = list(&parse(query).unwrap()).unwrap();
        assert!(!script.text.contains('$'), "{}", script.text);
        for part in [
            "FROM list_incidents(",
            "ROW(:p1::text, NULL::text, NULL::text, NULL::text, NULL::text, :p6::text,",
            ":p8::timestamp AT TIME ZONE 'UTC', NULL::timestamp",
            ":p10, :p11, NULL::text::pg_snapshot, NULL, NULL::timestamp AT TIME ZONE 'UTC', NULL)",
        ] {
            assert!(script.text.contains(part), "{part}: {}", script.text);
        }
        assert_eq!(
            parameters(&script),
            [
                "p1=a b",
                "p6=failed",
                "p8=2026-11-01 08:00:00",
                "p10=100",
                "p11=7"
            ]
        );
    }

    #[test]
    fn an_incident_has_the_services_statement_and_its_limit() {
        let script = incident(12).unwrap();
        assert!(
            script
                .text
                .contains("LEFT JOIN incidents ON incidents.id = :p1")
        );
        assert!(script.text.contains("LIMIT :p2\n"));
        assert_eq!(parameters(&script), ["p1=12", "p2=1000"]);
        assert!(INCIDENT_SOURCE.contains("const RECORDS_MAX: usize = 1000;"));
    }

    #[test]
    fn a_constant_is_found_by_its_name_and_only_where_it_is_plain() {
        let source = "const A: &str = \"one\";\nconst B: &str = \"t\\\n wo\";";
        assert_eq!(constant(source, "A"), Some("one"));
        assert_eq!(constant(source, "B"), None);
        assert_eq!(constant(source, "C"), None);
    }
}
