//! What a request costs between the service and PostgreSQL.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Result, ensure};
use http::StatusCode;
use tokio::time::sleep;

use super::case::Case;
use super::requests::{Requests, records};
use crate::client::{Call, Connection, Service};
use crate::record::Generator;
use crate::report_file::Wire;
use crate::wire::CountingProxy;

/// How many requests come before: connections to PostgreSQL are made and caches filled.
const REQUESTS_BEFORE: usize = 5;

/// How many are counted. Fewer than it takes until one of them indexes what the others changed,
/// mostly.
const REQUESTS: usize = 40;

/// What a request leaves to be done after its answer, as giving back its connection, is done by then.
const SETTLING_PAUSE: Duration = Duration::from_millis(100);

/// Counts what passes while a case is asked for on one connection.
pub(super) async fn count(
    service: &Service,
    proxy: &CountingProxy,
    case: &Case,
    generator: &Generator,
) -> Result<Wire> {
    let calls = calls(case, generator)?;
    let mut connection = Connection::new(service);
    send(&mut connection, &calls, 0..REQUESTS_BEFORE, case).await?;
    sleep(SETTLING_PAUSE).await;
    let before = proxy.counts();
    let counted = REQUESTS_BEFORE..REQUESTS_BEFORE + REQUESTS;
    send(&mut connection, &calls, counted, case).await?;
    sleep(SETTLING_PAUSE).await;
    let passed = proxy.counts() - before;
    let each = |count: u64| count as f64 / REQUESTS as f64;
    Ok(Wire {
        round_trips: each(passed.round_trips),
        bytes_sent: each(passed.bytes_sent),
        bytes_received: each(passed.bytes_received),
    })
}

fn calls(case: &Case, generator: &Generator) -> Result<Vec<Call>> {
    let name = format!("{}-wire", case.name);
    let count = (REQUESTS_BEFORE + REQUESTS) as u64;
    let make = |sort| records(generator, sort, &name, count);
    let requests = case.what.requests(make)?;
    Ok(match requests.into_owned() {
        Requests::Post(records) => records
            .into_iter()
            .map(|(kind, body)| Call::write(kind, body.into_bytes()))
            .collect(),
        Requests::Get(paths) => paths.into_iter().map(Call::get).collect(),
    })
}

async fn send(
    connection: &mut Connection<'_>,
    calls: &[Call],
    numbers: Range<usize>,
    case: &Case,
) -> Result<()> {
    for call in calls.iter().cycle().skip(numbers.start).take(numbers.len()) {
        let answer = connection.send(call).await;
        let is_right = answer.as_ref().is_ok_and(|answer| {
            answer.status == StatusCode::from_u16(case.status()).unwrap_or_default()
        });
        ensure!(is_right, "{} was answered with {answer:?}", case.name);
    }
    Ok(())
}
