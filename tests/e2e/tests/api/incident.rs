use e2e::{KINDS, TestApp, record, remediation, set, unique};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn an_id_that_no_incident_has_is_not_found() {
    let app = TestApp::start().await;
    app.get("/api/v1/incidents/9223372036854775807")
        .await
        .expect_problem(404, "not-found");
}

#[tokio::test]
async fn an_id_that_cannot_be_one_is_refused_by_name() {
    let app = TestApp::start().await;
    for id in [
        "0",
        "-1",
        "+1",
        "01",
        "1.0",
        "1e3",
        "abc",
        "%31",
        "１",
        "%20",
        "null",
        "9223372036854775808",
        "99999999999999999999999999999",
        "1;drop",
        "1'",
    ] {
        let answer = app
            .get(&format!("/api/v1/incidents/{id}"))
            .await
            .expect_problem(400, "validation");
        assert_eq!(
            answer.violations(),
            [("id".to_owned(), "format".to_owned())]
        );
    }
}

#[tokio::test]
async fn a_parameter_is_refused_by_name() {
    let app = TestApp::start().await;
    let answer = app
        .get("/api/v1/incidents/1?fields=id&limit=3")
        .await
        .expect_problem(400, "validation");
    let unknown = |name: &str| (name.to_owned(), "unknown".to_owned());
    assert_eq!(answer.violations(), [unknown("fields"), unknown("limit")]);
}

#[tokio::test]
async fn head_answers_like_get_without_the_body() {
    let app = TestApp::start().await;
    let stored = app.post_remediation(&remediation()).await.expect(201);
    let get = app.get(stored.header("location")).await.expect(200);
    let head = app
        .send(app.request(Method::HEAD, stored.header("location")))
        .await
        .expect(200);
    assert_eq!(head.text, "");
    for header in ["content-type", "x-correlation-id", "cache-control"] {
        assert_eq!(head.header(header), get.header(header), "{header}");
    }
}

#[tokio::test]
async fn head_is_answered_over_http_2() {
    let app = TestApp::start().await;
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .no_proxy()
        .build()
        .unwrap();
    for (path, status) in [("/health/live", 200), ("/nowhere", 404)] {
        let answer = client
            .head(format!("{}{path}", app.url))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.bytes().await.unwrap().len(), 0, "{path}");
    }
}

#[tokio::test]
async fn the_correlation_id_of_an_incident_is_its_own() {
    let app = TestApp::start().await;
    let record = remediation();
    let stored = app.post_remediation(&record).await.expect(201);
    let incident = app.get(stored.header("location")).await.expect(200);
    assert_eq!(
        incident.header("x-correlation-id"),
        record["correlationId"].as_str().unwrap()
    );
}

#[tokio::test]
async fn a_correlation_id_that_is_given_twice_is_none() {
    let app = TestApp::start().await;
    let record = remediation();
    let stored = app.post_remediation(&record).await.expect(201);
    let request = app
        .request(Method::GET, stored.header("location"))
        .header("x-correlation-id", "one")
        .header("x-correlation-id", "other");
    let incident = app.send(request).await.expect(200);
    assert_eq!(
        incident.header("x-correlation-id"),
        record["correlationId"].as_str().unwrap()
    );
}

#[tokio::test]
async fn an_incident_that_has_not_changed_is_not_sent_again() {
    let app = TestApp::start().await;
    let mut record = remediation();
    let stored = app.post_remediation(&record).await.expect(201);
    let path = stored.header("location");
    let first = app.get(path).await.expect(200);
    let tag = first.header("etag").to_owned();
    assert_eq!(first.header("cache-control"), "private, no-cache");
    let ask = async |method: Method, if_none_match: &str| {
        let request = app.request(method, path);
        app.send(request.header("if-none-match", if_none_match))
            .await
    };
    for named in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        for method in [Method::GET, Method::HEAD] {
            let answer = ask(method, &named).await.expect(304);
            assert_eq!(answer.text, "");
            assert_eq!(answer.header("etag"), tag);
            assert_eq!(answer.header("content-type"), "");
            assert!(!answer.header("x-correlation-id").is_empty());
        }
    }
    ask(Method::GET, "\"x\"").await.expect(200);
    // Several lines of a header form one list.
    for (lines, status) in [
        ([tag.as_str(), "\"x\""], 304),
        (["\"x\"", tag.as_str()], 304),
        (["\"x\"", "\"y\""], 200),
    ] {
        let request = app.request(Method::GET, path);
        let request = request.header("if-none-match", lines[0]);
        let answer = app.send(request.header("if-none-match", lines[1])).await;
        assert_eq!(answer.status, status, "{lines:?}: {answer:?}");
    }

    record["phase"] = "Processing".into();
    app.post_remediation(&record).await.expect(201);
    let changed = ask(Method::GET, &tag).await.expect(200);
    assert_ne!(changed.header("etag"), tag);
    assert_eq!(changed.json()["remediation"]["phase"], "Processing");
}

#[tokio::test]
async fn records_are_listed_in_the_order_they_were_stored() {
    let app = TestApp::start().await;
    let correlation_id = unique("req");
    let mut expected = Vec::new();
    let mut last = None;
    // Newest first, and a version that does not show.
    for (second, kind) in KINDS.iter().enumerate().rev().chain([(7, &"execution")]) {
        let mut record = record(kind);
        set(
            &mut record,
            json!({
                "correlationId": correlation_id, "name": format!("{kind}-1"), "phase": "Processing",
                "createdAt": format!("2026-11-01T10:00:0{second}Z"),
                "startedAt": "2026-11-01T12:00:08.25+02:00",
            }),
        );
        let stored = app.post_record(kind, &record).await.expect(201);
        expected.push(json!({
            "id": stored.json()["id"], "kind": kind, "namespace": "kubernaut-system",
            "name": format!("{kind}-1"), "phase": "Processing",
            "created_at": record["createdAt"], "started_at": "2026-11-01T10:00:08.250Z",
            "completed_at": null, "recorded_at": stored.json()["createdAt"],
            "embedding_model": "static-v1",
        }));
        last = Some(stored);
    }
    let mut incident = app.incident_of(&last.unwrap()).await;
    assert_eq!(incident["record_count"], KINDS.len() + 1);
    for (record, expected) in incident["records"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .zip(&expected)
    {
        // The timestamp here is as short as possible, the other always has microseconds.
        let recorded_at = record["recorded_at"]
            .as_str()
            .unwrap()
            .trim_end_matches('Z');
        assert!(
            expected["recorded_at"]
                .as_str()
                .unwrap()
                .starts_with(recorded_at),
            "{record}"
        );
        record["recorded_at"] = expected["recorded_at"].clone();
    }
    assert_eq!(incident["records"], json!(expected));
}
