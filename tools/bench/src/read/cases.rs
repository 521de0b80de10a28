//! The lists and searches that `bench read` measures.

use anyhow::{Context as _, Result, anyhow};
use incidents::{Count, ListQuery, NearestQuery, OutcomesQuery, SearchQuery, TOTAL_BOUND};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio_postgres::Client;

use super::values::{self, FACETS, Parameters, SEARCH_FEW_MAX};
use super::{LIST, OUTCOMES, SEARCH, exact, query_string, statement};
use crate::case::Case;
use crate::client::{Connection, Service};
use crate::report::{ListCheck, Total};

/// The incidents of a page, unless a case says otherwise.
const PAGE: i64 = incidents::LIMIT_DEFAULT;

/// Named parameters; `None` where the incidents have no values.
type Choices = Vec<(String, Option<Parameters>)>;

/// A search with any text.
pub(super) struct Search {
    pub(super) name: String,
    parameters: Parameters,
    /// The parameters as the service parses them, with some text.
    pub(super) query: SearchQuery,
}

impl Search {
    /// A search with these parameters besides the text.
    pub(super) fn new(name: String, parameters: Parameters) -> Result<Self> {
        let query = SearchQuery::parse(&with_text("any", &parameters))
            .map_err(|violations| anyhow!("{parameters:?} are refused: {violations:?}"))?;
        Ok(Self {
            name,
            parameters,
            query,
        })
    }

    /// The path and query of a search for a text.
    pub(super) fn path(&self, text: &str) -> String {
        format!("{SEARCH}?{}", with_text(text, &self.parameters))
    }
}

fn with_text(text: &str, parameters: &Parameters) -> String {
    let mut parameters = parameters.clone();
    parameters.extend(one("q", text));
    query_string(&parameters)
}

/// The searches. A common value is the most frequent one, a rare one the least frequent.
pub(super) async fn searches(client: &Client) -> Result<Vec<Search>> {
    let rarest = async |floor| values::rarest_above(client, "alert_name", floor).await;
    let searches = [
        ("search", Some(Vec::new())),
        ("search-common", values::common(client, "severity").await?),
        ("search-rare", rarest(0).await?),
        // Too many to compare them all, and few are near to a text of another alert.
        ("search-far", rarest(SEARCH_FEW_MAX).await?),
        ("search-min-similarity", Some(one("min_similarity", "0.5"))),
    ];
    with_values(named(searches))
        .map(|(name, parameters)| Search::new(name, parameters))
        .collect()
}

/// Outcomes of all incidents and of the most common namespace, and the incidents like one.
async fn outcomes(client: &Client, incident_id: i64) -> Result<Vec<Case>> {
    let namespace = values::common(client, "namespace").await?;
    let choices = named([
        ("outcomes", Some(Vec::new())),
        ("outcomes-namespace", namespace),
    ]);
    let mut cases = Vec::new();
    for (name, parameters) in with_values(choices) {
        let query = query_string(&parameters);
        let parsed = OutcomesQuery::parse(&query)
            .map_err(|violations| anyhow!("{query:?} is refused: {violations:?}"))?;
        let path = format!("{OUTCOMES}?{query}");
        let path = path.trim_end_matches('?').to_owned();
        let script = statement::outcomes(&parsed)?;
        cases.push(Case::read(name, vec![path], Some(script)));
    }
    let nearest = NearestQuery::parse("")
        .map_err(|violations| anyhow!("the defaults are refused: {violations:?}"))?;
    let path = format!("{LIST}/{incident_id}/similar");
    let script = statement::similar(incident_id, &nearest)?;
    cases.push(Case::read("similar", vec![path], Some(script)));
    Ok(cases)
}

/// The lists, outcomes and a single incident: the cases to measure, and whether their answers are right.
pub(super) async fn lists(
    service: &Service,
    client: &Client,
) -> Result<(Vec<Case>, Vec<ListCheck>)> {
    let mut connection = Connection::new(service);
    let (incident_id, of_incident) = values::example(client).await?;
    let mut choices = list_parameters(client, &mut connection).await?;
    choices.extend(of_incident.into_iter().map(|(name, value)| {
        let case = name.replace('_', "-");
        (case, Some(vec![(name, value)]))
    }));
    let (mut cases, mut checks) = (Vec::new(), Vec::new());
    for (name, parameters) in with_values(choices) {
        let query = query_string(&parameters);
        let parsed = statement::parse(&query)?;
        let counted = exact::count(client, &parsed.filter).await?;
        let path = format!("{LIST}?{query}");
        let path = path.trim_end_matches('?').to_owned();
        // One wrong answer does not end the run.
        let page = connection.get_json(path.clone()).await;
        let Page { data, pagination } = page.unwrap_or_else(|error| {
            eprintln!("bench: {error:#}");
            Page::default()
        });
        let total = pagination.total.zip(pagination.total_relation);
        checks.push(ListCheck {
            name: name.clone(),
            path: path.clone(),
            rows: data.len(),
            total: total.map(|(total, relation)| Total { total, relation }),
            expected: expected_total(&parsed, counted),
        });
        cases.push(Case::read(
            name,
            vec![path],
            Some(statement::list(&parsed)?),
        ));
    }
    let path = format!("{LIST}/{incident_id}");
    let script = statement::incident(incident_id)?;
    cases.push(Case::read("incident", vec![path], Some(script)));
    cases.extend(outcomes(client, incident_id).await?);
    Ok((cases, checks))
}

async fn list_parameters(client: &Client, connection: &mut Connection<'_>) -> Result<Choices> {
    let (second, last, last_offset) = page_positions(connection).await?;
    let page = |name: &str, value: Option<String>| {
        let limit = ("limit".to_owned(), PAGE.to_string());
        Some(vec![limit, (name.to_owned(), value?)])
    };
    let limit_max = incidents::LIMIT_MAX.to_string();
    let exact = values::common(client, "severity").await?;
    let exact = exact.map(|severity| [severity, one("count", "exact")].concat());
    let mut lists = named([
        ("all", Some(Vec::new())),
        ("all-exact", Some(one("count", "exact"))),
        ("all-none", Some(one("count", "none"))),
        ("severity-common-exact", exact),
        ("day", values::busiest(client, "day").await?),
        ("month", values::busiest(client, "month").await?),
        ("pair-of-few", values::pair_of_few(client).await?),
        ("pair-of-many", values::pair_of_many(client).await?),
        ("limit-max", Some(one("limit", &limit_max))),
        ("cursor-second", page("cursor", second)),
        ("cursor-last", page("cursor", last)),
        ("offset-last", page("offset", last_offset)),
    ]);
    for (facet, _) in FACETS {
        let name = facet.replace('_', "-");
        let common = values::common(client, facet).await?;
        let rarest = values::rarest_above(client, facet, 0).await?;
        lists.push((format!("{name}-common"), common));
        lists.push((format!("{name}-rare"), rarest));
    }
    Ok(lists)
}

/// The cursors of the second and the last page of all incidents, and the offset of the last;
/// `None` if there are too few incidents.
async fn page_positions(
    connection: &mut Connection<'_>,
) -> Result<(Option<String>, Option<String>, Option<String>)> {
    let mut ask = async |query: String| -> Result<Pagination> {
        let page: Page = connection.get_json(format!("{LIST}?{query}")).await?;
        Ok(page.pagination)
    };
    let all = ask("count=exact".to_owned()).await?;
    let before_last = all.total.context("there is no total")? - 2 * PAGE;
    let second = ask(format!("limit={PAGE}")).await?.next_cursor;
    if before_last <= 0 {
        return Ok((second, None, None));
    }
    let last = ask(format!("limit={PAGE}&offset={before_last}")).await?;
    let last_offset = (before_last + PAGE).to_string();
    Ok((second, last.next_cursor, Some(last_offset)))
}

/// The total that the service should answer if so many incidents pass.
fn expected_total(query: &ListQuery, counted: i64) -> Option<Total> {
    let (total, relation) = match query.count {
        Count::None => return None,
        Count::Bounded if counted > TOTAL_BOUND => (TOTAL_BOUND, "gte"),
        Count::Bounded | Count::Exact => (counted, "eq"),
    };
    let relation = relation.to_owned();
    Some(Total { total, relation })
}

fn one(name: &str, value: &str) -> Parameters {
    vec![(name.to_owned(), value.to_owned())]
}

fn named<const N: usize>(choices: [(&str, Option<Parameters>); N]) -> Choices {
    let choices = choices.map(|(name, parameters)| (name.to_owned(), parameters));
    choices.into()
}

/// Those that have values.
fn with_values(choices: Choices) -> impl Iterator<Item = (String, Parameters)> {
    choices.into_iter().filter_map(|(name, parameters)| {
        if parameters.is_none() {
            eprintln!("bench: {name} is left out: the incidents have no such values");
        }
        Some((name, parameters?))
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Page {
    data: Vec<IgnoredAny>,
    pagination: Pagination,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pagination {
    total: Option<i64>,
    total_relation: Option<String>,
    next_cursor: Option<String>,
}
