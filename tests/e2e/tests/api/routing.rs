use e2e::{TestApp, remediation};
use reqwest::Method;

#[tokio::test]
async fn unknown_paths_are_problem_documents() {
    let app = TestApp::start().await;
    for path in [
        "/",
        "/api",
        "/api/v1/audit",
        "/api/v1/audit/unknown",
        "/api/v2/incidents/1",
        "/api/v1/incidents/1/2",
        "/health/dead",
        "/%00",
        "/a%2fb",
        "/health/live/",
        "/healthz/",
        "//healthz",
        "/api/v1/incidents/1/",
        "/api/v1/incidents/1/records/",
        "/api/v1/incidents/1/records/1",
        "/api/v1//incidents/1",
        "/api/v1/incidents/1/similar/",
        "/api/v1/outcomes/",
        "/api/v1/outcomes/1",
        "/api/v1/audit/records/",
        "/api/v1/audit/records/1/",
        "/api/v1/audit/records/1/proofs",
        "/api/v1/audit/records/1/proof/",
        "/api/v1/holds/",
        "/api/v1/holds/1/",
        "/api/v1/holds/1/releases",
        "/api/v1/log/",
        "/api/v1/log/consistency/",
        "/log",
        "/log/v1",
        "/log/v1/checkpoint/",
        "/log/v1/tile",
        "/log/v1/tile/",
        "/log/v1/tile/0",
        "/log/v1/tile/0/0",
        "/log/v1/tile/0/000/",
        "/log/v1/tile/0//000",
        "/log/v1/tile/0/x000%2F000",
        "/log/v1/tile/64/000",
        "/log/v1/tile/entries/x000/000",
    ] {
        let answer = app.get(path).await.expect_problem(404, "not-found");
        assert_eq!(answer.json()["instance"], path, "{answer:?}");
    }
    let request = app.request(Method::POST, "/nowhere").body("x".repeat(1000));
    app.send(request).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn wrong_methods_are_told_which_are_right() {
    let app = TestApp::start().await;
    for (path, allowed) in [
        ("/api/v1/audit/remediation", "POST"),
        ("/api/v1/embeddings/backfill", "POST"),
        ("/api/v1/incidents/1", "GET, HEAD"),
        ("/api/v1/incidents/1/records", "GET, HEAD"),
        ("/api/v1/audit/records", "GET, HEAD"),
        ("/api/v1/audit/records/1", "GET, HEAD"),
        ("/api/v1/audit/records/1/proof", "GET, HEAD"),
        ("/api/v1/incidents/1/similar", "GET, HEAD"),
        ("/api/v1/outcomes", "GET, HEAD"),
        ("/api/v1/holds", "GET, HEAD, POST"),
        ("/api/v1/holds/1", "GET, HEAD"),
        ("/api/v1/holds/1/release", "POST"),
        ("/api/v1/log", "GET, HEAD"),
        ("/api/v1/log/consistency", "GET, HEAD"),
        ("/log/v1/checkpoint", "GET, HEAD"),
        ("/log/v1/tile/0/000", "GET, HEAD"),
        ("/log/v1/tile/entries/000.p/1", "GET, HEAD"),
        ("/health", "GET, HEAD"),
        ("/health/live", "GET, HEAD"),
        ("/readyz", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
        ("/docs", "GET, HEAD"),
        ("/docs/initialize.js", "GET, HEAD"),
    ] {
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::PATCH,
            Method::OPTIONS,
        ] {
            if allowed.contains(method.as_str()) {
                continue;
            }
            let answer = app
                .send(app.request(method, path))
                .await
                .expect_problem(405, "method-not-allowed");
            assert_eq!(answer.header("allow"), allowed, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_parameter_of_a_write_is_refused_by_name() {
    let app = TestApp::start().await;
    let request = app
        .request(Method::POST, "/api/v1/audit/remediation?dryRun=true")
        .header("content-type", "application/json")
        .body(remediation().to_string());
    let answer = app.send(request).await.expect_problem(400, "validation");
    assert_eq!(
        answer.violations(),
        [("dryRun".to_owned(), "unknown".to_owned())]
    );
}

#[tokio::test]
async fn a_healthy_service_is_alive_and_ready() {
    let app = TestApp::start().await;
    for (path, status) in [
        ("/health", "ready"),
        ("/health/ready", "ready"),
        ("/readyz", "ready"),
        ("/health/live", "alive"),
        ("/healthz", "alive"),
    ] {
        let answer = app.get(path).await.expect(200);
        assert_eq!(answer.json()["status"], status, "{answer:?}");
    }
}

#[tokio::test]
async fn every_answer_has_the_requests_correlation_id() {
    let app = TestApp::start().await;
    for path in [
        "/health/live",
        "/nowhere",
        "/api/v1/incidents/0",
        "/api/v1/audit/remediation",
    ] {
        let request = app
            .request(Method::GET, path)
            .header("x-correlation-id", "probe-1");
        assert_eq!(
            app.send(request).await.header("x-correlation-id"),
            "probe-1",
            "{path}"
        );
    }
}
