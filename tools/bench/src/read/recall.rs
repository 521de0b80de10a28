//! The recall of searches: how many results of an exact search the service finds.

use std::collections::{BTreeSet, HashMap};

use anyhow::Result;
use dataset::Model;
use serde::Deserialize;

use super::SEARCH;
use super::cases::Search;
use super::exact::ExactSearch;
use super::texts::Query;
use crate::client::{Connection, Service};
use crate::report::{Recall, Share};

/// The number of queries after which progress is reported.
const QUERIES_OF_LINE: usize = 50;

/// The precision of the service's similarities, in parts of 1.
const PARTS: f64 = 1e4;

/// Differences that are only rounding: half a part, and single precision.
const TOLERANCE: f64 = 0.5 / PARTS + 5e-6;

/// The service's answer.
#[derive(Deserialize)]
struct Found {
    data: Vec<Hit>,
    embedding_model: String,
}

/// An incident in it.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Hit {
    id: i64,
    similarity: f64,
}

/// The exact results of one query with one filter.
struct Best<'a> {
    /// The best similarities, the best first.
    best: &'a [f64],
    /// The similarities of what the service found.
    of: &'a HashMap<i64, f64>,
    /// What of it passes the filter.
    passing: &'a BTreeSet<i64>,
}

/// Adds the results of one query. Of equally similar incidents any is right.
fn count(recall: &mut Recall, least: f64, sought: &Query, hits: &[Hit], exact: &Best<'_>) {
    let mut wanted = exact.best.iter().filter(|similarity| **similarity >= least);
    let expected = wanted.clone().count() as u64;
    let worst = wanted.next_back().copied().unwrap_or(f64::INFINITY);
    let mut right = BTreeSet::new();
    for hit in hits {
        // How much the service overstates the similarity.
        let excess = hit.similarity - exact.of.get(&hit.id).unwrap_or(&f64::NEG_INFINITY);
        if excess > TOLERANCE || !exact.passing.contains(&hit.id) {
            recall.wrong += 1;
        } else if hit.similarity - worst > -TOLERANCE {
            right.insert(hit.id);
        }
        recall.understated += u64::from(excess < -TOLERANCE);
    }
    let counted = Share {
        right: (right.len() as u64).min(expected),
        expected,
    };
    if counted.right < expected {
        recall.incomplete.push((sought.text.clone(), counted));
    }
    match sought.is_verbatim {
        true => recall.verbatim.add(counted),
        false => recall.altered.add(counted),
    }
}

/// The service's model, if this program can make its vectors for exact searches.
pub(crate) async fn find_model(service: &Service) -> Result<Option<Model>> {
    let answer: Found = Connection::new(service)
        .get_json(format!("{SEARCH}?q=any"))
        .await?;
    let (name, model) = (
        &answer.embedding_model,
        Model::of_name(&answer.embedding_model),
    );
    if model.is_none() {
        eprintln!("bench: searches are left out: vectors of {name:?} cannot be made here");
    }
    Ok(model)
}

/// Sends every query once in every search. Nothing may be written meanwhile.
pub(crate) async fn measure(
    service: &Service,
    exact: &ExactSearch<'_>,
    searches: &[Search],
    queries: &[Query],
) -> Result<Vec<Recall>> {
    let mut connection = Connection::new(service);
    let mut recalls: Vec<Recall> = searches
        .iter()
        .map(|search| Recall {
            name: search.name.clone(),
            request: search.path("..."),
            ..Recall::default()
        })
        .collect();
    for (number, sought) in (1..).zip(queries) {
        let mut found = Vec::new();
        for (search, recall) in searches.iter().zip(&mut recalls) {
            let answer = connection.get_json::<Found>(search.path(&sought.text));
            found.push(answer.await.map_or_else(
                |error| {
                    eprintln!("bench: {error:#}");
                    recall.failed += 1;
                    Vec::new()
                },
                |answer| answer.data,
            ));
        }
        let ids: Vec<i64> = found.iter().flatten().map(|hit| hit.id).collect();
        let truth = exact.search(&sought.text, &ids).await?;
        let cases = searches.iter().zip(&found).zip(&mut recalls);
        for (filter, ((search, hits), recall)) in (0..).zip(cases) {
            let best = Best {
                best: truth.best.get(&filter).map_or(&[], Vec::as_slice),
                of: &truth.of,
                passing: &exact.passing(&search.query.nearest.filter, &ids).await?,
            };
            count(
                recall,
                search.query.nearest.min_similarity,
                sought,
                hits,
                &best,
            );
        }
        if number % QUERIES_OF_LINE == 0 {
            eprintln!("bench: searched for {number} of {} texts", queries.len());
        }
    }
    Ok(recalls)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right, expected, understated and wrong results of one query.
    fn recall(least: f64, hits: &[(i64, f64)], best: &[f64], of: &[(i64, f64)]) -> [u64; 4] {
        let sought = Query {
            text: "any".to_owned(),
            is_verbatim: true,
        };
        let hits = hits.iter().map(|(id, similarity)| Hit {
            id: *id,
            similarity: *similarity,
        });
        let best = Best {
            best,
            of: &of.iter().copied().collect(),
            // All but one.
            passing: &(0..9).collect(),
        };
        let mut recall = Recall::default();
        count(
            &mut recall,
            least,
            &sought,
            &hits.collect::<Vec<_>>(),
            &best,
        );
        let Share { right, expected } = recall.verbatim;
        assert_eq!(recall.incomplete.is_empty(), right == expected);
        [right, expected, recall.understated, recall.wrong]
    }

    #[test]
    fn an_incident_that_is_as_similar_as_the_last_of_the_best_is_right() {
        // 7 is another one than the exact search found, and 0.70001 and 0.69999 are the same
        // in four decimals.
        let hits = [(1, 0.9), (7, 0.7), (8, 0.6)];
        let of = [(1, 0.9), (7, 0.69999), (8, 0.6)];
        assert_eq!(recall(0.0, &hits, &[0.9, 0.8, 0.70001], &of), [2, 3, 0, 0]);
    }

    #[test]
    fn a_result_counts_once_and_only_as_similar_as_it_really_is() {
        let hits = [(1, 0.9), (1, 0.9), (2, 0.9), (3, 0.8)];
        let of = [(1, 0.9), (2, 0.1)];
        assert_eq!(recall(0.0, &hits, &[0.9, 0.8], &of), [1, 2, 0, 2]);
        // One that is said to be less similar than it is has the place that is said.
        let of = [(1, 0.9), (2, 0.8)];
        assert_eq!(
            recall(0.0, &[(1, 0.9), (2, 0.5)], &[0.9, 0.8], &of),
            [1, 2, 1, 0]
        );
    }

    #[test]
    fn the_filter_and_the_least_similarity_are_respected() {
        assert_eq!(recall(0.0, &[(9, 0.9)], &[0.9], &[(9, 0.9)]), [0, 1, 0, 1]);
        let best = [0.5, 0.49999];
        assert_eq!(recall(0.5, &[(1, 0.5)], &best, &[(1, 0.5)]), [1, 1, 0, 0]);
    }
}
