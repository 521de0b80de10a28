//! The service's read statements as scripts of pgbench, with the parameters of a request.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, anyhow};
use embedding::Embedding;
use incidents::{
    Cursor, Filter, ListQuery, NearestQuery, OutcomesQuery, SearchQuery, UNKNOWN_TEXTS_MAX,
};

use crate::pgbench::{INCIDENT_SOURCE, Script, statement};

/// The most actions and records of an incident that `store` reads.
const LISTED_MAX: i64 = 1000;

/// Lists incidents as `store` does.
pub(crate) fn list(query: &ListQuery) -> Result<Script> {
    let after = query.cursor.as_ref().map(Cursor::position);
    let parameters = [
        Some(written(&query.filter)?),
        // One more shows whether there is a next page.
        Some((query.limit + 1).to_string()),
        Some(query.offset.to_string()),
        Some(query.counted_max().to_string()),
        after.map(|(opened_at, _)| opened_at.naive_utc().to_string()),
        after.map(|(_, id)| id.to_string()),
    ];
    script("LIST_INCIDENTS", "", parameters)
}

/// Reads an incident as `store` does.
pub(crate) fn incident(id: i64) -> Result<Script> {
    let parameters = [id, LISTED_MAX].map(|number| Some(number.to_string()));
    script("FIND_INCIDENT", "", parameters)
}

/// Reads a random one of `count` incidents whose ids are `apart`, from `first` on.
pub(crate) fn any_incident(first: i64, apart: i64, count: usize) -> Result<Script> {
    let mut script = incident(first)?;
    script.variables.retain(|(name, _)| name != "p1");
    script.text = format!(
        "\\set p1 {first} + {apart} * random(0, {})\n{}",
        count.saturating_sub(1),
        script.text
    );
    Ok(script)
}

/// Finds outcomes as `store` does.
pub(crate) fn outcomes(query: &OutcomesQuery) -> Result<Script> {
    let parameters = [written(&query.filter)?, query.counted_max().to_string()];
    script("FIND_OUTCOMES", "", parameters.map(Some))
}

/// Finds the incidents like one as `store` does.
pub(crate) fn similar(id: i64, nearest: &NearestQuery) -> Result<Script> {
    let parameters = [
        id.to_string(),
        written(&nearest.filter)?,
        nearest.limit.to_string(),
        nearest.min_similarity.to_string(),
        UNKNOWN_TEXTS_MAX.to_string(),
    ];
    script("FIND_SIMILAR_INCIDENTS", "", parameters.map(Some))
}

/// Searches for a random one of some texts, as `store` does with their embeddings.
pub(crate) fn any_search(searches: &[(SearchQuery, Embedding)]) -> Result<Script> {
    let mut whole = Script {
        text: format!("\\set search random(1, {})\n", searches.len()),
        variables: Vec::new(),
        is_prepared: false,
    };
    for (index, (query, embedding)) in searches.iter().enumerate() {
        let parameters = [
            written(&query.nearest.filter)?,
            embedding.key.model.clone(),
            written_bytes(&embedding.key.text_hash),
            embedding.vector.to_text(),
            query.nearest.limit.to_string(),
            query.nearest.min_similarity.to_string(),
            UNKNOWN_TEXTS_MAX.to_string(),
        ];
        let number = index + 1;
        let prefix = format!("s{number}");
        let one = script("SEARCH_INCIDENTS", &prefix, parameters.map(Some))?;
        let condition = if index == 0 { "if" } else { "elif" };
        // Writing to a String cannot fail.
        let _ = write!(whole.text, "\\{condition} :search = {number}\n{}", one.text);
        whole.variables.extend(one.variables);
    }
    whole.text.push_str("\\endif\n");
    Ok(whole)
}

/// Parses the query part of a URL as the service does.
pub(crate) fn parse(query: &str) -> Result<ListQuery> {
    ListQuery::parse(query).map_err(|violations| anyhow!("{query:?} is refused: {violations:?}"))
}

/// A filter as the database expects it.
pub(crate) fn written(filter: &Filter) -> Result<String> {
    serde_json::to_string(filter).context("write a filter as JSON")
}

/// Bytes as the database expects them.
fn written_bytes(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    format!("\\x{}", digits.collect::<String>())
}

/// A statement with its parameters, which are variables of pgbench whose names begin with `prefix`.
/// NULL stands in the text, since pgbench has no such value.
fn script<const N: usize>(
    name: &str,
    prefix: &str,
    parameters: [Option<String>; N],
) -> Result<Script> {
    let mut variables = Vec::new();
    let mut expressions = Vec::new();
    for (number, parameter) in (1..).zip(parameters) {
        let name = format!("{prefix}p{number}");
        expressions.push(match &parameter {
            Some(_) => format!(":{name}"),
            None => "NULL".to_owned(),
        });
        variables.extend(parameter.map(|value| (name, value)));
    }
    Ok(Script {
        text: statement(INCIDENT_SOURCE, name, &expressions)?,
        variables,
        is_prepared: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_the_services_statement_and_the_querys_parameters() {
        let query = "namespace=a%20b&since=2026-11-01T10:00:00%2B02:00&offset=7";
        let script = list(&parse(query).unwrap()).unwrap();
        let call = "list_incidents(:p1::text::jsonb, :p2, :p3, :p4, \
            NULL::timestamp AT TIME ZONE 'UTC', NULL);\n";
        assert!(script.text.ends_with(call), "{}", script.text);
        let values: Vec<_> = script
            .variables
            .iter()
            .map(|(_, value)| value.as_str())
            .collect();
        let [filter, "101", "7", "10001"] = values[..] else {
            panic!("{values:?}")
        };
        for part in [r#""namespace":"a b""#, r#""since":"2026-11-01T08:00:00Z""#] {
            assert!(filter.contains(part), "{filter}");
        }
    }

    #[test]
    fn outcomes_and_similar_incidents_have_the_services_statements() {
        let query = OutcomesQuery::parse("namespace=a").unwrap();
        let script = outcomes(&query).unwrap();
        let call = "find_outcomes(:p1::text::jsonb, :p2);\n";
        assert!(script.text.ends_with(call), "{}", script.text);
        let script = similar(7, &NearestQuery::parse("limit=3").unwrap()).unwrap();
        let call = "find_similar_incidents(:p1, :p2::text::jsonb, :p3, :p4, :p5)::text;\n";
        assert!(script.text.ends_with(call), "{}", script.text);
        let values = script.variables.iter().map(|(_, value)| value.as_str());
        assert_eq!(values.collect::<Vec<_>>()[2..], ["3", "0", "10000"]);
    }

    #[test]
    fn an_incident_has_the_services_statement_and_its_limit() {
        let script = incident(12).unwrap();
        assert_eq!(script.text, "SELECT find_incident(:p1, :p2)::text;\n");
        let limit = format!("const LISTED_MAX: i64 = {LISTED_MAX};");
        assert!(INCIDENT_SOURCE.contains(&limit));
    }
}
