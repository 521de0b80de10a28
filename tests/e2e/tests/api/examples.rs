//! Runs the programs in docs/examples behind a server that refuses and cuts off requests.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::TestApp;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinHandle;
use url::Url;

const ATTEMPTS_MAX: usize = 5;

enum Fate {
    /// The front answers this status itself.
    Refused(&'static str),
    /// The service answers and the front drops the response.
    CutOff,
    /// The front forwards the request.
    Passed,
}

struct Front {
    url: String,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Front {
    async fn start(app: &TestApp, fate: fn(usize) -> Fate) -> Self {
        let service = Url::parse(&app.url).unwrap();
        let host = service.host_str().unwrap().to_owned();
        let port = service.port_or_known_default().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let fate = fate(counted.fetch_add(1, Ordering::Relaxed));
                let request = read_request(&mut client).await;
                let mut service = TcpStream::connect((host.as_str(), port)).await.unwrap();
                match fate {
                    Fate::Refused(status) => {
                        let answer = format!(
                            "HTTP/1.1 {status}\r\nretry-after: 0\r\ncontent-length: 0\r\n\
                             connection: close\r\n\r\n"
                        );
                        client.write_all(answer.as_bytes()).await.unwrap();
                    }
                    Fate::CutOff => {
                        service.write_all(&request).await.unwrap();
                        assert_ne!(service.read(&mut [0; 1]).await.unwrap(), 0);
                    }
                    Fate::Passed => {
                        service.write_all(&request).await.unwrap();
                        tokio::spawn(async move {
                            let _ = copy_bidirectional(&mut client, &mut service).await;
                        });
                    }
                }
            }
        });
        Self {
            url,
            connections,
            task,
        }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read_request(client: &mut TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length:").nth(1).map_or(0, |rest| {
                rest.lines().next().unwrap().trim().parse().unwrap()
            });
            if body.len() >= length {
                return request;
            }
        }
        assert_ne!(client.read_buf(&mut request).await.unwrap(), 0, "{text}");
    }
}

fn example(name: &str) -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    project.unwrap().join("docs/examples").join(name)
}

async fn run(mut command: Command, front: &Front) -> Output {
    command
        .env("DATA_STORAGE_URL", &front.url)
        .env("no_proxy", "*")
        .kill_on_drop(true)
        .output()
        .await
        .unwrap()
}

/// Asserts that an example retries a refusal and a lost response with one stored record, gives up
/// in the end, and never repeats an invalid request.
async fn assert_sends_again(command: impl Fn() -> Command) {
    let app = TestApp::start().await;
    let front = Front::start(&app, |connection| match connection {
        0 => Fate::Refused("503 Service Unavailable"),
        1 => Fate::CutOff,
        _ => Fate::Passed,
    })
    .await;
    let output = run(command(), &front).await;
    assert!(output.status.success(), "{output:?}");
    assert!(front.connections() >= 3, "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let [stored, incident] = &lines[..] else {
        panic!("not a record and an incident: {printed}");
    };
    assert_eq!(stored["message"], "Remediation audit record created");
    let path = format!("/api/v1/incidents/{}", incident["id"]);
    let shown = app.get(&path).await.expect(200).json();
    assert_eq!(&shown, incident);
    assert_eq!(shown["record_count"], 1);
    assert_eq!(shown["records"][0]["id"], stored["id"]);
    assert_eq!(shown["alert_name"], "HighMemoryUsage");

    for (fate, status, attempts) in [
        (
            (|_| Fate::Refused("503 Service Unavailable")) as fn(usize) -> Fate,
            "503",
            ATTEMPTS_MAX,
        ),
        (|_| Fate::Refused("400 Bad Request"), "400", 1),
    ] {
        let front = Front::start(&app, fate).await;
        let output = run(command(), &front).await;
        assert!(!output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(status), "{output:?}");
        assert_eq!(front.connections(), attempts, "{output:?}");
    }
}

#[tokio::test]
async fn the_python_example_sends_again_what_was_not_answered() {
    assert_sends_again(|| {
        let mut python = Command::new("python3");
        python.arg(example("store.py"));
        python
    })
    .await;
}

#[tokio::test]
async fn the_go_example_sends_again_what_was_not_answered() {
    let version = Command::new("go").arg("version").output().await;
    if version.is_err() {
        // The test runner captures the output of print macros.
        let _ = writeln!(
            std::io::stderr(),
            "The Go example was left out: there is no `go` here."
        );
        return;
    }
    // Share the compiled standard library with the tests of generated clients.
    let cache = example("store.go")
        .ancestors()
        .nth(3)
        .unwrap()
        .join(".data/go/cache");
    assert_sends_again(|| {
        let mut go = Command::new("go");
        go.arg("run")
            .arg(example("store.go"))
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "")
            .env("GOPROXY", "off")
            .env("GOCACHE", &cache);
        go
    })
    .await;
}
