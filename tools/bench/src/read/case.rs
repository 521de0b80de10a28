//! What is measured, and the requests that it is.

use anyhow::{Result, bail};
use url::form_urlencoded::Serializer;

use super::groups::{FACETS, Groups, SEARCH_FEW_MAX};
use super::pages::{PAGE, Pages};
use super::values::{Parameters, Values};

/// Where incidents are listed.
pub(crate) const LIST: &str = "/api/v1/incidents";

/// Where they are searched for.
pub(crate) const SEARCH: &str = "/api/v1/incidents/search";

/// One thing to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    /// What it is called.
    pub(crate) name: String,
    /// What is asked for.
    pub(crate) sort: Sort,
    /// What it asks for, a search beside its text.
    pub(crate) parameters: Parameters,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// A page of a list.
    List,
    /// The incident of an id.
    Incident(i64),
    /// The incidents nearest to a text.
    Search,
}

/// All cases that these incidents have values for. A common value is the one that the most
/// incidents have, a rare one that the fewest have. Lists have pages of 100 where nothing else is
/// said.
pub(crate) fn all(values: &Values, pages: &Pages) -> Vec<Case> {
    let groups = &values.groups;
    let parameter = |name, value: &str| Some(vec![(name, value.to_owned())]);
    let page =
        |name, value: Option<String>| Some(vec![("limit", PAGE.to_string()), (name, value?)]);
    let mut lists = vec![
        ("all".to_owned(), Some(Vec::new())),
        ("all-exact".to_owned(), parameter("count", "exact")),
        ("all-none".to_owned(), parameter("count", "none")),
    ];
    for (facet, _) in FACETS {
        let name = facet.replace('_', "-");
        lists.push((
            format!("{name}-common"),
            Groups::values(groups.common(facet)),
        ));
        lists.push((format!("{name}-rare"), Groups::values(groups.rare(facet))));
    }
    let exact = |mut parameters: Parameters| {
        parameters.push(("count", "exact".to_owned()));
        parameters
    };
    let common = Groups::values(groups.common("severity"));
    lists.push(("severity-common-exact".to_owned(), common.map(exact)));
    for (name, value) in &values.of_incident {
        lists.push((name.replace('_', "-"), Some(vec![(*name, value.clone())])));
    }
    for (name, parameters) in [
        ("day", Some(values.day())),
        ("month", values.month()),
        ("pair-of-few", Groups::values(groups.pair_of_few())),
        ("pair-of-many", Groups::values(groups.pair_of_many())),
        (
            "limit-max",
            parameter("limit", &incidents::LIMIT_MAX.to_string()),
        ),
        ("cursor-second", page("cursor", pages.second.clone())),
        ("cursor-last", page("cursor", pages.last.clone())),
        (
            "offset-last",
            page("offset", pages.last_offset.map(|offset| offset.to_string())),
        ),
    ] {
        lists.push((name.to_owned(), parameters));
    }
    let searches = [
        ("search", Some(Vec::new())),
        ("search-common", Groups::values(groups.common("severity"))),
        ("search-rare", Groups::values(groups.rare("alert_name"))),
        // Too many to compare them all, and few are near to a text that is not of their alert.
        (
            "search-far",
            Groups::values(groups.rarest_above("alert_name", SEARCH_FEW_MAX)),
        ),
        ("search-min-similarity", parameter("min_similarity", "0.5")),
    ];
    let searches = searches.map(|(name, parameters)| (name.to_owned(), Sort::Search, parameters));
    let incident = (
        "incident".to_owned(),
        Sort::Incident(values.incident_id),
        Some(Vec::new()),
    );
    let lists = lists
        .into_iter()
        .map(|(name, parameters)| (name, Sort::List, parameters));
    let mut cases = Vec::new();
    for (name, sort, parameters) in lists.chain([incident]).chain(searches) {
        match parameters {
            Some(parameters) => cases.push(Case {
                name,
                sort,
                parameters,
            }),
            None => eprintln!("bench: {name} is left out, these incidents have no such"),
        }
    }
    cases
}

/// The cases whose names begin with one of those that are wanted; all where none is.
pub(crate) fn choose(cases: Vec<Case>, wanted: &[String]) -> Result<Vec<Case>> {
    for name in wanted {
        if !cases.iter().any(|case| case.name.starts_with(name)) {
            let names: Vec<_> = cases.iter().map(|case| case.name.as_str()).collect();
            bail!("there is no case {name:?}, only {}", names.join(", "));
        }
    }
    let is_wanted =
        |case: &Case| wanted.is_empty() || wanted.iter().any(|name| case.name.starts_with(name));
    Ok(cases.into_iter().filter(is_wanted).collect())
}

/// The query part of a URL.
pub(crate) fn query(parameters: &Parameters) -> String {
    Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish()
}
