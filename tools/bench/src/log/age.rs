//! How long it takes from when a record is stored until a signed checkpoint covers it.

use std::cell::RefCell;
use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use tokio::time::sleep;
use tokio_postgres::Client;

use super::{drain, state};
use crate::case::{Case, Requests};
use crate::load;
use crate::measure::Setup;
use crate::pgbench::Writes;
use crate::report::{Latency, LogAge, Measure};

/// The most requests at once, and the connections of the closed loop.
const CONNECTIONS: usize = 64;

/// Requests per second; `None` for as many as are answered.
const RATES: [Option<u32>; 3] = [Some(10), Some(300), None];

/// How often the head of the log is read. Checkpoints are not kept.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// A checkpoint: how many leaves it covers, and when it was signed (Unix time in microseconds).
#[derive(Clone, Copy, Debug, PartialEq)]
struct Head {
    size: i64,
    signed_at: i64,
}

/// A leaf: its index, and when its record was stored (Unix time in microseconds).
type Leaf = (i64, i64);

/// Measures at each rate.
pub(super) async fn measure(
    setup: &Setup<'_>,
    rate_divisor: u32,
    report: &mut Vec<LogAge>,
) -> Result<()> {
    for rate in RATES {
        let rate = rate.map(|rate| (rate / rate_divisor).max(1));
        report.push(measure_at(setup, rate).await?);
    }
    Ok(())
}

async fn measure_at(setup: &Setup<'_>, rate: Option<u32>) -> Result<LogAge> {
    let name = rate.map_or("greatest rate".to_owned(), |rate| format!("{rate}/s"));
    let part = rate.map_or("greatest".to_owned(), |rate| rate.to_string());
    let name_of_case = format!("write-age-{part}");
    let case = Case::new(name_of_case, Requests::Write(Writes::Repeat));
    let looker = setup.database.connect().await?;
    drain(&setup.service, &setup.client).await?;
    setup.settle().await;
    let (_, begun_at) = state(&setup.client).await?;
    let heads = RefCell::new(Vec::new());
    let write = async {
        if let Some(rate) = rate {
            let load = setup.at_rate(&case, "age", rate, CONNECTIONS).await?;
            return Ok((load.per_second, load.errors));
        }
        let mut measure = Measure::default();
        setup
            .run_service(&case, CONNECTIONS, 0, &mut measure)
            .await?;
        let per_second = measure.service_per_second.last().copied();
        anyhow::Ok((per_second.unwrap_or(0.0), measure.errors))
    };
    let (per_second, errors) = tokio::select! {
        written = write => written?,
        failed = look(&looker, begun_at, &heads) => match failed? {},
    };
    drain(&setup.service, &setup.client).await?;
    let heads = heads.into_inner();
    let leaves = leaves(&setup.client, begun_at).await?;
    let (ages, uncovered) = ages(&leaves, &heads)?;
    let age = Latency::new(&ages);
    eprintln!(
        "bench: age at the {name}: p50 {:.0} ms, max {:.0} ms, {} checkpoints",
        age.p50_ms.unwrap_or(f64::NAN),
        age.max_ms.unwrap_or(f64::NAN),
        heads.len()
    );
    Ok(LogAge {
        name,
        per_second,
        records: ages.len(),
        uncovered,
        age,
        entries_per_round: growth(begun_at, &heads),
        errors,
    })
}

/// Notes each head that is larger than the last one.
async fn look(client: &Client, begun_at: i64, heads: &RefCell<Vec<Head>>) -> Result<Infallible> {
    let statement = client
        .prepare(
            "SELECT size, (extract(epoch FROM signed_at) * 1000000)::bigint FROM log_head \
             WHERE size > $1",
        )
        .await
        .context("prepare to read the head of the log")?;
    let mut size = begun_at;
    loop {
        let row = client.query_opt(&statement, &[&size]).await;
        if let Some(row) = row.context("read the head of the log")? {
            size = row.try_get(0)?;
            let signed_at = row.try_get(1)?;
            heads.borrow_mut().push(Head { size, signed_at });
        }
        sleep(LOOK_PAUSE).await;
    }
}

/// The leaves from an index on, in order.
async fn leaves(client: &Client, first: i64) -> Result<Vec<Leaf>> {
    let rows = client
        .query(
            "SELECT leaf_index, \
               (extract(epoch FROM (entry::json ->> 'recorded_at')::timestamptz) * 1000000)::bigint \
             FROM log_entries WHERE leaf_index >= $1 AND record_id IS NOT NULL ORDER BY leaf_index",
            &[&first],
        )
        .await
        .context("read the leaves of the log")?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}

/// The ages of leaves, in microseconds, when the first head covered them, and the number of leaves
/// that none covers.
fn ages(leaves: &[Leaf], heads: &[Head]) -> Result<(Histogram<u64>, u64)> {
    let mut ages = load::histogram()?;
    let mut uncovered = 0;
    let mut heads = heads.iter().peekable();
    for (index, stored_at) in leaves {
        while heads.next_if(|head| head.size <= *index).is_some() {}
        match heads.peek() {
            Some(head) => {
                let age = u64::try_from(head.signed_at - stored_at).unwrap_or(0);
                load::record(&mut ages, Duration::from_micros(age));
            }
            None => uncovered += 1,
        }
    }
    Ok((ages, uncovered))
}

/// How much larger each head is than the one before.
fn growth(begun_at: i64, heads: &[Head]) -> Vec<f64> {
    let before = std::iter::once(begun_at).chain(heads.iter().map(|head| head.size));
    let grown = heads.iter().zip(before);
    grown
        .map(|(head, before)| (head.size - before) as f64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_as_old_as_when_the_first_larger_head_was_signed() {
        let head = |size, signed_at| Head { size, signed_at };
        let heads = [head(2, 1_000_000), head(3, 2_000_000)];
        let leaves = [(0, 400_000), (1, 900_000), (2, 1_000_000), (3, 1_500_000)];
        let (ages, uncovered) = ages(&leaves, &heads).unwrap();
        assert_eq!((ages.len(), uncovered), (3, 1));
        let near = |value: u64, expected: u64| value.abs_diff(expected) <= expected / 500;
        assert!(near(ages.min(), 100_000), "{}", ages.min());
        assert!(near(ages.max(), 1_000_000), "{}", ages.max());
        assert_eq!(growth(0, &heads), [2.0, 1.0]);
    }
}
