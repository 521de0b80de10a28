//! The OpenAPI document: the service serves it, its routes match the application's, and a case
//! covers each operation.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use e2e::{Answer, TestApp, record};
use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value, json};

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

/// A request for an operation: its path, the body to post, if any, and the expected status.
struct Case {
    path: String,
    body: Option<Value>,
    status: u16,
    is_post: bool,
}

async fn case(app: &TestApp, operation: &str) -> Option<Case> {
    let get = |path: &str| Case {
        path: path.to_owned(),
        body: None,
        status: 200,
        is_post: false,
    };
    let create = |path: &str, body: Value| Case {
        path: path.to_owned(),
        body: Some(body),
        status: 201,
        is_post: true,
    };
    let post = |kind: &str| create(&format!("/api/v1/audit/{kind}"), record(kind));
    Some(match operation {
        "store_remediation_record" => post("remediation"),
        "store_aianalysis_record" => post("aianalysis"),
        "store_workflow_record" => post("workflow"),
        "store_execution_record" => post("execution"),
        "store_event_record" => post("event"),
        "store_batch" => create(
            "/api/v1/audit/batch",
            json!([{"kind": "event", "record": record("event")}]),
        ),
        "list_records" => get("/api/v1/audit/records?limit=1"),
        "list_incident_records" => {
            let stored = app.post_record("workflow", &record("workflow")).await;
            get(&format!(
                "{}/records",
                stored.expect(201).header("location")
            ))
        }
        "find_record" => get(proof(app).await.strip_suffix("/proof").unwrap()),
        "prove_inclusion" => get(&proof(app).await),
        "read_log" => get("/api/v1/log"),
        "prove_consistency" => get("/api/v1/log/consistency?from=0"),
        "read_checkpoint" => get("/log/v1/checkpoint"),
        "read_tile" => get(&format!("/log/v1/tile/0/{}", first_tile(app).await)),
        "read_entries" => get(&format!("/log/v1/tile/entries/{}", first_tile(app).await)),
        "list_holds" => get("/api/v1/holds?limit=1"),
        "place_hold" => create("/api/v1/holds", hold()),
        "find_hold" => get(&place_hold(app).await),
        "release_hold" => create(
            &format!("{}/release", place_hold(app).await),
            json!({"reason": "done"}),
        ),
        "list_incidents" => get("/api/v1/incidents?limit=1"),
        "search_incidents" => get("/api/v1/incidents/search?q=memory&limit=1"),
        "find_outcomes" => get("/api/v1/outcomes?namespace=production"),
        "find_similar_incidents" => {
            let stored = app.post_record("workflow", &record("workflow")).await;
            let stored = stored.expect(201);
            get(&format!("{}/similar?limit=1", stored.header("location")))
        }
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

/// The path of the proof of a new record.
async fn proof(app: &TestApp) -> String {
    let stored = app.post_record("workflow", &record("workflow")).await;
    let stored = stored.expect(201).json();
    stored["log"]["proof"].as_str().unwrap().to_owned()
}

/// The index of the first tile of a log with at least one leaf.
async fn first_tile(app: &TestApp) -> String {
    app.get(&proof(app).await).await.expect(200);
    let state = app.get("/api/v1/log").await.expect(200).json();
    match state["size"].as_u64().unwrap() {
        size @ 1..256 => format!("000.p/{size}"),
        _ => "000".to_owned(),
    }
}

fn hold() -> Value {
    json!({"correlationId": e2e::unique("req"), "reason": "inquiry"})
}

/// The path of a new hold.
async fn place_hold(app: &TestApp) -> String {
    let placed = app.send(json_post(app, "/api/v1/holds", &hold())).await;
    placed.expect(201).header("location").to_owned()
}

fn json_post(app: &TestApp, path: &str, body: &Value) -> RequestBuilder {
    app.request(Method::POST, path)
        .header("content-type", "application/json")
        .body(body.to_string())
}

fn is_of_template(path: &str, template: &str) -> bool {
    let path = path.split('?').next().unwrap();
    let segments = path.split('/').count();
    let expected = template.split('/').count();
    // The index of a tile may have several segments.
    (segments == expected || segments > expected && template.ends_with("{index}"))
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
            let request = match case.body {
                Some(body) => json_post(&app, &case.path, &body),
                None if case.is_post => app.request(Method::POST, &case.path),
                None => app.request(Method::GET, &case.path),
            };
            let answer = app.send(request).await.expect(case.status);
            let described = &operation["responses"][case.status.to_string()];
            assert_as_described(&answer, described);
        }
    }
}

#[tokio::test]
async fn the_documents_examples_of_records_batches_and_holds_are_stored() {
    let app = TestApp::start().await;
    for (mut path, operations) in paths() {
        let content = &operations["post"]["requestBody"]["content"]["application/json"];
        let mut example = content["example"].clone();
        if example.is_null() {
            continue;
        }
        if path.contains('{') {
            path = format!("{}/release", place_hold(&app).await);
        } else if let Some(items) = example.as_array_mut() {
            for item in items {
                item["record"]["correlationId"] = Value::from(e2e::unique("req"));
            }
        } else {
            example["correlationId"] = Value::from(e2e::unique("req"));
        }
        app.send(json_post(&app, &path, &example)).await.expect(201);
    }
}

#[test]
fn the_document_has_the_routes_that_the_application_has() {
    let manifest = fs::read_to_string(project().join("spin.toml")).unwrap();
    let routes: BTreeSet<_> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("route = \"")?.strip_suffix('"'))
        .filter(|route| *route != "/...")
        .flat_map(|route| match route.strip_suffix("/...") {
            Some("/log/v1/tile") => {
                vec!["/log/v1/tile/:level/:index", "/log/v1/tile/entries/:index"]
            }
            _ => vec![route],
        })
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
    let hold = place_hold(&app).await;
    let proof = proof(&app).await;
    // What has no leaf changes when it gets one.
    app.get("/log/v1/checkpoint").await.expect(200);
    let timeline = format!("{}/records?limit=1", stored.header("location"));
    for path in [
        "/openapi.json",
        "/docs",
        "/docs/swagger-ui.css",
        stored.header("location"),
        &timeline,
        &hold,
        proof.strip_suffix("/proof").unwrap(),
        &format!("/api/v1/outcomes?correlation_id={}", e2e::unique("req")),
        &format!(
            "{}/similar?correlation_id={}",
            stored.header("location"),
            e2e::unique("req")
        ),
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
