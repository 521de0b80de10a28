//! Measures that are taken in turn, round after round.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use crate::report::{Measured, Round};

/// The pause before each measure, in which the connections of the last one end.
const SETTLING_PAUSE: Duration = Duration::from_millis(500);

/// Takes every measure once a round, by its place, and every second round backwards: what drifts
/// in the meantime (tables that grow, a machine that warms up) is not to fall on the same measures
/// each time.
pub(crate) async fn take_all(
    names: Vec<String>,
    count: u64,
    take: impl AsyncFn(usize, u64) -> Result<Round>,
) -> Result<Vec<Measured>> {
    let mut measures: Vec<Measured> = names.into_iter().map(Measured::new).collect();
    for round in 0..count {
        let mut order: Vec<_> = measures.iter_mut().enumerate().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for (place, measured) in order {
            sleep(SETTLING_PAUSE).await;
            let result = take(place, round).await?;
            eprintln!(
                "bench: round {} of {count}: {}: {:.0}/s, {} errors",
                round + 1,
                measured.name,
                result.per_second,
                result.errors.values().sum::<u64>()
            );
            measured.rounds.push(result);
        }
    }
    Ok(measures)
}
