//! How many incidents have which values: what the values to filter by are chosen from.

use anyhow::{Context as _, Result};
use tokio_postgres::Client;

use super::values::{LOADED, Parameters};

/// What many incidents have in common: the parameter, and the column of `incidents`.
pub(crate) const FACETS: [(&str, &str); 9] = [
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

/// Up to so many incidents are found first and then sorted, more by a walk through time
/// (`list_incidents` in `migrations/`).
const LIST_FEW_MAX: i64 = 10_000;

/// Where the planner expects so many incidents or fewer, a search compares all their texts
/// (`search_incidents` there).
pub(crate) const SEARCH_FEW_MAX: i64 = 30_000;

/// The incidents that have one value, or two of different parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Parameters and their values.
    pub(crate) values: Parameters,
    /// How many there are.
    pub(crate) incidents: i64,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Groups(Vec<Group>);

impl Groups {
    /// Counts them, in one statement.
    pub(crate) async fn read(client: &Client) -> Result<Self> {
        let rows = client
            .query(&statement(), &[])
            .await
            .context("count the incidents by their values")?;
        let mut groups = Vec::with_capacity(rows.len());
        for row in rows {
            let mut values = Vec::new();
            for (index, (parameter, _)) in FACETS.iter().enumerate() {
                if let Some(value) = row.try_get::<_, Option<String>>(index)? {
                    values.push((*parameter, value));
                }
            }
            // A group of incidents that lack a value has no parameter.
            if values.len() == usize::try_from(row.try_get::<_, i32>(FACETS.len())?)? {
                groups.push(Group {
                    values,
                    incidents: row.try_get(FACETS.len() + 1)?,
                });
            }
        }
        Ok(Self(groups))
    }

    /// What a group is asked for by.
    pub(crate) fn values(group: Option<&Group>) -> Option<Parameters> {
        Some(group?.values.clone())
    }

    /// The value of a parameter that most incidents have.
    pub(crate) fn common(&self, parameter: &str) -> Option<&Group> {
        let groups = self.singles(parameter);
        groups.min_by_key(|group| (-group.incidents, &group.values))
    }

    /// The value of a parameter that the fewest incidents have.
    pub(crate) fn rare(&self, parameter: &str) -> Option<&Group> {
        self.rarest_above(parameter, 0)
    }

    /// The value that the fewest incidents have, but more than so many.
    pub(crate) fn rarest_above(&self, parameter: &str, floor: i64) -> Option<&Group> {
        let groups = self.singles(parameter);
        groups
            .filter(|group| group.incidents > floor)
            .min_by_key(|group| (group.incidents, &group.values))
    }

    /// Two values that each are common, and hardly ever together: of those pairs that at most
    /// [`LIST_FEW_MAX`] incidents have, the one whose rarer value is the most common, then the one
    /// that fewer have.
    pub(crate) fn pair_of_few(&self) -> Option<&Group> {
        self.pairs()
            .filter(|(group, _)| group.incidents <= LIST_FEW_MAX)
            .min_by_key(|(group, rarer)| (-rarer, group.incidents, &group.values))
            .map(|(group, _)| group)
    }

    /// The pair for which a walk goes the farthest: of those pairs that more than
    /// [`LIST_FEW_MAX`] incidents have, the one with the most incidents of its rarer value for each
    /// of its own.
    pub(crate) fn pair_of_many(&self) -> Option<&Group> {
        self.pairs()
            .filter(|(group, _)| group.incidents > LIST_FEW_MAX)
            .max_by(|(one, one_rarer), (other, other_rarer)| {
                let looked_at = |rarer: i64, group: &Group| rarer as f64 / group.incidents as f64;
                looked_at(*one_rarer, one)
                    .total_cmp(&looked_at(*other_rarer, other))
                    .then_with(|| other.values.cmp(&one.values))
            })
            .map(|(group, _)| group)
    }

    fn singles(&self, parameter: &str) -> impl Iterator<Item = &Group> {
        self.0
            .iter()
            .filter(move |group| matches!(group.values.as_slice(), [(of, _)] if *of == parameter))
    }

    /// The pairs, each with how many incidents have the rarer of its values.
    fn pairs(&self) -> impl Iterator<Item = (&Group, i64)> {
        let alone: std::collections::HashMap<_, _> = self
            .0
            .iter()
            .filter_map(|group| match group.values.as_slice() {
                [value] => Some((value, group.incidents)),
                _ => None,
            })
            .collect();
        self.0.iter().filter_map(move |group| {
            let [one, other] = group.values.as_slice() else {
                return None;
            };
            Some((group, *alone.get(one)?.min(alone.get(other)?)))
        })
    }
}

/// Answers the values, null where they do not matter, how many of them do, and the count.
fn statement() -> String {
    let columns = FACETS.map(|(_, column)| column);
    let mut sets = Vec::new();
    for (index, one) in columns.iter().enumerate() {
        sets.push(format!("({one})"));
        sets.extend(
            columns
                .iter()
                .skip(index + 1)
                .map(|other| format!("({one}, {other})")),
        );
    }
    let all = columns.join(", ");
    format!(
        "SELECT {all}, {} - bit_count(GROUPING({all})::bit(32))::integer, count(*) \
         FROM incidents WHERE {LOADED} GROUP BY GROUPING SETS ({})",
        columns.len(),
        sets.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(counts: &[(&[(&'static str, &str)], i64)]) -> Groups {
        let group = |(values, incidents): &(&[(&'static str, &str)], i64)| Group {
            values: values
                .iter()
                .map(|(parameter, value)| (*parameter, (*value).to_owned()))
                .collect(),
            incidents: *incidents,
        };
        Groups(counts.iter().map(group).collect())
    }

    fn value(group: Option<&Group>) -> &str {
        &group.unwrap().values[0].1
    }

    #[test]
    fn common_and_rare_are_most_and_fewest_and_ties_go_by_name() {
        let groups = groups(&[
            (&[("namespace", "b")], 5),
            (&[("namespace", "a")], 5),
            (&[("namespace", "d")], 2),
            (&[("namespace", "c")], 2),
            (&[("cluster", "e")], 9),
            (&[("namespace", "a"), ("cluster", "e")], 1),
        ]);
        assert_eq!(value(groups.common("namespace")), "a");
        assert_eq!(value(groups.rare("namespace")), "c");
        assert_eq!(value(groups.rarest_above("namespace", 2)), "a");
        assert_eq!(groups.rarest_above("namespace", 5), None);
        assert_eq!(value(groups.common("cluster")), "e");
        assert_eq!(groups.rare("status"), None);
    }

    #[test]
    fn the_pair_of_few_has_the_most_common_values_and_the_pair_of_many_wastes_the_most() {
        let groups = groups(&[
            (&[("namespace", "a")], 90_000),
            (&[("namespace", "b")], 10),
            (&[("severity", "high")], 60_000),
            (&[("severity", "low")], 40_000),
            (&[("status", "failed")], 30_000),
            // Rare together, but one of its values is rare anyway.
            (&[("namespace", "b"), ("severity", "high")], 1),
            (&[("namespace", "a"), ("status", "failed")], 10_000),
            (&[("namespace", "a"), ("severity", "low")], 9_999),
            // 6 and 2.5 of the rarer value are looked at for each of these.
            (&[("severity", "high"), ("namespace", "a")], 10_001),
            (&[("severity", "low"), ("status", "failed")], 12_000),
        ]);
        let pair = |group: Option<&Group>| group.unwrap().incidents;
        assert_eq!(pair(groups.pair_of_few()), 9_999);
        assert_eq!(pair(groups.pair_of_many()), 10_001);
    }

    #[test]
    fn every_value_and_every_pair_is_counted() {
        let statement = statement();
        let (_, sets) = statement.split_once("GROUPING SETS (").unwrap();
        assert_eq!(sets.matches('(').count(), 9 + 36, "{statement}");
        assert!(sets.contains("(cluster), ") && sets.contains("(cluster, execution_status)"));
    }
}
