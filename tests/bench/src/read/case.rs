//! What is measured, and the requests that it is.

use clap::ValueEnum;
use url::form_urlencoded::Serializer;

use super::groups::{Group, SPARSE_MAX};
use super::pages::{PAGE, Pages};
use super::values::{Parameters, Values};
use crate::rounds::name_of;

/// Where incidents are listed.
pub(crate) const LIST: &str = "/api/v1/incidents";

/// Where they are searched for.
pub(crate) const SEARCH: &str = "/api/v1/incidents/search";

/// One thing to measure. A common value is the one that the most incidents have, a rare one that
/// the fewest have. Lists have pages of 100 where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    /// All incidents.
    All,
    /// Those of the most common namespace.
    NamespaceCommon,
    /// Those of the rarest namespace.
    NamespaceRare,
    /// Those of the most common cluster.
    ClusterCommon,
    /// Those of the rarest cluster.
    ClusterRare,
    /// Those of the most common type of action.
    ActionTypeCommon,
    /// Those of the rarest type of action.
    ActionTypeRare,
    /// Those of the most common alert.
    AlertNameCommon,
    /// Those of the rarest alert.
    AlertNameRare,
    /// Those of the most common severity.
    SeverityCommon,
    /// Those of the rarest severity.
    SeverityRare,
    /// Those of the most common status.
    StatusCommon,
    /// Those of the rarest status.
    StatusRare,
    /// The one of a correlation id.
    CorrelationId,
    /// Those of the busiest day.
    Day,
    /// Those of its month.
    Month,
    /// Two common values that at most 1,000 incidents have together.
    PairOfFew,
    /// Two values that more have together, but the smallest part of those that have either.
    PairOfMany,
    /// A page of 1,000.
    LimitMax,
    /// The last page, by its offset.
    OffsetLast,
    /// The second page, by its cursor.
    CursorSecond,
    /// The last page, by its cursor.
    CursorLast,
    /// One incident by its id.
    Incident,
    /// The ten incidents nearest to a text.
    Search,
    /// Of those of the rarest namespace.
    SearchNamespaceRare,
    /// Of those of the rarest alert.
    SearchAlertNameRare,
    /// Of those of the rarest namespace that has more than 1,000: too many to compare them all.
    SearchNamespaceOfMany,
    /// Only those that are similar by 0.5 at least.
    SearchMinSimilarity,
}

/// What the cases are chosen from.
pub(crate) struct Choice {
    /// Values of the database.
    pub(crate) values: Values,
    /// Where pages are.
    pub(crate) pages: Pages,
}

impl Choice {
    /// What cases ask for, a search beside its text. A case that these incidents have no values
    /// for is left out.
    pub(crate) fn parameters(&self, cases: &[Case]) -> Vec<(Case, Parameters)> {
        let mut chosen = Vec::new();
        for case in cases {
            match self.of(*case) {
                Some(parameters) => chosen.push((*case, parameters)),
                None => eprintln!(
                    "bench: {} is left out, these incidents have no such",
                    name_of(case)
                ),
            }
        }
        chosen
    }

    fn of(&self, case: Case) -> Option<Parameters> {
        let Self { values, pages } = self;
        let groups = &values.groups;
        let filter = |group: Option<&Group>| Some(group?.values.clone());
        let page = |name, value: String| vec![("limit", PAGE.to_string()), (name, value)];
        match case {
            Case::All | Case::Incident | Case::Search => Some(Vec::new()),
            Case::NamespaceCommon => filter(groups.common("namespace")),
            Case::NamespaceRare | Case::SearchNamespaceRare => filter(groups.rare("namespace")),
            Case::ClusterCommon => filter(groups.common("cluster")),
            Case::ClusterRare => filter(groups.rare("cluster")),
            Case::ActionTypeCommon => filter(groups.common("action_type")),
            Case::ActionTypeRare => filter(groups.rare("action_type")),
            Case::AlertNameCommon => filter(groups.common("alert_name")),
            Case::AlertNameRare | Case::SearchAlertNameRare => filter(groups.rare("alert_name")),
            Case::SeverityCommon => filter(groups.common("severity")),
            Case::SeverityRare => filter(groups.rare("severity")),
            Case::StatusCommon => filter(groups.common("status")),
            Case::StatusRare => filter(groups.rare("status")),
            Case::CorrelationId => Some(vec![("correlation_id", values.correlation_id.clone())]),
            Case::Day => Some(values.day()),
            Case::Month => values.month(),
            Case::PairOfFew => filter(groups.pair_of_few()),
            Case::PairOfMany => filter(groups.pair_of_many()),
            Case::LimitMax => Some(vec![("limit", incidents::LIMIT_MAX.to_string())]),
            Case::OffsetLast => Some(page("offset", pages.last_offset()?.to_string())),
            Case::CursorSecond => Some(page("cursor", pages.second.clone()?)),
            Case::CursorLast => Some(page("cursor", pages.last.clone()?)),
            Case::SearchNamespaceOfMany => filter(groups.rarest_above("namespace", SPARSE_MAX)),
            Case::SearchMinSimilarity => Some(vec![("min_similarity", "0.5".to_owned())]),
        }
    }
}

impl Case {
    /// Whether it is a search.
    pub(crate) fn is_search(self) -> bool {
        matches!(
            self,
            Self::Search
                | Self::SearchNamespaceRare
                | Self::SearchAlertNameRare
                | Self::SearchNamespaceOfMany
                | Self::SearchMinSimilarity
        )
    }
}

/// The query part of a URL.
pub(crate) fn query(parameters: &Parameters) -> String {
    Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish()
}
