//! Latencies while requests arrive at a constant rate.

use std::time::Duration;

use anyhow::Result;

use super::case::{Case, What};
use super::oha;
use super::requests::records;
use super::stage::Stage;
use crate::report_file::AtRate;

/// How many times as many records are made as are to be sent at a constant rate: oha draws them at
/// random, and one in twenty is drawn twice then.
const RECORDS_TO_DRAW_FROM: u64 = 10;

/// The number of connections at which latencies at a constant rate are measured.
pub(super) const AT_RATE_CONNECTIONS: usize = 64;

impl Stage<'_> {
    /// Latencies of the cases that have a rate, while requests arrive at it.
    pub(super) async fn measure_at_rate(&self, cases: &[Case]) -> Result<Vec<AtRate>> {
        let mut measured = Vec::new();
        for case in cases {
            let Some(per_second) = case.rate_per_second else {
                continue;
            };
            self.settle().await;
            let name = format!("{}-rate", case.name);
            let load = self.at_rate(case, &name, per_second, self.extent.at_rate);
            measured.push(load.await?);
        }
        Ok(measured)
    }

    /// One load at a constant rate; the records of a write have names that begin with `name`.
    pub(super) async fn at_rate(
        &self,
        case: &Case,
        name: &str,
        per_second: u64,
        duration: Duration,
    ) -> Result<AtRate> {
        let per_second = (per_second / self.extent.rate_divisor).max(1);
        let count = RECORDS_TO_DRAW_FROM * per_second * duration.as_secs();
        let make = |sort| records(self.generator, sort, name, count);
        let requests = case.what.requests(make)?;
        let pace = oha::Pace {
            requests,
            per_second,
            duration,
            connections: AT_RATE_CONNECTIONS,
        };
        let url = self.service.to_string();
        let mut outcome = oha::run(self.oha, &url, pace, case.status()).await?;
        let replayed = match case.what {
            What::Write(_) => outcome.answered.saturating_sub(self.stored(name).await?),
            What::Read(_) => 0,
        };
        let lost = replayed.saturating_sub(replays_max(outcome.answered));
        let sent = outcome.answered + outcome.errors.values().sum::<u64>();
        let unsent = shortfall(per_second, duration.as_secs(), sent);
        for (error, count) in [
            ("answered and not stored", lost),
            ("due and not sent", unsent),
        ] {
            if count > 0 {
                outcome.errors.insert(error.to_owned(), count);
            }
        }
        eprintln!(
            "bench: {}, {} incidents, {per_second}/s: p50 {:.1} ms, p99 {:.1} ms, {} errors",
            case.name,
            self.incidents,
            outcome.latency.p50_ms.unwrap_or(f64::NAN),
            outcome.latency.p99_ms.unwrap_or(f64::NAN),
            outcome.errors.values().sum::<u64>()
        );
        Ok(AtRate {
            name: case.name.to_owned(),
            incidents: self.incidents,
            connections: AT_RATE_CONNECTIONS as u64,
            per_second: per_second as f64,
            requests: outcome.answered + outcome.errors.values().sum::<u64>(),
            replayed,
            errors: outcome.errors,
            latency: outcome.latency,
        })
    }
}

/// How many of so many answers can be to records that were drawn before: one in twenty, and as many
/// more as chance explains (six standard deviations).
fn replays_max(answered: u64) -> u64 {
    let expected = answered as f64 / (2 * RECORDS_TO_DRAW_FROM) as f64;
    (expected + 6.0 * expected.sqrt()).ceil() as u64
}

/// How many requests were due and are in no count. Those of the last tenth of a second may have been
/// late, as on a busy machine: a service that is too slow leaves more and more.
fn shortfall(per_second: u64, seconds: u64, sent: u64) -> u64 {
    let missing = (per_second * seconds).saturating_sub(sent);
    if missing > (per_second / 10).max(1) {
        missing
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_record_is_no_replay_and_a_backlog_is_an_error() {
        assert!((100..=170).contains(&replays_max(2_000)));
        assert_eq!(replays_max(0), 0);
        assert_eq!(shortfall(100, 20, 1_990), 0);
        assert_eq!(shortfall(100, 20, 1_989), 11);
        assert_eq!(shortfall(1, 10, 9), 0);
        assert_eq!(shortfall(1, 10, 0), 10);
    }
}
