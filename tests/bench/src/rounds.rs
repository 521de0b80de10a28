//! Measures that are taken in turn, round after round.

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use tokio::time::sleep;

use crate::report::{Measured, Round};

/// The pause before each measure, in which the connections of the last one end.
const SETTLING_PAUSE: Duration = Duration::from_millis(500);

/// Something to measure.
pub(crate) trait Measure: Copy + PartialEq {
    /// What it is called.
    fn name(self) -> String;

    /// The same without the service.
    fn counterpart(self) -> Option<Self>;
}

/// What an option's value is called.
pub(crate) fn name_of(value: &impl ValueEnum) -> String {
    value
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}

/// Takes every measure once a round, and every second round backwards: what drifts in the
/// meantime (tables that grow, a machine that warms up) is not to fall on the same measures each
/// time.
pub(crate) async fn take_all<M: Measure>(
    measures: &[M],
    count: u64,
    take: impl AsyncFn(M, u64) -> Result<Round>,
) -> Result<Vec<Measured>> {
    let mut rounds: Vec<(M, Vec<Round>)> = measures
        .iter()
        .map(|measure| (*measure, Vec::new()))
        .collect();
    for round in 0..count {
        if round > 0 {
            rounds.reverse();
        }
        for (measure, taken) in &mut rounds {
            sleep(SETTLING_PAUSE).await;
            let result = take(*measure, round).await?;
            eprintln!(
                "bench: round {} of {count}: {}: {:.0}/s, {} errors",
                round + 1,
                measure.name(),
                result.per_second,
                result.errors.values().sum::<u64>()
            );
            taken.push(result);
        }
    }
    let rounds_of = |wanted: M| {
        rounds
            .iter()
            .find(|(measure, _)| *measure == wanted)
            .map(|(_, taken)| taken.clone())
            .unwrap_or_default()
    };
    Ok(measures
        .iter()
        .map(|measure| {
            let taken = rounds_of(*measure);
            let possible = measure.counterpart().map(rounds_of).unwrap_or_default();
            Measured {
                name: measure.name(),
                efficiency: taken
                    .iter()
                    .zip(possible)
                    .map(|(reached, possible)| reached.per_second / possible.per_second)
                    .collect(),
                rounds: taken,
            }
        })
        .collect())
}
