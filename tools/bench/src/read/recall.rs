//! The recall of searches: how many results of an exact search the service finds.

use std::collections::{BTreeSet, HashMap};

use anyhow::Result;
use dataset::Model;
use incidents::SearchQuery;
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

/// The exact results of one query.
struct Best<'a> {
    /// The best similarities, the best first.
    best: &'a [f64],
    /// The similarities of what the service found.
    of: &'a HashMap<i64, f64>,
    /// What of it passes the filter.
    passing: &'a BTreeSet<i64>,
}

/// Adds the results of one query. Of equally similar incidents any is right.
fn count(
    recall: &mut Recall,
    search: &SearchQuery,
    sought: &Query,
    hits: &[Hit],
    exact: &Best<'_>,
) {
    let wanted: Vec<f64> = exact
        .best
        .iter()
        .copied()
        .filter(|similarity| *similarity >= search.min_similarity)
        .collect();
    // How much the service overstates a similarity.
    let excess = |hit: &Hit| {
        let exact = exact.of.get(&hit.id);
        exact.map_or(f64::INFINITY, |exact| hit.similarity - exact)
    };
    let is_wrong = |hit: &Hit| excess(hit) > TOLERANCE || !exact.passing.contains(&hit.id);
    let worst = wanted.last().copied().unwrap_or(f64::INFINITY);
    let right: BTreeSet<i64> = hits
        .iter()
        .filter(|hit| !is_wrong(hit))
        .filter(|hit| hit.similarity - worst > -TOLERANCE)
        .map(|hit| hit.id)
        .collect();
    let counted = Share {
        right: (right.len() as u64).min(wanted.len() as u64),
        expected: wanted.len() as u64,
    };
    let share = if sought.is_verbatim {
        &mut recall.verbatim
    } else {
        &mut recall.altered
    };
    share.add(counted);
    if counted.right < counted.expected {
        recall.incomplete.push((sought.text.clone(), counted));
    }
    for hit in hits {
        recall.wrong += u64::from(is_wrong(hit));
        recall.understated += u64::from(excess(hit) < -TOLERANCE);
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
            match connection
                .get_json::<Found>(search.path(&sought.text))
                .await
            {
                Ok(answer) => found.push(answer.data),
                Err(error) => {
                    eprintln!("bench: {error:#}");
                    recall.failed += 1;
                    found.push(Vec::new());
                }
            }
        }
        let ids: Vec<i64> = found.iter().flatten().map(|hit| hit.id).collect();
        let truth = exact.search(&sought.text, &ids).await?;
        let cases = searches.iter().zip(&found).zip(&mut recalls);
        for (filter, ((search, hits), recall)) in (0..).zip(cases) {
            let ids: Vec<i64> = hits.iter().map(|hit| hit.id).collect();
            let best = Best {
                best: truth.best.get(&filter).map_or(&[], Vec::as_slice),
                of: &truth.of,
                passing: &exact.passing(&search.query.filter, &ids).await?,
            };
            count(recall, &search.query, sought, hits, &best);
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
    use crate::read::values::Parameters;

    fn hit(id: i64, similarity: f64) -> Hit {
        Hit { id, similarity }
    }

    fn recall(parameters: Parameters, hits: &[Hit], best: &[f64], of: &[(i64, f64)]) -> Recall {
        let search = Search::new(String::new(), parameters).unwrap();
        let sought = Query {
            text: "any".to_owned(),
            is_verbatim: true,
        };
        let of = of.iter().copied().collect();
        let best = Best {
            best,
            of: &of,
            // All but one.
            passing: &(0..9).collect(),
        };
        let mut recall = Recall::default();
        count(&mut recall, &search.query, &sought, hits, &best);
        assert_eq!(recall.altered, Share::default());
        recall
    }

    #[test]
    fn an_incident_that_is_as_similar_as_the_last_of_the_best_is_right() {
        // 7 is another one than the exact search found, and 0.70001 and 0.69999 are the same
        // in four decimals.
        let recall = recall(
            vec![],
            &[hit(1, 0.9), hit(7, 0.7), hit(8, 0.6)],
            &[0.9, 0.8, 0.70001],
            &[(1, 0.9), (7, 0.69999), (8, 0.6)],
        );
        assert_eq!((recall.verbatim.right, recall.verbatim.expected), (2, 3));
        assert_eq!((recall.incomplete.len(), recall.wrong), (1, 0));
        assert_eq!(recall.verbatim.ratio(), Some(2.0 / 3.0));
    }

    #[test]
    fn a_result_counts_once_and_only_as_similar_as_it_really_is() {
        let recall = recall(
            vec![],
            &[hit(1, 0.9), hit(1, 0.9), hit(2, 0.9), hit(3, 0.8)],
            &[0.9, 0.8],
            &[(1, 0.9), (2, 0.1)],
        );
        assert_eq!((recall.verbatim.right, recall.verbatim.expected), (1, 2));
        assert_eq!(recall.wrong, 2);
    }

    #[test]
    fn a_result_that_is_said_to_be_less_similar_than_it_is_has_the_place_that_is_said() {
        let recall = recall(
            vec![],
            &[hit(1, 0.9), hit(2, 0.5)],
            &[0.9, 0.8],
            &[(1, 0.9), (2, 0.8)],
        );
        assert_eq!((recall.verbatim.right, recall.verbatim.expected), (1, 2));
        assert_eq!((recall.understated, recall.wrong), (1, 0));
    }

    #[test]
    fn the_filter_and_the_least_similarity_are_respected() {
        let filtered = recall(vec![], &[hit(9, 0.9)], &[0.9], &[(9, 0.9)]);
        assert_eq!((filtered.verbatim.right, filtered.wrong), (0, 1));
        let parameters = vec![("min_similarity".to_owned(), "0.5".to_owned())];
        let recall = recall(parameters, &[hit(1, 0.5)], &[0.5, 0.49999], &[(1, 0.5)]);
        assert_eq!((recall.verbatim.right, recall.verbatim.expected), (1, 1));
    }
}
