//! A closed loop: so many connections, each of which sends its next request when it has the
//! answer to the last one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use std::{cell::Cell, fmt};

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use hdrhistogram::Histogram;
use tokio::time::sleep;

use crate::client::{Answer, Call, Connection, Failure, Service};

/// The longest latency that is told apart, in microseconds.
const LATENCY_MICROSECONDS_MAX: u64 = 60_000_000;

/// How exact latencies are kept, in decimal digits.
const LATENCY_DIGITS: u8 = 3;

/// The pause after an error, so that a service that is down is not asked in a busy loop.
const ERROR_PAUSE: Duration = Duration::from_millis(20);

/// What is sent, by whom, and for how long.
pub(crate) struct Load<'a> {
    /// To whom.
    pub(crate) service: &'a Service,
    /// How many connections.
    pub(crate) connections: usize,
    /// After this time no request is begun.
    pub(crate) duration: Duration,
    /// No more requests than this.
    pub(crate) requests_max: u64,
    /// The request of a number; the numbers count from 0.
    pub(crate) call: &'a dyn Fn(u64) -> Result<Call>,
    /// What is wrong with an answer, if anything is.
    pub(crate) fault: &'a dyn Fn(&Answer) -> Option<String>,
}

/// What came of a load.
pub(crate) struct Outcome {
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// How many requests were answered as they should be.
    pub(crate) answered: u64,
    /// Their latencies, in microseconds.
    pub(crate) latencies: Histogram<u64>,
    /// Everything else, by what was wrong.
    pub(crate) errors: Errors,
}

/// How often which error came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Errors(pub(crate) BTreeMap<String, u64>);

impl Errors {
    /// Counts one more.
    pub(crate) fn add(&mut self, error: String) {
        *self.0.entry(error).or_default() += 1;
    }

    /// All of them.
    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted: Vec<_> = self
            .0
            .iter()
            .map(|(error, count)| format!("{error} x {count}"))
            .collect();
        f.write_str(&counted.join(", "))
    }
}

/// What one connection got.
pub(crate) struct Tally {
    latencies: Histogram<u64>,
    errors: Errors,
}

impl Tally {
    /// Nothing yet.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            latencies: histogram()?,
            errors: Errors::default(),
        })
    }

    /// Counts an answer, or that there was none; whether it was as it should be.
    pub(crate) fn count(
        &mut self,
        answer: &Result<Answer, Failure>,
        latency: Duration,
        fault: &dyn Fn(&Answer) -> Option<String>,
    ) -> bool {
        let fault = match answer {
            Ok(answer) => fault(answer),
            Err(failure) => Some(failure.as_str().to_owned()),
        };
        let is_right = fault.is_none();
        match fault {
            Some(fault) => self.errors.add(fault),
            None => {
                let microseconds = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
                self.latencies.saturating_record(microseconds);
            }
        }
        is_right
    }

    /// Counts a request that could not be sent.
    pub(crate) fn count_unsent(&mut self, error: &str) {
        self.errors.add(error.to_owned());
    }
}

impl Outcome {
    /// What all connections together got in a time.
    pub(crate) fn of(tallies: Vec<Tally>, elapsed: Duration) -> Result<Self> {
        let mut whole = Self {
            elapsed,
            answered: 0,
            latencies: histogram()?,
            errors: Errors::default(),
        };
        for Tally { latencies, errors } in tallies {
            whole.answered += latencies.len();
            let added = whole.latencies.add(latencies);
            added.context("add the latencies up")?;
            for (error, count) in errors.0 {
                *whole.errors.0.entry(error).or_default() += count;
            }
        }
        Ok(whole)
    }
}

/// Runs a load to its end.
pub(crate) async fn run(load: &Load<'_>) -> Result<Outcome> {
    let next = Cell::new(0);
    let begun = Instant::now();
    let workers = (0..load.connections).map(|_| work(load, begun, &next));
    let tallies = try_join_all(workers).await?;
    Outcome::of(tallies, begun.elapsed())
}

async fn work(load: &Load<'_>, begun: Instant, next: &Cell<u64>) -> Result<Tally> {
    let mut tally = Tally::new()?;
    let mut connection = Connection::new(load.service);
    loop {
        let number = next.get();
        if number >= load.requests_max || begun.elapsed() >= load.duration {
            return Ok(tally);
        }
        next.set(number + 1);
        let call = (load.call)(number)?;
        let sent = Instant::now();
        let answer = connection.send(&call).await;
        if !tally.count(&answer, sent.elapsed(), load.fault) {
            sleep(ERROR_PAUSE).await;
        }
    }
}

/// A place for latencies, in microseconds.
pub(crate) fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, LATENCY_MICROSECONDS_MAX, LATENCY_DIGITS)
        .context("make room for latencies")
}
