//! The statements that the service sends, as scripts of pgbench: its own text, with the
//! parameters that it makes of a request.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, anyhow};
use chrono::{DateTime, Utc};
use embedding::Embedding;
use incidents::{Filter, ListQuery, SearchQuery};

use crate::pgbench::Script;

/// What the service reads incidents with. Taken from its source, so that it is the same.
const LIST_SOURCE: &str = include_str!("../../../../src/store/src/list.rs");
const INCIDENT_SOURCE: &str = include_str!("../../../../src/store/src/incident.rs");

const SEARCH_SOURCE: &str = include_str!("../../../../src/store/src/search.rs");

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
    script(LIST_SOURCE, "LIST_INCIDENTS", "", &parameters)
}

/// How many records of an incident `store` reads.
const RECORDS_MAX: i64 = 1000;

/// Reads one incident, with as many of its records as `store` reads.
pub(crate) fn incident(id: i64) -> Result<Script> {
    let parameters = [Some(id.to_string()), Some(RECORDS_MAX.to_string())];
    script(INCIDENT_SOURCE, "FIND_INCIDENT", "", &parameters)
}

/// Reads any one of so many incidents whose ids are as far apart, from the first one on.
pub(crate) fn any_incident(first: i64, apart: u64, count: usize) -> Result<Script> {
    let mut script = incident(first)?;
    script.variables.retain(|(name, _)| name != "p1");
    script.text = format!(
        "\\set p1 {first} + {apart} * random(0, {})\n{}",
        count.saturating_sub(1),
        script.text
    );
    Ok(script)
}

/// Searches for any one of some texts, as `store` does with their embeddings.
pub(crate) fn any_search(searches: &[(SearchQuery, Embedding)]) -> Result<Script> {
    let mut whole = Script {
        text: format!("\\set search random(1, {})\n", searches.len()),
        variables: Vec::new(),
    };
    for (index, (query, embedding)) in searches.iter().enumerate() {
        let mut parameters = filter_parameters(&query.filter);
        parameters.extend([
            Some(embedding.key.model.clone()),
            Some(embedding.vector.to_text()),
            Some(query.limit.to_string()),
            Some(query.min_similarity.to_string()),
        ]);
        let number = index + 1;
        let one = script(
            SEARCH_SOURCE,
            "SEARCH_INCIDENTS",
            &format!("s{number}"),
            &parameters,
        )?;
        let condition = if index == 0 { "if" } else { "elif" };
        // Writing to a String cannot fail.
        let _ = write!(whole.text, "\\{condition} :search = {number}\n{}", one.text);
        whole.variables.extend(one.variables);
    }
    whole.text.push_str("\\endif\n");
    Ok(whole)
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
/// pgbench has no such value. The others are variables of pgbench, which sends them as parameters,
/// too; their names begin with `prefix`.
fn script(source: &str, name: &str, prefix: &str, parameters: &[Option<String>]) -> Result<Script> {
    let mut text = constant(source, name)
        .with_context(|| format!("find the statement {name} in the service's source"))?
        .to_owned();
    let mut variables = Vec::new();
    // The last one first: $1 is also the beginning of $10.
    for (index, parameter) in parameters.iter().enumerate().rev() {
        let number = index + 1;
        let replacement = match parameter {
            None => "NULL".to_owned(),
            Some(value) => {
                let name = format!("{prefix}p{number}");
                variables.push((name.clone(), value.clone()));
                format!(":{name}")
            }
        };
        text = text.replace(&format!("${number}"), &replacement);
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
        let written = |(name, value): (String, String)| format!("{name}={value}");
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
