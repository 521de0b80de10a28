//! How much of what an exact search would find the service finds.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context as _, Result, anyhow};
use dataset::Model;
use incidents::SearchQuery;
use serde::{Deserialize, Serialize};

use super::case::{Case, SEARCH, query};
use super::exact::ExactSearch;
use super::pages::ask;
use super::texts::Query;
use super::values::Parameters;
use crate::client::{Connection, Service};

/// How often the progress is said, in queries.
const QUERIES_OF_LINE: usize = 50;

/// Similarities are answered with so many parts of 1.
const PARTS: f64 = 1e4;

/// What is nearer than this is the same: half a part, and what single precision leaves open.
const TOLERANCE: f64 = 0.5 / PARTS + 5e-6;

/// A search to be measured: with any text.
pub(crate) struct Search {
    /// What it is called.
    pub(crate) name: String,
    /// What it asks for beside the text.
    pub(crate) parameters: Parameters,
    /// The same as the service reads it.
    pub(crate) read: SearchQuery,
}

impl Search {
    /// The search of a case.
    pub(crate) fn new(case: Case) -> Result<Self> {
        let Case {
            name, parameters, ..
        } = case;
        let read = SearchQuery::parse(&query_for("any", &parameters))
            .map_err(|violations| anyhow!("{parameters:?} are refused: {violations:?}"))?;
        Ok(Self {
            name,
            parameters,
            read,
        })
    }

    /// Where it is asked for a text.
    pub(crate) fn path(&self, text: &str) -> String {
        format!("{SEARCH}?{}", query_for(text, &self.parameters))
    }
}

fn query_for(text: &str, parameters: &Parameters) -> String {
    let mut parameters = parameters.clone();
    parameters.push(("q", text.to_owned()));
    query(&parameters)
}

/// What the service found.
#[derive(Deserialize)]
struct Found {
    data: Vec<Hit>,
    embedding_model: String,
}

/// An incident that it found, as far as it is of interest here.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Hit {
    id: i64,
    similarity: f64,
}

/// How well one case finds.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Recall {
    /// The case.
    pub(crate) name: String,
    /// The request, without its text.
    pub(crate) request: String,
    /// With texts that are stored.
    pub(crate) verbatim: Share,
    /// With texts that are not.
    pub(crate) altered: Share,
    /// Texts of which not everything was found, and how much of it.
    pub(crate) incomplete: Vec<(String, Share)>,
    /// Results that are more similar than the service says: it missed the nearest of their texts,
    /// which costs them their place.
    pub(crate) understated: u64,
    /// Results that are less similar than the service says, or do not pass the filter.
    pub(crate) wrong: u64,
    /// Searches that were not answered, which find nothing.
    pub(crate) failed: u64,
}

/// A part of a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Share {
    /// How many results are among the best ones.
    pub(crate) right: u64,
    /// How many there are to be found.
    pub(crate) expected: u64,
}

impl Share {
    /// The recall; none where there is nothing to be found.
    pub(crate) fn ratio(self) -> Option<f64> {
        (self.expected > 0).then(|| self.right as f64 / self.expected as f64)
    }

    /// Both together.
    pub(crate) fn with(self, other: Self) -> Self {
        Self {
            right: self.right + other.right,
            expected: self.expected + other.expected,
        }
    }
}

impl Recall {
    /// Both sorts of text together.
    pub(crate) fn all(&self) -> Share {
        self.verbatim.with(self.altered)
    }

    /// Counts what was found for one query. Of incidents that are equally similar any will do.
    fn count(&mut self, search: &SearchQuery, sought: &Query, hits: &[Hit], exact: &Best<'_>) {
        let wanted: Vec<f64> = exact
            .best
            .iter()
            .copied()
            .filter(|similarity| *similarity >= search.min_similarity)
            .collect();
        // By how much the service says more than is so; 0 but for the digits after the last one.
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
            &mut self.verbatim
        } else {
            &mut self.altered
        };
        *share = share.with(counted);
        if counted.right < counted.expected {
            self.incomplete.push((sought.text.clone(), counted));
        }
        for hit in hits {
            self.wrong += u64::from(is_wrong(hit));
            self.understated += u64::from(excess(hit) < -TOLERANCE);
        }
    }
}

/// What is exactly so, for one query in one case.
struct Best<'a> {
    /// The best similarities.
    best: &'a [f64],
    /// The similarities of all that was found.
    of: &'a HashMap<i64, f64>,
    /// Which of them pass the filter.
    passing: &'a BTreeSet<i64>,
}

/// The model with which the service embeds, which exact searches are made with, too.
pub(crate) async fn find_model(service: &Service) -> Result<Model> {
    let path = format!("{SEARCH}?{}", query_for("any", &Parameters::new()));
    let answer: Found = ask(&mut Connection::new(service), path).await?;
    let name = answer.embedding_model;
    Model::of_name(&name).with_context(|| {
        format!(
            "the service embeds with {name:?}, whose vectors this program cannot make for exact \
             searches; leave the searches out with --cases"
        )
    })
}

/// Sends every query once in every case. Nothing may be written meanwhile.
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
            match ask::<Found>(&mut connection, search.path(&sought.text)).await {
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
                passing: &exact.passing(&search.read.filter, &ids).await?,
            };
            recall.count(&search.read, sought, hits, &best);
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
    use crate::read::case::Sort;

    fn hit(id: i64, similarity: f64) -> Hit {
        Hit { id, similarity }
    }

    fn recall(parameters: Parameters, hits: &[Hit], best: &[f64], of: &[(i64, f64)]) -> Recall {
        let search = Search::new(Case {
            name: "search".to_owned(),
            sort: Sort::Search,
            parameters,
        });
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
        recall.count(&search.unwrap().read, &sought, hits, &best);
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
        assert_eq!((recall.all().right, recall.all().expected), (2, 3));
        assert_eq!((recall.incomplete.len(), recall.wrong), (1, 0));
        assert_eq!(recall.all().ratio(), Some(2.0 / 3.0));
    }

    #[test]
    fn a_result_counts_once_and_only_as_similar_as_it_really_is() {
        let recall = recall(
            vec![],
            &[hit(1, 0.9), hit(1, 0.9), hit(2, 0.9), hit(3, 0.8)],
            &[0.9, 0.8],
            &[(1, 0.9), (2, 0.1)],
        );
        assert_eq!((recall.all().right, recall.all().expected), (1, 2));
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
        assert_eq!((recall.all().right, recall.all().expected), (1, 2));
        assert_eq!((recall.understated, recall.wrong), (1, 0));
    }

    #[test]
    fn a_result_that_does_not_pass_the_filter_is_wrong() {
        let recall = recall(vec![], &[hit(9, 0.9)], &[0.9], &[(9, 0.9)]);
        assert_eq!((recall.all().right, recall.wrong), (0, 1));
    }

    #[test]
    fn what_is_less_similar_than_asked_for_is_not_to_be_found() {
        let parameters = vec![("min_similarity", "0.5".to_owned())];
        let recall = recall(parameters, &[hit(1, 0.5)], &[0.5, 0.49999], &[(1, 0.5)]);
        assert_eq!((recall.all().right, recall.all().expected), (1, 1));
        let nothing = super::Recall::default();
        assert_eq!(nothing.all().ratio(), None);
    }
}
