//! The lists and searches that `bench read` measures.

use anyhow::{Context as _, Result, anyhow, bail};
use incidents::{Count, ListQuery, SearchQuery, TOTAL_BOUND};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio_postgres::Client;

use super::values::{FACETS, Parameters, SEARCH_FEW_MAX, Values};
use super::{LIST, SEARCH, exact, query_string, statement};
use crate::case::{Case, Requests};
use crate::client::{Connection, Service};
use crate::report::{ListCheck, Total};

/// The incidents of a page, unless a case says otherwise.
const PAGE: i64 = incidents::LIMIT_DEFAULT;

/// A search with any text.
pub(super) struct Search {
    pub(super) name: String,
    parameters: Parameters,
    /// The parameters as the service parses them, with some text.
    pub(super) query: SearchQuery,
}

impl Search {
    /// A search with these parameters besides the text.
    pub(super) fn new(name: &str, parameters: Parameters) -> Result<Self> {
        let query = SearchQuery::parse(&with_text("any", &parameters))
            .map_err(|violations| anyhow!("{parameters:?} are refused: {violations:?}"))?;
        Ok(Self {
            name: name.to_owned(),
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
    parameters.push(("q", text.to_owned()));
    query_string(&parameters)
}

/// The searches, without those for which the incidents have no values. A common value is the most
/// frequent one, a rare one the least frequent.
pub(super) fn searches(values: &Values, wanted: &[String]) -> Result<Vec<Search>> {
    let min_similarity = ("min_similarity", "0.5".to_owned());
    let searches = [
        ("search", Some(Vec::new())),
        ("search-common", values.common("severity")),
        ("search-rare", values.rarest_above("alert_name", 0)),
        // Too many to compare them all, and few are near to a text of another alert.
        (
            "search-far",
            values.rarest_above("alert_name", SEARCH_FEW_MAX),
        ),
        ("search-min-similarity", Some(vec![min_similarity])),
    ];
    let searches = searches.map(|(name, parameters)| (name.to_owned(), parameters));
    chosen(searches, wanted)
        .iter()
        .map(|(name, parameters)| Search::new(name, parameters.clone()))
        .collect()
}

/// The lists and a single incident: the cases to measure, and whether their answers are right.
pub(super) async fn lists(
    service: &Service,
    client: &Client,
    values: &Values,
    wanted: &[String],
) -> Result<(Vec<Case>, Vec<ListCheck>)> {
    let mut connection = Connection::new(service);
    let lists = chosen(list_parameters(values, &mut connection).await?, wanted);
    let (mut cases, mut checks) = (Vec::new(), Vec::new());
    for (name, parameters) in lists {
        let query = query_string(&parameters);
        let parsed = statement::parse(&query)?;
        let counted = exact::count(client, &parsed.filter).await?;
        let path = match query.as_str() {
            "" => LIST.to_owned(),
            query => format!("{LIST}?{query}"),
        };
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
        cases.push(case(name, path, statement::list(&parsed)?));
    }
    if is_wanted("incident", wanted) {
        let path = format!("{LIST}/{}", values.incident_id);
        cases.push(case(
            "incident".to_owned(),
            path,
            statement::incident(values.incident_id)?,
        ));
    }
    Ok((cases, checks))
}

fn case(name: String, path: String, script: crate::pgbench::Script) -> Case {
    Case {
        name,
        requests: Requests::Read(vec![path]),
        script: Some(script),
        rate_per_second: None,
    }
}

/// All lists by name; `None` where the incidents have no values.
async fn list_parameters(
    values: &Values,
    connection: &mut Connection<'_>,
) -> Result<Vec<(String, Option<Parameters>)>> {
    let (second, last, last_offset) = page_positions(connection).await?;
    let one = |name, value: &str| Some(vec![(name, value.to_owned())]);
    let page =
        |name, value: Option<String>| Some(vec![("limit", PAGE.to_string()), (name, value?)]);
    let mut exact = values.common("severity");
    if let Some(parameters) = &mut exact {
        parameters.push(("count", "exact".to_owned()));
    }
    let mut lists: Vec<(String, Option<Parameters>)> = [
        ("all", Some(Vec::new())),
        ("all-exact", one("count", "exact")),
        ("all-none", one("count", "none")),
        ("severity-common-exact", exact),
        ("day", Some(values.day())),
        ("month", values.month()),
        ("pair-of-few", values.pair_of_few()),
        ("pair-of-many", values.pair_of_many()),
        ("limit-max", one("limit", &incidents::LIMIT_MAX.to_string())),
        ("cursor-second", page("cursor", second)),
        ("cursor-last", page("cursor", last)),
        ("offset-last", page("offset", last_offset)),
    ]
    .map(|(name, parameters)| (name.to_owned(), parameters))
    .into();
    for (facet, _) in FACETS {
        let name = facet.replace('_', "-");
        lists.push((format!("{name}-common"), values.common(facet)));
        lists.push((format!("{name}-rare"), values.rarest_above(facet, 0)));
    }
    for (name, value) in &values.of_incident {
        let parameters = vec![(*name, value.clone())];
        lists.push((name.replace('_', "-"), Some(parameters)));
    }
    Ok(lists)
}

/// The cursors of the second and the last page of all incidents, and the offset of the last;
/// `None` if there are too few incidents.
async fn page_positions(
    connection: &mut Connection<'_>,
) -> Result<(Option<String>, Option<String>, Option<String>)> {
    let mut ask = async |parameters: Parameters| -> Result<Pagination> {
        let path = format!("{LIST}?{}", query_string(&parameters));
        Ok(connection.get_json::<Page>(path).await?.pagination)
    };
    let limit = || ("limit", PAGE.to_string());
    let all = ask(vec![("count", "exact".to_owned())]).await?;
    let before_last = all.total.context("there is no total")? - 2 * PAGE;
    let second = ask(vec![limit()]).await?.next_cursor;
    if before_last <= 0 {
        return Ok((second, None, None));
    }
    let offset = ("offset", before_last.to_string());
    let last = ask(vec![limit(), offset]).await?.next_cursor;
    Ok((second, last, Some((before_last + PAGE).to_string())))
}

/// The total that the service should answer if so many incidents pass.
fn expected_total(query: &ListQuery, counted: i64) -> Option<Total> {
    let total = |total, relation: &str| Total {
        total,
        relation: relation.to_owned(),
    };
    match query.count {
        Count::None => None,
        Count::Bounded if counted > TOTAL_BOUND => Some(total(TOTAL_BOUND, "gte")),
        Count::Bounded | Count::Exact => Some(total(counted, "eq")),
    }
}

/// Those cases that are wanted and have values.
fn chosen(
    cases: impl IntoIterator<Item = (String, Option<Parameters>)>,
    wanted: &[String],
) -> Vec<(String, Parameters)> {
    let mut chosen = Vec::new();
    for (name, parameters) in cases {
        if !is_wanted(&name, wanted) {
            continue;
        }
        match parameters {
            Some(parameters) => chosen.push((name, parameters)),
            None => eprintln!("bench: {name} is left out: the incidents have no such values"),
        }
    }
    chosen
}

/// Whether a name begins with one of those that are wanted, or all are.
fn is_wanted(name: &str, wanted: &[String]) -> bool {
    wanted.is_empty() || wanted.iter().any(|start| name.starts_with(start))
}

/// Fails if a wanted name is not the start of the name of any case.
pub(super) fn check_wanted(wanted: &[String], cases: &[Case], searches: &[Search]) -> Result<()> {
    let names = cases.iter().map(|case| case.name.as_str());
    let names: Vec<_> = names
        .chain(searches.iter().map(|search| search.name.as_str()))
        .collect();
    for start in wanted {
        if !names.iter().any(|name| name.starts_with(start)) {
            bail!("no case has a name that begins with {start:?}");
        }
    }
    Ok(())
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
