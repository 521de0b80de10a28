//! How fast incidents are found, while records arrive.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::try_join;
use http::StatusCode;

use super::case::Case;
use super::recall::Search;
use super::texts::Query;
use crate::client::{Call, Service};
use crate::cpu::Meter;
use crate::load::{self, Load};
use crate::pace::{self, Pace};
use crate::record::Generator;
use crate::report::{Measured, Round};
use crate::rounds::{Measure, name_of, take_all};

/// How many connections write: enough for the pace though answers take a tenth of a second.
const WRITE_CONNECTIONS: usize = 32;

impl Measure for Case {
    fn name(self) -> String {
        name_of(&self)
    }

    fn counterpart(self) -> Option<Self> {
        None
    }
}

/// How it is measured.
pub(crate) struct Searches<'a> {
    /// Whom.
    pub(crate) service: &'a Service,
    /// Who used how much of the processors.
    pub(crate) meter: &'a Meter,
    /// What the records are made by.
    pub(crate) generator: &'a Generator,
    /// How many of them arrive in a second.
    pub(crate) writes_per_second: u32,
    /// How many connections search at once.
    pub(crate) connections: usize,
    /// How long each measure runs, in each round.
    pub(crate) duration: Duration,
    /// How often each is taken.
    pub(crate) rounds: u64,
}

impl Searches<'_> {
    /// Measures all of them: the searches, and after them the writes beside each.
    pub(crate) async fn measure(
        &self,
        searches: &[Search],
        queries: &[Query],
    ) -> Result<Vec<Measured>> {
        let cases: Vec<Case> = searches.iter().map(|search| search.case).collect();
        let writes = RefCell::new(Vec::new());
        let mut measured = take_all(&cases, self.rounds, async |case, round| {
            let search = searches.iter().find(|search| search.case == case);
            let search = search.context("find the search of a case")?;
            let paths: Vec<String> = queries
                .iter()
                .map(|sought| search.path(&sought.text))
                .collect();
            let (searched, written) = self.take(case, &paths, round).await?;
            writes
                .borrow_mut()
                .extend(written.map(|round| (case, round)));
            Ok(searched)
        })
        .await?;
        let writes = writes.into_inner();
        if !writes.is_empty() {
            measured.extend(cases.iter().map(|case| {
                Measured {
                    name: format!("writes-beside-{}", name_of(case)),
                    rounds: writes
                        .iter()
                        .filter(|(beside, _)| beside == case)
                        .map(|(_, round)| round.clone())
                        .collect(),
                    efficiency: Vec::new(),
                }
            }));
        }
        Ok(measured)
    }

    /// One round: the searches, and the writes if there are any.
    async fn take(
        &self,
        case: Case,
        paths: &[String],
        round: u64,
    ) -> Result<(Round, Option<Round>)> {
        let before = self.meter.read()?;
        let search = |number: u64| {
            let index = usize::try_from(number % paths.len().max(1) as u64)?;
            let path = paths.get(index).context("there is no text to search for")?;
            Ok(Call::get(path.clone()))
        };
        let searching = Load {
            service: self.service,
            connections: self.connections,
            duration: self.duration,
            requests_max: u64::MAX,
            call: &search,
            fault: &|answer| answer.fault_unless(StatusCode::OK),
        };
        if self.writes_per_second == 0 {
            let outcome = load::run(&searching).await?;
            let used = self.meter.read()?.since(&before);
            return Ok((Round::of_load(&outcome, Some(&used)), None));
        }
        let sort = format!("{}-{round}", name_of(&case));
        let write = |number| {
            let (kind, record) = self.generator.report(&sort, number)?;
            Ok(Call::write(kind, record))
        };
        let writing = Pace {
            service: self.service,
            connections: WRITE_CONNECTIONS,
            per_second: self.writes_per_second,
            duration: self.duration,
            call: &write,
            fault: &|answer| {
                let is_replayed = || answer.is_replayed.then(|| "201 for a replay".to_owned());
                answer
                    .fault_unless(StatusCode::CREATED)
                    .or_else(is_replayed)
            },
        };
        let (searched, written) = try_join(load::run(&searching), pace::run(&writing)).await?;
        // Whose CPU time it was cannot be told.
        Ok((
            Round::of_load(&searched, None),
            Some(Round::of_load(&written, None)),
        ))
    }
}
