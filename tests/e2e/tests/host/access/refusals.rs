//! Bad tokens: every refusal is the same.

use std::time::Duration;

use e2e::{Answer, TestApp, record};
use kubeapi::{KubeApi, Rule, Token};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{
    MODES, NAMESPACE, OWN_TOKEN, PROCESSOR, PROCESSOR_USER, cluster, questions, read_as, with,
    write_as,
};

/// Returns the parts of a response that do not depend on ids, time or path.
fn shown(answer: &Answer) -> (u16, Vec<(String, String)>, Value) {
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| !["x-correlation-id", "date"].contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    let mut body = answer.json();
    body["correlationId"].take();
    (answer.status, headers, body)
}

/// Sends each set of `Authorization` headers. All responses must be the same refusal.
async fn assert_refused_alike(app: &TestApp, sets: &[Vec<String>]) {
    for is_write in [false, true] {
        let mut first = None;
        for set in sets {
            let mut request = new_request(app, is_write);
            for value in set {
                request = request.header("authorization", value);
            }
            let answer = app.send(request).await.expect_problem(401, "unauthorized");
            assert_eq!(
                answer.header("www-authenticate"),
                "Bearer realm=\"data-storage\""
            );
            assert_eq!(answer.header("cache-control"), "no-store");
            let shown = shown(&answer);
            let first = first.get_or_insert_with(|| shown.clone());
            assert_eq!(&shown, first, "{set:?}");
        }
    }
    let stored = app.database.count("SELECT count(*) FROM incidents").await;
    assert_eq!(stored, 0);
}

fn new_request(app: &TestApp, is_write: bool) -> RequestBuilder {
    if is_write {
        app.request(Method::POST, "/api/v1/audit/remediation")
            .header("content-type", "application/json")
            .body(record("remediation").to_string())
    } else {
        app.request(Method::GET, "/api/v1/incidents")
    }
}

fn bearer(token: &str) -> Vec<String> {
    vec![format!("Bearer {token}")]
}

async fn with_bad_tokens() -> (KubeApi, Vec<Vec<String>>) {
    let kube = cluster().await;
    kube.issue(
        "expired.token",
        Token::of(PROCESSOR_USER).expiring_in(Duration::ZERO),
    );
    kube.issue(
        "foreign.token",
        Token::of(PROCESSOR_USER).for_audiences(&["https://vault.example"]),
    );
    let sets = vec![
        vec![],
        bearer("unknown.token"),
        bearer("expired.token"),
        bearer("foreign.token"),
        bearer(""),
        bearer(&format!("{PROCESSOR} {PROCESSOR}")),
        bearer(&format!("{PROCESSOR},{PROCESSOR}")),
        bearer(&format!("\"{PROCESSOR}\"")),
        bearer("*"),
        bearer(&"a".repeat(16 * 1024 + 1)),
        vec![PROCESSOR.to_owned()],
        vec![format!("Basic {PROCESSOR}")],
        vec![format!("Bearer{PROCESSOR}")],
        // Two headers, each with a good token.
        [bearer(PROCESSOR), bearer(PROCESSOR)].concat(),
        [bearer(PROCESSOR), bearer("unknown.token")].concat(),
        [bearer("unknown.token"), bearer(PROCESSOR)].concat(),
    ];
    (kube, sets)
}

#[tokio::test]
async fn a_token_that_is_no_good_is_refused_the_same_way_every_time() {
    let (kube, sets) = with_bad_tokens().await;
    for mode in MODES {
        let app = with(&kube, mode).start().await;
        assert_refused_alike(&app, &sets).await;
        write_as(&app, PROCESSOR).await.expect(201);
    }
}

#[tokio::test]
async fn the_longest_token_is_asked_about_and_a_malformed_one_is_not() {
    let kube = cluster().await;
    let longest = "a".repeat(16 * 1024);
    kube.issue(&longest, Token::of(PROCESSOR_USER));
    let app = with(&kube, "tokenreview").start().await;
    write_as(&app, &longest).await.expect(201);
    kube.take_requests();
    for token in ["", "two words", &format!("{longest}a")] {
        write_as(&app, token).await.expect(401);
    }
    assert!(kube.take_requests().is_empty());
}

#[tokio::test]
async fn the_scheme_is_written_in_any_case() {
    let kube = cluster().await;
    let app = with(&kube, "selfreview").start().await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let request = app
            .request(Method::GET, "/api/v1/incidents")
            .header("authorization", format!("{scheme} {PROCESSOR}"));
        app.send(request).await.expect(200);
    }
}

#[tokio::test]
async fn a_token_must_be_for_one_of_the_audiences() {
    let kube = cluster().await;
    for (token, audiences) in [
        ("for.us", &["data-storage"][..]),
        ("for.us-and-others", &["vault", "audit"]),
        ("for.others", &["vault"]),
    ] {
        let of = Token::of(PROCESSOR_USER).for_audiences(audiences);
        kube.issue(token, of);
    }
    let app = with(&kube, "tokenreview")
        .variable("auth_audiences", "data-storage, audit")
        .start()
        .await;
    write_as(&app, "for.us").await.expect(201);
    write_as(&app, "for.us-and-others").await.expect(201);
    let refused = ["for.others", PROCESSOR, "unknown.token"].map(bearer);
    for set in &refused {
        let request = new_request(&app, true).header("authorization", &set[0]);
        app.send(request).await.expect_problem(401, "unauthorized");
    }
    let stored = app.database.count("SELECT count(*) FROM incidents").await;
    assert_eq!(stored, 2);
}

#[tokio::test]
async fn a_server_that_does_not_know_of_audiences_lets_nobody_in() {
    let kube = cluster().await;
    let app = with(&kube, "tokenreview")
        .variable("auth_audiences", "data-storage")
        .start()
        .await;
    for audiences in ["", ",\"audiences\":[]", ",\"audiences\":[\"other\"]"] {
        kube.fail_at(
            "tokenreviews",
            kubeapi::Fault::Body(format!(
                r#"{{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":
                {{"authenticated":true,"user":{{"username":"{PROCESSOR_USER}"}}{audiences}}}}}"#
            )),
        );
        let answer = write_as(&app, PROCESSOR).await;
        answer.expect_problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn the_request_of_an_unknown_caller_is_not_looked_at() {
    let kube = cluster().await;
    let app = with(&kube, "selfreview").start().await;
    let post = |body: Vec<u8>| {
        app.request(Method::POST, "/api/v1/audit/remediation?unknown=1")
            .body(body)
    };
    for body in [Vec::new(), b"{".to_vec(), vec![b'a'; 3 * 1024 * 1024]] {
        let answer = app.send(post(body)).await;
        answer.expect_problem(401, "unauthorized");
    }
    let listed = app.get("/api/v1/incidents?limit=none").await;
    listed.expect_problem(401, "unauthorized");
    // A wrong path or method needs no review.
    kube.take_requests();
    let posted = app.request(Method::POST, "/api/v1/incidents");
    app.send(posted)
        .await
        .expect_problem(405, "method-not-allowed");
    app.get("/api/v1/incidents/")
        .await
        .expect_problem(404, "not-found");
    assert_eq!(questions(&kube), Vec::<String>::new());
}

/// Sends a whole request before reading, and returns everything until the connection closes.
async fn send_then_listen(app: &TestApp, head: &str, body: &[u8]) -> String {
    let address = app.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn an_unknown_caller_who_sends_first_and_listens_later_hears_why_it_is_refused() {
    let kube = cluster().await;
    let app = with(&kube, "selfreview").start().await;
    let body = vec![b'a'; 3 * 1024 * 1024];
    let head = |more: &str| {
        format!(
            "POST /api/v1/audit/remediation HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
             content-length: {}\r\n{more}\r\n",
            body.len()
        )
    };
    let answer = send_then_listen(&app, &head(""), &body).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    // A client that expects 100-continue gets the refusal before it sends the body.
    let answer = send_then_listen(&app, &head("expect: 100-continue\r\n"), b"").await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[tokio::test]
async fn an_unknown_caller_who_stalls_is_refused_all_the_same() {
    let kube = cluster().await;
    let app = with(&kube, "selfreview").start().await;
    for request in ["POST /api/v1/audit/remediation", "GET /api/v1/incidents"] {
        let head = format!(
            "{request} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 1000\r\n\r\n"
        );
        let stalled = send_then_listen(&app, &head, b"{");
        let answer = tokio::time::timeout(Duration::from_secs(20), stalled);
        let answer = answer
            .await
            .expect("an answer without the rest of the body");
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
}

#[tokio::test]
async fn a_permission_that_is_taken_back_is_gone() {
    let kube = cluster().await;
    for mode in MODES {
        let app = with(&kube, mode).start().await;
        kube.allow(Rule::on_service("stranger", NAMESPACE, "get"));
        read_as(&app, super::STRANGER).await.expect(200);
        kube.forbid("stranger");
        let answer = read_as(&app, super::STRANGER).await;
        answer.expect_problem(403, "forbidden");
    }
}

#[tokio::test]
async fn the_services_own_token_is_a_callers_like_any_other() {
    let kube = cluster().await;
    let app = with(&kube, "tokenreview").start().await;
    let answer = read_as(&app, OWN_TOKEN).await;
    answer.expect_problem(403, "forbidden");
}
