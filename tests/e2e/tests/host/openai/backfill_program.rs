//! The program in deploy/backfill, as people and the Job run it.

use std::path::{Path, PathBuf};
use std::process::Output;

use e2e::{KINDS, TestApp};
use embedder::{Embedder, Reply};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;

use super::backfill::{backfill, store_all_kinds_locally};
use super::{LOCAL_MODEL, MODEL, PATIENT, asked, embedding_of, with};

/// Texts that [`store_all_kinds_locally`] stores.
const TEXTS: usize = KINDS.len();

fn program() -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    project.unwrap().join("deploy/backfill/backfill.py")
}

fn backfill_at(url: &str) -> Command {
    let mut python = Command::new("python3");
    python
        .arg(program())
        .env("DATA_STORAGE_URL", url)
        .env("no_proxy", "*")
        .env_remove("DATA_STORAGE_TOKEN_FILE")
        .env_remove("BATCH")
        .kill_on_drop(true);
    python
}

async fn run(command: &mut Command) -> (Output, String, String) {
    let output = command.output().await.unwrap();
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    (output, printed, said)
}

async fn left(app: &TestApp) -> i64 {
    backfill(app, "limit=0").await["left"].as_i64().unwrap()
}

#[tokio::test]
async fn it_tries_again_and_ends_when_every_text_is_the_providers() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    let stored = store_all_kinds_locally(&app, &embedder).await;
    // One more refusal than one text needs.
    let mut replies = vec![Reply::status(401); 2];
    replies.push(Reply::Base64(1536));
    embedder.reply_with(replies);
    let (output, printed, _) = run(backfill_at(&app.url).env("BATCH", "3")).await;
    assert!(output.status.success(), "{output:?}");
    let lines: Vec<_> = printed.lines().collect();
    let [failure, first, second, end] = &lines[..] else {
        panic!("{printed}");
    };
    assert!(
        failure.starts_with("failure 1 of 10 at most: 503: the embedding provider"),
        "{printed}"
    );
    assert!(
        first.starts_with(&format!(
            "after 0: 3 embedded, 0 failed, {} left, ",
            TEXTS - 3
        )),
        "{printed}"
    );
    assert!(
        second.contains(&format!(": {} embedded, 0 failed, 0 left, ", TEXTS - 3)),
        "{printed}"
    );
    assert!(
        end.starts_with(&format!("{TEXTS} embedded by {MODEL} in ")) && end.ends_with(" texts/s."),
        "{printed}"
    );
    assert_eq!(left(&app).await, 0);
    for answer in &stored {
        assert_eq!(embedding_of(&app, answer).await.0, MODEL);
    }
}

#[tokio::test]
async fn it_gives_up_when_the_provider_is_down_and_says_how_to_go_on() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    let stored = store_all_kinds_locally(&app, &embedder).await;
    let vector = app
        .database
        .count(&format!(
            "SELECT embedding_id FROM incident_records WHERE id = {}",
            stored[0].json()["embeddingId"]
        ))
        .await;
    embedder.reply_with([Reply::Base64(1536), Reply::status(401)]);
    let mut command = backfill_at(&app.url);
    command.env("BATCH", "1").args(["--failures-max", "2"]);
    let (output, printed, said) = run(&mut command).await;
    assert!(!output.status.success(), "{output:?}");
    let mut lines = printed.lines();
    let first = format!("after 0: 1 embedded, 0 failed, {} left, ", TEXTS - 1);
    assert!(
        lines.next().is_some_and(|line| line.starts_with(&first)),
        "{printed}"
    );
    assert_eq!(lines.count(), 2, "{printed}");
    assert!(
        said.contains("Given up after 2 failures") && said.contains(&format!("--after {vector} ")),
        "{said}"
    );
    assert_eq!(embedding_of(&app, &stored[0]).await.0, MODEL);
    for answer in &stored[1..] {
        assert_eq!(embedding_of(&app, answer).await.0, LOCAL_MODEL);
    }

    embedder.reply_with([Reply::Base64(1536)]);
    let (output, printed, _) = run(backfill_at(&app.url).arg(format!("--after={vector}"))).await;
    assert!(output.status.success(), "{output:?}");
    let end = format!("{} embedded by", TEXTS - 1);
    assert!(printed.contains(&end), "{printed}");
    assert_eq!(left(&app).await, 0);
}

#[tokio::test]
async fn it_says_how_many_texts_the_provider_refuses() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    store_all_kinds_locally(&app, &embedder).await;
    let refused = asked(&embedder).concat().remove(0);
    embedder.reply_with([Reply::Refusing(refused)]);
    let (output, printed, _) = run(&mut backfill_at(&app.url)).await;
    assert!(output.status.success(), "{output:?}");
    let step = format!("{} embedded, 1 failed, 1 left", TEXTS - 1);
    assert!(printed.contains(&step), "{printed}");
    assert!(
        printed.contains("\n1 keep the vector they had") && printed.contains("refuses"),
        "{printed}"
    );
    assert_eq!(left(&app).await, 1);
}

#[tokio::test]
async fn it_stops_at_once_when_the_service_refuses_and_says_why() {
    let app = TestApp::start().await;
    let (output, printed, said) = run(backfill_at(&app.url).arg("--after=-1")).await;
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(printed, "");
    assert!(
        said.contains("400: after: ") && said.contains("\n  after: "),
        "{said}"
    );
}

#[tokio::test]
async fn it_reads_the_token_for_every_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "first\n").unwrap();
    let mut command = backfill_at(&url);
    command.env("DATA_STORAGE_TOKEN_FILE", &file);
    let answer_all = async {
        let mut heads = Vec::new();
        for next in [json!(7), json!(null)] {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                assert_ne!(client.read_buf(&mut head).await.unwrap(), 0, "{head:?}");
            }
            heads.push(String::from_utf8(head).unwrap());
            std::fs::write(&file, "second\n").unwrap();
            let step = json!({"model": MODEL, "embedded": 1, "failed": 0, "left": 0, "next": next});
            let step = step.to_string();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{step}",
                step.len()
            );
            client.write_all(answer.as_bytes()).await.unwrap();
        }
        heads
    };
    let ((output, ..), heads) = tokio::join!(run(&mut command), answer_all);
    assert!(output.status.success(), "{output:?}");
    for (head, after, token) in [(&heads[0], 0, "first"), (&heads[1], 7, "second")] {
        let line = format!("POST /api/v1/embeddings/backfill?limit=100&after={after} HTTP/1.1\r\n");
        assert!(head.starts_with(&line), "{head}");
        let header = format!("\r\nauthorization: bearer {token}\r\n");
        assert!(head.to_lowercase().contains(&header), "{head}");
    }
}

#[tokio::test]
async fn a_file_that_holds_no_token_is_refused_and_not_shown() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("token");
    for content in [
        &b"hidden1\nhidden2\n"[..],
        b"hidden token",
        b"hidden\xff",
        "hidden€".as_bytes(),
        b"\n",
    ] {
        std::fs::write(&file, content).unwrap();
        let mut command = backfill_at("http://127.0.0.1:1");
        let (output, printed, said) = run(command.env("DATA_STORAGE_TOKEN_FILE", &file)).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(said.contains("does not hold a token"), "{said}");
        assert!(!format!("{printed}{said}").contains("hidden"), "{output:?}");
    }
}

#[tokio::test]
async fn what_is_not_the_services_answer_is_not_believed() {
    for (answer, expected) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
            "the answer is not the service's",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]",
            "the answer is not the service's",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx", "no answer"),
        (
            "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n",
            "HTTP Error 302",
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let mut command = backfill_at(&url);
        let (output, printed, said) = run(command.args(["--failures-max", "1"])).await;
        served.abort();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let shown = format!("{printed}{said}");
        assert!(shown.contains(expected), "{shown}");
        assert!(!shown.contains("Traceback"), "{shown}");
    }
}
