//! An open loop: requests begin at a constant rate, whatever becomes of those before.
//!
//! A closed loop sends less while the service is slow, and so hardly sees it (coordinated
//! omission). Here each request has its time, and its latency counts from then on, though it
//! may have had to wait for a connection.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::spawn_blocking;

use crate::client::{Answer, Call, Connection, Service};
use crate::load::{Outcome, Tally};

/// How long after the end requests are begun that are late.
const LATE_MAX: Duration = Duration::from_secs(10);

/// What is sent, by whom, how often, and for how long.
pub(crate) struct Pace<'a> {
    /// To whom.
    pub(crate) service: &'a Service,
    /// How many connections at most.
    pub(crate) connections: usize,
    /// How many requests begin in a second.
    pub(crate) per_second: u32,
    /// How long.
    pub(crate) duration: Duration,
    /// The request of a number; the numbers count from 0.
    pub(crate) call: &'a dyn Fn(u64) -> Result<Call>,
    /// What is wrong with an answer, if anything is.
    pub(crate) fault: &'a dyn Fn(&Answer) -> Option<String>,
}

/// A request's number, and when it is to begin.
type Due = (u64, Instant);

/// Sends at this pace.
pub(crate) async fn run(pace: &Pace<'_>) -> Result<Outcome> {
    let begun = Instant::now();
    let (send, due) = unbounded_channel();
    let (per_second, duration) = (pace.per_second, pace.duration);
    // The timers of tokio are up to a millisecond late, as long as some answers take.
    let clock = spawn_blocking(move || tick(begun, per_second, duration, &send));
    let due = Mutex::new(due);
    let workers = (0..pace.connections).map(|_| work(pace, begun, &due));
    let tallies = try_join_all(workers).await?;
    clock.await.context("keep the time")?;
    Outcome::of(tallies, begun.elapsed())
}

/// Says when each request is due, and ends when all were or nobody listens.
fn tick(begun: Instant, per_second: u32, duration: Duration, send: &UnboundedSender<Due>) {
    let interval = Duration::from_secs(1) / per_second.max(1);
    let mut intended = begun;
    for number in 0.. {
        if intended.duration_since(begun) >= duration {
            return;
        }
        thread::sleep(intended.saturating_duration_since(Instant::now()));
        if send.send((number, intended)).is_err() {
            return;
        }
        intended += interval;
    }
}

async fn work(
    pace: &Pace<'_>,
    begun: Instant,
    due: &Mutex<UnboundedReceiver<Due>>,
) -> Result<Tally> {
    let mut tally = Tally::new()?;
    let mut connection = Connection::new(pace.service);
    // Whoever waits for the next one holds the lock, and so the others wait in turn.
    while let Some((number, intended)) = { due.lock().await.recv().await } {
        if begun.elapsed() > pace.duration + LATE_MAX {
            tally.count_unsent("not begun in time");
            continue;
        }
        let call = (pace.call)(number)?;
        let answer = connection.send(&call).await;
        tally.count(&answer, intended.elapsed(), pace.fault);
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::sleep;

    use super::*;

    const ANSWER_TIME: Duration = Duration::from_millis(50);

    /// Answers anything, each after [`ANSWER_TIME`].
    async fn answer_slowly(listener: TcpListener) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        while stream.read(&mut request).await.is_ok_and(|bytes| bytes > 0) {
            sleep(ANSWER_TIME).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
    }

    #[tokio::test]
    async fn who_waits_for_a_slow_answer_before_is_slow_too() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(answer_slowly(listener));
        let outcome = run(&Pace {
            service: &Service::parse(&url).unwrap(),
            connections: 1,
            per_second: 100,
            duration: Duration::from_millis(100),
            call: &|_| Ok(Call::get("/")),
            fault: &|answer| answer.fault_unless(http::StatusCode::OK),
        })
        .await
        .unwrap();
        assert_eq!(outcome.errors.total(), 0);
        assert_eq!(outcome.answered, 10);
        // The tenth begins after 90 ms and is answered after 500.
        assert!(outcome.latencies.min() >= 50_000);
        assert!(outcome.latencies.max() >= 400_000);
    }
}
