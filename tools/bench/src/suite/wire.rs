//! Round trips and bytes between the service and PostgreSQL.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::sleep;

use crate::case::Case;
use crate::client::{Connection, Service};
use crate::counting_proxy::CountingProxy;
use crate::record::Generator;
use crate::report::Wire;

/// Requests before the count: the service connects to PostgreSQL and fills its caches.
const REQUESTS_BEFORE: u64 = 5;

/// Requests that count.
const REQUESTS: u64 = 40;

/// After it, what a request leaves to do after its answer is done.
const SETTLING_PAUSE: Duration = Duration::from_millis(100);

/// Counts per request of a case, on one connection, while a proxy stands before PostgreSQL.
pub(super) async fn count(
    service: &Service,
    proxy: &CountingProxy,
    case: &Case,
    generator: &Generator,
) -> Result<Wire> {
    let series = format!("{}-wire", case.name);
    let mut connection = Connection::new(service);
    let mut before = proxy.counts();
    for number in 0..REQUESTS_BEFORE + REQUESTS {
        if number == REQUESTS_BEFORE {
            sleep(SETTLING_PAUSE).await;
            before = proxy.counts();
        }
        let request = case.requests.make(generator, &series, number)?;
        match connection.send(&request).await {
            Ok(answer) if request.fault(&answer).is_none() => {}
            answer => bail!("{} is answered with {answer:?}", case.name),
        }
    }
    sleep(SETTLING_PAUSE).await;
    let [round_trips, bytes_sent, bytes_received] = proxy.counts();
    let [round_trips_before, sent_before, received_before] = before;
    let each = |now: u64, before: u64| now.saturating_sub(before) as f64 / REQUESTS as f64;
    Ok(Wire {
        round_trips: each(round_trips, round_trips_before),
        bytes_sent: each(bytes_sent, sent_before),
        bytes_received: each(bytes_received, received_before),
    })
}
