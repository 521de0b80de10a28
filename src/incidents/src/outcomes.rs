//! How executions ended: which actions and workflows worked, and how often.

use records::Report;
use serde::{Deserialize, Serialize};

use crate::filter::Filter;
use crate::list::{TOTAL_BOUND, Total};
use crate::parameters::{Parameters, not_among};
use crate::search::SimilarIncident;

/// Values of the `count` parameter of outcomes.
pub const OUTCOME_COUNTS: [&str; 2] = ["bounded", "exact"];

/// Standard score of a 95 % confidence interval.
const Z: f64 = 1.959_963_984_540_054;

/// A request for the outcomes of incidents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomesQuery {
    /// Conditions that the incidents must meet.
    pub filter: Filter,
    /// Whether to consider all of them, not only the latest [`TOTAL_BOUND`].
    pub is_exact: bool,
}

impl OutcomesQuery {
    /// Parses a query string without its question mark.
    ///
    /// # Errors
    ///
    /// Reports every parameter that is unknown, repeated, empty or malformed.
    pub fn parse(query: &str) -> Result<Self, Report> {
        let mut parameters = Parameters::split(query);
        let filter = parameters.take_filter();
        let is_exact = parameters.take("count", |text| match text {
            "bounded" => Ok(false),
            "exact" => Ok(true),
            _ => Err(not_among(&OUTCOME_COUNTS)),
        });
        parameters.finish()?;
        Ok(Self {
            filter,
            is_exact: is_exact.unwrap_or(false),
        })
    }

    /// Where the database stops counting; it considers one less.
    pub fn counted_max(&self) -> i64 {
        if self.is_exact {
            i64::MAX
        } else {
            TOTAL_BOUND + 1
        }
    }

    /// Builds the response from what the database found.
    pub fn answer(&self, found: FoundOutcomes) -> IncidentOutcomes {
        IncidentOutcomes {
            incidents: if self.is_exact {
                Total::exact(found.counted)
            } else {
                Total::bounded(found.counted)
            },
            outcomes: found.outcomes,
        }
    }
}

/// Outcomes as the database returns them.
#[derive(Clone, Debug)]
pub struct FoundOutcomes {
    /// Number of incidents that pass the filter, at most [`OutcomesQuery::counted_max`].
    pub counted: i64,
    /// Outcomes of the incidents considered.
    pub outcomes: Outcomes,
}

/// Outcomes of the incidents that pass a filter.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IncidentOutcomes {
    /// The incidents considered: all that pass the filter if `total_relation` is `eq`, otherwise
    /// those with the newest `opened_at`.
    pub incidents: Total,
    /// Their outcomes.
    #[serde(flatten)]
    pub outcomes: Outcomes,
}

/// How the executions of incidents ended. Executions that have not ended do not count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Outcomes {
    /// Per action type, of all actions: greatest `total` first, then by name.
    pub actions: Vec<ActionOutcome>,
    /// Per workflow, of the workflow execution that each incident shows: greatest `total` first,
    /// then by name.
    pub workflows: Vec<WorkflowOutcome>,
}

/// How the actions of one type ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActionOutcome {
    /// Type of the actions, for example `scale`.
    pub action_type: String,
    /// How they ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How the executions of one workflow ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkflowOutcome {
    /// Name of the workflow.
    pub workflow_name: String,
    /// How its executions ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How executions ended, and how long they took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(try_from = "EndedExecutions")]
pub struct Outcome {
    /// Number of ended executions, at least 1.
    pub total: i64,
    /// Number of those that completed and were not rolled back.
    pub completed: i64,
    /// Number of those that failed and were not rolled back.
    pub failed: i64,
    /// Number of those that were rolled back.
    pub rolled_back: i64,
    /// `completed` divided by `total`, 4 decimals.
    pub success_rate: f64,
    /// Lower end of the 95 % Wilson score interval of the success rate, 4 decimals.
    pub success_rate_low: f64,
    /// Upper end of the 95 % Wilson score interval of the success rate, 4 decimals.
    pub success_rate_high: f64,
    /// Median duration in seconds, of the executions whose start and end are known; 3 decimals.
    pub duration_seconds: Option<f64>,
}

/// An outcome as the database returns it.
#[derive(Debug, Deserialize)]
struct EndedExecutions {
    completed: i64,
    failed: i64,
    rolled_back: i64,
    duration_seconds: Option<f64>,
}

impl TryFrom<EndedExecutions> for Outcome {
    type Error = &'static str;

    fn try_from(ended: EndedExecutions) -> Result<Self, Self::Error> {
        let total = ended.completed + ended.failed + ended.rolled_back;
        if total == 0 {
            return Err("no execution has ended");
        }
        let (low, high) = wilson_interval(ended.completed as f64, total as f64);
        Ok(Self {
            total,
            completed: ended.completed,
            failed: ended.failed,
            rolled_back: ended.rolled_back,
            success_rate: rounded(ended.completed as f64 / total as f64),
            success_rate_low: rounded(low),
            success_rate_high: rounded(high),
            duration_seconds: ended.duration_seconds,
        })
    }
}

/// Returns the score interval of a proportion (Wilson 1927). Unlike the usual interval it stays
/// within 0 to 1, and is wide for few executions even if all of them succeeded.
fn wilson_interval(successes: f64, total: f64) -> (f64, f64) {
    let rate = successes / total;
    let z_squared = Z * Z;
    let divisor = 1.0 + z_squared / total;
    let center = rate + z_squared / (2.0 * total);
    let variance = rate * (1.0 - rate) / total + z_squared / (4.0 * total * total);
    let margin = Z * variance.sqrt();
    let end = |end: f64| (end / divisor).clamp(0.0, 1.0);
    (end(center - margin), end(center + margin))
}

fn rounded(rate: f64) -> f64 {
    (rate * 10_000.0).round() / 10_000.0
}

/// Incidents like another one, and how they ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SimilarIncidents {
    /// Incidents, most similar first.
    pub data: Vec<SimilarIncident>,
    /// Model that embedded the incident's text; null if the incident has no records any more. Only
    /// texts of this model are compared.
    pub embedding_model: Option<String>,
    /// Number of texts of other models, which were skipped; the count stops at 10,000.
    pub unknown_texts: i64,
    /// Outcomes of the incidents in `data`.
    pub outcomes: Outcomes,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn outcome(completed: i64, failed: i64, rolled_back: i64) -> Outcome {
        let ended = EndedExecutions {
            completed,
            failed,
            rolled_back,
            duration_seconds: None,
        };
        ended.try_into().unwrap()
    }

    fn rules(query: &str) -> Vec<(String, &'static str)> {
        let violations = OutcomesQuery::parse(query).unwrap_err().into_violations();
        let named = violations.into_iter();
        named
            .map(|violation| (violation.field, violation.rule))
            .collect()
    }

    #[test]
    fn the_latest_incidents_are_considered_unless_all_are_asked_for() {
        for (query, is_exact) in [("", false), ("count=bounded", false), ("count=exact", true)] {
            assert_eq!(OutcomesQuery::parse(query).unwrap().is_exact, is_exact);
        }
        let filtered = OutcomesQuery::parse("namespace=n&count=exact").unwrap();
        assert_eq!(filtered.filter.namespace.as_deref(), Some("n"));
    }

    #[test]
    fn a_parameter_that_outcomes_do_not_have_is_refused() {
        for (query, field, rule) in [
            ("count=none", "count", "enum"),
            ("count=", "count", "empty"),
            ("limit=1", "limit", "unknown"),
            ("cursor=x", "cursor", "unknown"),
            ("status=done", "status", "enum"),
        ] {
            assert_eq!(rules(query), [(field.to_owned(), rule)], "{query}");
        }
    }

    #[test]
    fn a_total_is_exact_up_to_the_bound_and_with_an_exact_count_beyond() {
        use crate::TotalRelation::{Eq, Gte};
        for (query, counted, total, relation) in [
            ("", 0, 0, Eq),
            ("", TOTAL_BOUND, TOTAL_BOUND, Eq),
            ("", TOTAL_BOUND + 1, TOTAL_BOUND, Gte),
            ("count=exact", TOTAL_BOUND + 1, TOTAL_BOUND + 1, Eq),
        ] {
            let outcomes = Outcomes {
                actions: Vec::new(),
                workflows: Vec::new(),
            };
            let found = FoundOutcomes { counted, outcomes };
            let answer = OutcomesQuery::parse(query).unwrap().answer(found);
            assert_eq!(answer.incidents.total, total, "{query} {counted}");
            assert_eq!(answer.incidents.total_relation, relation);
        }
    }

    #[test]
    fn the_interval_is_the_known_one() {
        for (completed, total, rate, low, high) in [
            (8, 10, 0.8, 0.4902, 0.9433),
            (0, 1, 0.0, 0.0, 0.7935),
            (1, 1, 1.0, 0.2065, 1.0),
            (10, 10, 1.0, 0.7225, 1.0),
            (0, 10, 0.0, 0.0, 0.2775),
            (1, 3, 0.3333, 0.0615, 0.7923),
            (50, 100, 0.5, 0.4038, 0.5962),
        ] {
            let outcome = outcome(completed, total - completed, 0);
            let rates = [
                outcome.success_rate,
                outcome.success_rate_low,
                outcome.success_rate_high,
            ];
            assert_eq!(rates, [rate, low, high], "{completed} of {total}");
        }
    }

    #[test]
    fn an_outcome_is_read_from_the_counts_and_written_with_the_rates() {
        let counts = json!({
            "action_type": "scale", "completed": 2, "failed": 1, "rolled_back": 1,
            "duration_seconds": 2.5,
        });
        let outcome: ActionOutcome = serde_json::from_value(counts).unwrap();
        let expected = json!({
            "action_type": "scale", "total": 4, "completed": 2, "failed": 1, "rolled_back": 1,
            "success_rate": 0.5, "success_rate_low": 0.15, "success_rate_high": 0.85,
            "duration_seconds": 2.5,
        });
        assert_eq!(serde_json::to_value(&outcome).unwrap(), expected);
    }

    #[test]
    fn executions_of_which_none_ended_have_no_outcome() {
        let none = json!({
            "workflow_name": "w", "completed": 0, "failed": 0, "rolled_back": 0,
            "duration_seconds": null,
        });
        assert!(serde_json::from_value::<WorkflowOutcome>(none).is_err());
    }

    proptest! {
        #[test]
        fn the_rate_lies_in_its_interval(
            (completed, failed, rolled_back) in (0..=1_000_000_i64, 0..=1_000_000_i64, 0..=1_000_i64),
            divisor in 1..=1_000_000_i64,
        ) {
            let counts = [completed, failed, rolled_back].map(|count| count / divisor);
            prop_assume!(counts != [0; 3]);
            let [completed, failed, rolled_back] = counts;
            let outcome = outcome(completed, failed, rolled_back);
            prop_assert_eq!(outcome.total, completed + failed + rolled_back);
            prop_assert!(0.0 <= outcome.success_rate_low);
            prop_assert!(outcome.success_rate_low <= outcome.success_rate);
            prop_assert!(outcome.success_rate <= outcome.success_rate_high);
            prop_assert!(outcome.success_rate_high <= 1.0);
        }

        #[test]
        fn more_executions_of_the_same_rate_narrow_the_interval(
            completed in 0..=100_i64, failed in 1..=100_i64, times in 2..=100_i64,
        ) {
            let few = outcome(completed, failed, 0);
            let many = outcome(completed * times, failed * times, 0);
            prop_assert_eq!(few.success_rate, many.success_rate);
            prop_assert!(few.success_rate_low <= many.success_rate_low);
            prop_assert!(many.success_rate_high <= few.success_rate_high);
        }
    }
}
