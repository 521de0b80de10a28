//! How fast incidents are found, alone and while records arrive.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::try_join;
use http::StatusCode;

use super::recall::Search;
use super::texts::Query;
use crate::client::{Call, Service};
use crate::cpu::Meter;
use crate::load::{self, Load};
use crate::pace::{self, Pace};
use crate::record::Generator;
use crate::report::{Measured, Round};
use crate::rounds::take_all;

/// How many connections write: enough for the pace though answers take a tenth of a second.
const WRITE_CONNECTIONS: usize = 32;

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
    /// Measures all of them: each alone and beside writes, and after them these writes.
    pub(crate) async fn measure(
        &self,
        searches: &[Search],
        queries: &[Query],
    ) -> Result<Vec<Measured>> {
        let sides = if self.writes_per_second > 0 { 2 } else { 1 };
        let names = searches.iter().flat_map(|search| {
            let beside = format!("{}-beside-writes", search.name);
            [search.name.clone(), beside].into_iter().take(sides)
        });
        let writes = searches
            .iter()
            .map(|search| Measured::new(format!("writes-beside-{}", search.name)));
        let writes = RefCell::new(writes.collect::<Vec<_>>());
        let mut measures = take_all(names.collect(), self.rounds, async |place, round| {
            let search = searches.get(place / sides).context("find a search")?;
            let paths = queries.iter().map(|sought| search.path(&sought.text));
            let paths: Vec<String> = paths.collect();
            if place % sides == 0 {
                return self.take(&paths).await;
            }
            let sort = format!("{}-{round}", search.name);
            let (searched, written) = self.take_beside_writes(&paths, &sort).await?;
            if let Some(measured) = writes.borrow_mut().get_mut(place / sides) {
                measured.rounds.push(written);
            }
            Ok(searched)
        })
        .await?;
        let writes = writes.into_inner().into_iter();
        measures.extend(writes.filter(|measured| !measured.rounds.is_empty()));
        Ok(measures)
    }

    async fn take(&self, paths: &[String]) -> Result<Round> {
        let before = self.meter.read()?;
        let outcome = self.search(paths).await?;
        let used = self.meter.read()?.since(&before);
        Ok(Round::of_load(&outcome, Some(&used)))
    }

    /// The searches and the writes. Whose CPU time it was cannot be told.
    async fn take_beside_writes(&self, paths: &[String], sort: &str) -> Result<(Round, Round)> {
        let write = |number| {
            let (kind, record) = self.generator.report(sort, number)?;
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
        let (searched, written) = try_join(self.search(paths), pace::run(&writing)).await?;
        Ok((
            Round::of_load(&searched, None),
            Round::of_load(&written, None),
        ))
    }

    async fn search(&self, paths: &[String]) -> Result<load::Outcome> {
        let search = |number: u64| {
            let index = usize::try_from(number % paths.len().max(1) as u64)?;
            let path = paths.get(index).context("there is no text to search for")?;
            Ok(Call::get(path.clone()))
        };
        load::run(&Load {
            service: self.service,
            connections: self.connections,
            duration: self.duration,
            requests_max: u64::MAX,
            call: &search,
            fault: &|answer| answer.fault_unless(StatusCode::OK),
        })
        .await
    }
}
