//! The load generator: a closed loop for throughput, an open loop for latency at a constant rate.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use hdrhistogram::Histogram;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::client::{Answer, Connection, Failure, Request, Service};

/// The longest latency that is told apart, in microseconds.
const LATENCY_MICROSECONDS_MAX: u64 = 60_000_000;

/// The precision of latencies, in decimal digits.
const LATENCY_DIGITS: u8 = 3;

/// The pause of a connection after an error, so that a service that is down is not flooded.
const ERROR_PAUSE: Duration = Duration::from_millis(20);

/// After the end of a load, due requests are still sent for this long.
const LATE_MAX: Duration = Duration::from_secs(10);

/// How often each error occurred.
pub(crate) type Errors = BTreeMap<String, u64>;

/// What is sent, and for how long.
pub(crate) struct Load<'a> {
    pub(crate) service: &'a Service,
    /// Each has at most one request under way.
    pub(crate) connections: usize,
    /// Time before the measured part, with the same requests.
    pub(crate) warm_up: Duration,
    /// Time of the measured part.
    pub(crate) duration: Duration,
    /// Makes the request of a number; numbers count from 0.
    pub(crate) request: &'a dyn Fn(u64) -> Result<Request>,
}

/// The result of a load.
pub(crate) struct Outcome {
    /// Latencies of the expected answers within the measured part, in microseconds.
    pub(crate) latencies: Histogram<u64>,
    /// Expected answers, including the warm-up and what ended after the measured part.
    pub(crate) answered_in_all: u64,
    /// Unexpected and missing answers, including those outside of the measured part.
    pub(crate) errors: Errors,
}

impl Outcome {
    fn new() -> Result<Self> {
        Ok(Self {
            latencies: histogram()?,
            answered_in_all: 0,
            errors: Errors::new(),
        })
    }

    /// Expected answers within the measured part.
    pub(crate) fn answered(&self) -> u64 {
        self.latencies.len()
    }

    /// Counts an answer, and its latency if that is measured; whether it was the expected one.
    fn count(
        &mut self,
        request: &Request,
        answer: Result<Answer, Failure>,
        latency: Option<Duration>,
    ) -> bool {
        let fault = match answer {
            Ok(answer) => request.fault(&answer),
            Err(failure) => Some(failure.to_owned()),
        };
        if let Some(fault) = &fault {
            add_error(&mut self.errors, fault, 1);
            return false;
        }
        self.answered_in_all += 1;
        if let Some(latency) = latency {
            record(&mut self.latencies, latency);
        }
        true
    }

    /// It is an error if nothing was answered.
    fn checked(mut self) -> Self {
        let nothing = u64::from(self.answered() == 0);
        add_error(&mut self.errors, "nothing was answered", nothing);
        self
    }
}

/// Adds to the count of an error.
pub(crate) fn add_error(errors: &mut Errors, error: &str, count: u64) {
    if count > 0 {
        *errors.entry(error.to_owned()).or_default() += count;
    }
}

/// An empty histogram of latencies in microseconds.
pub(crate) fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, LATENCY_MICROSECONDS_MAX, LATENCY_DIGITS)
        .context("create a histogram of latencies")
}

/// Adds a latency to a histogram of microseconds.
pub(crate) fn record(latencies: &mut Histogram<u64>, latency: Duration) {
    latencies.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
}

/// Closed loop: each connection sends its next request when it has the answer to the last.
/// Answers that arrive in the measured part count.
pub(crate) async fn run_closed_loop(load: &Load<'_>) -> Result<Outcome> {
    let begin = Instant::now();
    let measured = begin + load.warm_up..begin + load.warm_up + load.duration;
    let next = Cell::new(0);
    let outcome = RefCell::new(Outcome::new()?);
    let connections = (0..load.connections).map(async |_| {
        let mut connection = Connection::new(load.service);
        while Instant::now() < measured.end {
            let request = (load.request)(next.replace(next.get() + 1))?;
            let sent = Instant::now();
            let answer = connection.send(&request).await;
            let arrived = Instant::now();
            let latency = measured.contains(&arrived).then(|| arrived - sent);
            let is_expected = outcome.borrow_mut().count(&request, answer, latency);
            if !is_expected {
                sleep(ERROR_PAUSE).await;
            }
        }
        anyhow::Ok(())
    });
    try_join_all(connections).await?;
    Ok(outcome.into_inner().checked())
}

/// Open loop: requests are due at a constant rate, however fast the answers are. Latency counts from
/// when a request was due, even if it had to wait for a connection. Requests that are due in the
/// measured part count; those that cannot be sent in time are errors.
pub(crate) async fn run_at_rate(load: &Load<'_>, per_second: u32) -> Result<Outcome> {
    let begin = Instant::now();
    let measured = begin + load.warm_up..begin + load.warm_up + load.duration;
    let interval = Duration::from_secs(1) / per_second.max(1);
    let (sender, due) = unbounded_channel();
    // A thread of its own, since tokio's timers can be a millisecond late.
    let clock = spawn_blocking(move || tick(begin, measured.end, interval, &sender));
    let due = Mutex::new(due);
    let outcome = RefCell::new(Outcome::new()?);
    let connections = (0..load.connections).map(async |_| {
        let mut connection = Connection::new(load.service);
        // One connection waits for the next due request while the others wait for the lock.
        while let Some((number, time)) = { due.lock().await.recv().await } {
            if Instant::now() > measured.end + LATE_MAX {
                add_error(&mut outcome.borrow_mut().errors, "due and not sent", 1);
                continue;
            }
            let request = (load.request)(number)?;
            let answer = connection.send(&request).await;
            let latency = (time >= measured.start).then(|| time.elapsed());
            outcome.borrow_mut().count(&request, answer, latency);
        }
        anyhow::Ok(())
    });
    try_join_all(connections).await?;
    clock.await.context("keep the rate")?;
    Ok(outcome.into_inner().checked())
}

/// Sends each number when it is due; ends early when nobody receives them.
fn tick(
    begin: Instant,
    end: Instant,
    interval: Duration,
    sender: &UnboundedSender<(u64, Instant)>,
) {
    let mut due = begin;
    for number in 0.. {
        if due >= end {
            return;
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if sender.send((number, due)).is_err() {
            return;
        }
        due += interval;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const ANSWER_TIME: Duration = Duration::from_millis(50);

    /// A server that answers every request after [`ANSWER_TIME`] with this status.
    async fn start_server(status: u16) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    while stream.read(&mut request).await.is_ok_and(|bytes| bytes > 0) {
                        sleep(ANSWER_TIME).await;
                        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        Service::parse(&url).unwrap()
    }

    fn load(service: &Service) -> Load<'_> {
        Load {
            service,
            connections: 1,
            warm_up: Duration::ZERO,
            duration: Duration::from_millis(100),
            request: &|_| Ok(Request::get("/")),
        }
    }

    #[tokio::test]
    async fn at_a_constant_rate_latency_counts_from_the_scheduled_time() {
        let service = start_server(200).await;
        let outcome = run_at_rate(&load(&service), 100).await.unwrap();
        assert_eq!(outcome.errors, Errors::new());
        assert_eq!(outcome.answered(), 10);
        // The tenth is due after 90 ms and answered after 500.
        assert!(outcome.latencies.min() >= 50_000);
        assert!(outcome.latencies.max() >= 400_000);
    }

    #[tokio::test]
    async fn the_warm_up_is_sent_and_not_measured() {
        let service = start_server(200).await;
        let load = Load {
            warm_up: Duration::from_millis(300),
            ..load(&service)
        };
        let outcome = run_at_rate(&load, 10).await.unwrap();
        assert_eq!((outcome.answered_in_all, outcome.answered()), (4, 1));
        let outcome = run_closed_loop(&load).await.unwrap();
        assert!(outcome.answered_in_all > outcome.answered());
        assert!((1..=2).contains(&outcome.answered()));
    }

    #[tokio::test]
    async fn unexpected_answers_are_errors() {
        let service = start_server(503).await;
        let outcome = run_closed_loop(&load(&service)).await.unwrap();
        assert_eq!(outcome.answered_in_all, 0);
        assert!(outcome.errors["status 503 Service Unavailable"] >= 1);
        assert_eq!(outcome.errors["nothing was answered"], 1);
    }
}
