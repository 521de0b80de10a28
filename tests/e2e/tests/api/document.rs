//! The OpenAPI document: the service serves it, its routes match the application's, and a case
//! covers each operation.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use e2e::{Answer, TestApp, record};
use reqwest::Method;
use serde_json::{Map, Value};

fn project() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap().to_owned()
}

fn checked_in() -> String {
    fs::read_to_string(project().join("openapi.json")).unwrap()
}

fn paths() -> Map<String, Value> {
    let document: Value = serde_json::from_str(&checked_in()).unwrap();
    document["paths"].as_object().unwrap().clone()
}

/// A request for an operation: its path, and the kind of record to post, if any.
struct Case {
    path: String,
    record: Option<&'static str>,
    is_post: bool,
}

async fn case(app: &TestApp, operation: &str) -> Option<Case> {
    let get = |path: &str| Case {
        path: path.to_owned(),
        record: None,
        is_post: false,
    };
    let post = |kind: &'static str| Case {
        path: format!("/api/v1/audit/{kind}"),
        record: Some(kind),
        is_post: true,
    };
    Some(match operation {
        "store_remediation_record" => post("remediation"),
        "store_aianalysis_record" => post("aianalysis"),
        "store_workflow_record" => post("workflow"),
        "store_execution_record" => post("execution"),
        "list_incidents" => get("/api/v1/incidents?limit=1"),
        "search_incidents" => get("/api/v1/incidents/search?q=memory&limit=1"),
        "backfill_embeddings" => Case {
            is_post: true,
            ..get("/api/v1/embeddings/backfill?limit=0")
        },
        "find_incident" => {
            let stored = app.post_record("workflow", &record("workflow")).await;
            get(stored.expect(201).header("location"))
        }
        "check_health" => get("/health"),
        "check_readiness" => get("/health/ready"),
        "check_readyz" => get("/readyz"),
        "check_liveness" => get("/health/live"),
        "check_healthz" => get("/healthz"),
        "read_metrics" => get("/metrics"),
        "read_openapi_document" => get("/openapi.json"),
        "read_docs" => get("/docs"),
        "read_docs_file" => get("/docs/initialize.js"),
        _ => return None,
    })
}

fn is_of_template(path: &str, template: &str) -> bool {
    let path = path.split('?').next().unwrap();
    path.split('/').count() == template.split('/').count()
        && path
            .split('/')
            .zip(template.split('/'))
            .all(|(segment, expected)| expected.starts_with('{') || segment == expected)
}

fn assert_as_described(answer: &Answer, described: &Value) {
    for (header, of) in described["headers"].as_object().unwrap() {
        let is_there = !answer.header(header).is_empty();
        assert!(is_there || of["required"] != true, "{header}: {answer:?}");
    }
    let content_type = answer.header("content-type");
    let content = described["content"].as_object().unwrap();
    assert!(content.contains_key(content_type), "{answer:?}");
}

#[tokio::test]
async fn every_operation_has_a_case_and_answers_as_described() {
    let app = TestApp::start().await;
    for (template, operations) in paths() {
        for (method, operation) in operations.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            let Some(case) = case(&app, name).await else {
                panic!("{method} {template} ({name}) has no end-to-end case: give it one here");
            };
            assert!(is_of_template(&case.path, &template), "{}", case.path);
            let (answer, status) = match case.record {
                Some(kind) => (app.post_record(kind, &record(kind)).await, 201),
                None if case.is_post => {
                    let request = app.request(Method::POST, &case.path);
                    (app.send(request).await, 200)
                }
                None => (app.get(&case.path).await, 200),
            };
            let answer = answer.expect(status);
            assert_as_described(&answer, &operation["responses"][status.to_string()]);
        }
    }
}

#[tokio::test]
async fn the_documents_example_of_a_record_is_stored() {
    let app = TestApp::start().await;
    for (path, operations) in paths() {
        let content = &operations["post"]["requestBody"]["content"]["application/json"];
        let mut example = content["example"].clone();
        if example.is_null() {
            continue;
        }
        example["correlationId"] = Value::from(e2e::unique("req"));
        let kind = path.rsplit('/').next().unwrap();
        app.post_record(kind, &example).await.expect(201);
    }
}

#[test]
fn the_document_has_the_routes_that_the_application_has() {
    let manifest = fs::read_to_string(project().join("spin.toml")).unwrap();
    let routes: BTreeSet<_> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("route = \"")?.strip_suffix('"'))
        .filter(|route| *route != "/...")
        .map(|route| {
            let segments = route
                .split('/')
                .map(|segment| match segment.strip_prefix(':') {
                    Some(name) => format!("{{{name}}}"),
                    None => segment.to_owned(),
                });
            segments.collect::<Vec<_>>().join("/")
        })
        .collect();
    let described: BTreeSet<_> = paths().keys().cloned().collect();
    assert_eq!(routes, described);
}

#[tokio::test]
async fn the_document_that_is_served_is_the_one_that_is_checked_in() {
    let app = TestApp::start().await;
    let answer = app.get("/openapi.json").await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.text, checked_in());
}

#[tokio::test]
async fn the_page_is_made_of_what_the_service_has() {
    let app = TestApp::start().await;
    let page = app.get("/docs").await.expect(200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
    assert!(!policy.contains("unsafe") && !policy.contains("http"));
    let links = page.text.split(['"', '\'']).skip(1).step_by(2);
    let files: Vec<_> = links.filter(|link| link.contains('/')).collect();
    assert!(files.len() > 3, "{page:?}");
    for file in files.iter().filter(|file| file.starts_with("docs/")) {
        let answer = app.get(&format!("/{file}")).await.expect(200);
        let (_, extension) = file.rsplit_once('.').unwrap();
        let content_type = match extension {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            _ => "image/png",
        };
        assert_eq!(answer.header("content-type"), content_type, "{file}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(!answer.text.is_empty());
    }
    assert!(!page.text.contains("://"), "{page:?}");
}

#[tokio::test]
async fn what_a_caller_has_already_is_not_sent_again() {
    let app = TestApp::start().await;
    let stored = app.post_record("workflow", &record("workflow")).await;
    for path in [
        "/openapi.json",
        "/docs",
        "/docs/swagger-ui.css",
        stored.header("location"),
    ] {
        let first = app.get(path).await.expect(200);
        let etag = first.header("etag");
        assert_eq!(first.header("cache-control"), "private, no-cache");
        for (tags, method, status) in [
            (etag.to_owned(), Method::GET, 304),
            (format!("\"other\", W/{etag}"), Method::GET, 304),
            (etag.to_owned(), Method::HEAD, 304),
            ("\"other\"".to_owned(), Method::GET, 200),
            ("\"other\"".to_owned(), Method::HEAD, 200),
        ] {
            let request = app.request(method, path).header("if-none-match", tags);
            let again = app.send(request).await.expect(status);
            assert_eq!(again.header("etag"), etag, "{again:?}");
            assert_eq!(again.text.is_empty(), again.text != first.text, "{again:?}");
            assert!(!again.header("x-correlation-id").is_empty(), "{again:?}");
        }
    }
}

#[tokio::test]
async fn an_incident_that_has_changed_is_sent_again() {
    let app = TestApp::start().await;
    let mut record = record("workflow");
    let stored = app.post_record("workflow", &record).await.expect(201);
    let incident = stored.header("location");
    let before = app.get(incident).await.expect(200);
    record["phase"] = Value::from("Completed");
    app.post_record("workflow", &record).await.expect(201);
    let request = app
        .request(Method::GET, incident)
        .header("if-none-match", before.header("etag"));
    let after = app.send(request).await.expect(200);
    assert_ne!(after.header("etag"), before.header("etag"));
}

#[tokio::test]
async fn what_is_no_file_of_the_page_is_not_found() {
    let app = TestApp::start().await;
    for path in ["/docs/", "/docs/none.js", "/docs/a/b", "/openapi.json/"] {
        app.get(path).await.expect_problem(404, "not-found");
    }
}
