//! Rolling restarts of two replicas behind a load balancer during writes.

mod nginx;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use e2e::{Database, Setup, TestApp, remediation};
use reqwest::Client;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use self::nginx::{Nginx, Unanswered};

const WRITERS: usize = 8;
const DRAIN: Duration = Duration::from_secs(2);
const ATTEMPTS_MAX: usize = 50;

struct Replicas {
    database: Database,
    addresses: [SocketAddr; 2],
    apps: [Option<TestApp>; 2],
}

impl Replicas {
    async fn start() -> Self {
        let database = Database::create().await;
        let one = setup(&database).start().await;
        let other = setup(&database).start().await;
        let address = |app: &TestApp| {
            let address = app.url.strip_prefix("http://").unwrap();
            address.parse().unwrap()
        };
        Self {
            database,
            addresses: [address(&one), address(&other)],
            apps: [Some(one), Some(other)],
        }
    }

    fn take(&mut self, index: usize) -> TestApp {
        self.apps[index].take().unwrap()
    }

    async fn start_again(&mut self, index: usize) {
        let address = self.addresses[index];
        while TcpStream::connect(address).await.is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
        // The balancer must notice that the replica is gone.
        sleep(Duration::from_millis(700)).await;
        let app = setup(&self.database).listen(address).start().await;
        self.apps[index] = Some(app);
    }

    async fn assert_stored(&self, written: &[Written]) {
        let sent = i64::try_from(written.len()).unwrap();
        for table in ["remediation_audit", "incidents", "incident_records"] {
            let stored = format!("SELECT count(*) FROM {table}");
            assert_eq!(self.database.count(&stored).await, sent, "{table}");
        }
        let ids: BTreeSet<_> = written.iter().map(|written| written.id).collect();
        assert_eq!(ids.len(), written.len(), "an id was given twice");
        let stored = self.database.connect().await;
        for row in stored
            .query("SELECT id, name FROM remediation_audit", &[])
            .await
            .unwrap()
        {
            let (id, name): (i64, String) = (row.get(0), row.get(1));
            let known = written
                .iter()
                .find(|written| written.id == id)
                .map(|written| &written.name);
            assert_eq!(known, Some(&name));
        }
    }
}

fn setup(database: &Database) -> Setup {
    Setup::default().database(database).drain(DRAIN)
}

/// A record that was answered with 201.
struct Written {
    name: String,
    id: i64,
    /// Earlier statuses and connection errors.
    failures: Vec<String>,
}

struct Writers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Vec<Written>>>,
}

impl Writers {
    /// Each caller sends a record up to `attempts` times until 201, then pauses.
    fn start(url: &str, attempts: usize, pause: Duration) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let client = Client::builder().no_proxy().build().unwrap();
        let write = |_| {
            let (client, stop) = (client.clone(), stop.clone());
            let url = format!("{url}/api/v1/audit/remediation");
            tokio::spawn(async move {
                let mut written = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    written.push(write(&client, &url, attempts).await);
                    sleep(pause).await;
                }
                written
            })
        };
        let tasks = (0..WRITERS).map(write).collect();
        Self { stop, tasks }
    }

    async fn stop(self) -> Vec<Written> {
        self.stop.store(true, Ordering::Relaxed);
        let mut written = Vec::new();
        for task in self.tasks {
            written.extend(task.await.unwrap());
        }
        written
    }
}

async fn write(client: &Client, url: &str, attempts: usize) -> Written {
    let record = remediation();
    let mut failures = Vec::new();
    for _ in 0..attempts {
        let request = client.post(url).header("content-type", "application/json");
        match request.body(record.to_string()).send().await {
            Ok(answer) if answer.status() == 201 => {
                // The connection may also end within the body.
                if let Ok(body) = answer.text().await {
                    let body: Value = serde_json::from_str(&body).unwrap();
                    return Written {
                        name: record["name"].as_str().unwrap().to_owned(),
                        id: body["id"].as_i64().unwrap(),
                        failures,
                    };
                }
                failures.push("half an answer".to_owned());
            }
            Ok(answer) => failures.push(answer.status().to_string()),
            Err(error) => failures.push(error.to_string()),
        }
        if attempts > 1 {
            sleep(Duration::from_millis(100)).await;
        }
    }
    panic!("not stored after {attempts} attempts: {failures:?}");
}

/// A draining replica closes its connections without losing requests, and the balancer repeats a
/// request, even a write, at the other replica. Callers need no retries.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_the_replicas_behind_a_balancer_are_restarted() {
    let mut replicas = Replicas::start().await;
    let nginx = Nginx::start(replicas.addresses, Unanswered::ToTheOther).await;
    let writers = Writers::start(&nginx.url, 1, Duration::from_millis(150));
    for index in [0, 1] {
        sleep(Duration::from_millis(1500)).await;
        replicas.take(index).stop().await;
        replicas.start_again(index).await;
        // The balancer returns to the replica after a second.
        sleep(Duration::from_millis(1500)).await;
    }
    let written = writers.stop().await;

    replicas.assert_stored(&written).await;
    assert!(written.len() > 100, "{} writes only", written.len());
    // nginx logs a request after it has answered.
    let begun = Instant::now();
    let mut tries = nginx.tries();
    while tries.len() < written.len() && begun.elapsed() < Duration::from_secs(10) {
        sleep(Duration::from_millis(50)).await;
        tries = nginx.tries();
    }
    assert_eq!(tries.len(), written.len());
    let sent_again = tries.iter().filter(|tries| tries.len() > 1).count();
    assert!(sent_again > 0, "no replica was ever away");
    // Both replicas serve again. nginx returns gradually, so the shares may differ.
    let last = &tries[tries.len() - 40..];
    for address in replicas.addresses {
        let address = address.to_string();
        let answered = (address, "201".to_owned());
        assert!(
            last.iter().flatten().any(|try_| *try_ == answered),
            "{answered:?}: {last:?}"
        );
    }
    println!(
        "{} writes, {sent_again} sent to the other replica",
        written.len()
    );
}

/// Spin ends at once on SIGTERM. Requests in flight may be stored or not, so callers repeat them.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_replica_cuts_off_is_stored_once_when_its_caller_tries_again() {
    let mut replicas = Replicas::start().await;
    let nginx = Nginx::start(replicas.addresses, Unanswered::ToTheCaller).await;
    // Enough writers to have requests in flight at any time.
    let writers = Writers::start(&nginx.url, ATTEMPTS_MAX, Duration::from_millis(5));
    for index in [0, 1, 0, 1] {
        sleep(Duration::from_millis(800)).await;
        drop(replicas.take(index));
        replicas.start_again(index).await;
    }
    sleep(Duration::from_millis(500)).await;
    let written = writers.stop().await;

    replicas.assert_stored(&written).await;
    let log = nginx.read("error.log");
    let cut_off = log.matches("while reading response header").count();
    assert!(cut_off > 0, "nothing was cut off: {log}");
    let failures: usize = written.iter().map(|written| written.failures.len()).sum();
    println!(
        "{} writes, {failures} attempts failed, {cut_off} of them in flight",
        written.len()
    );
}
