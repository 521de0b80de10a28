use e2e::{Answer, TestApp, record, set, unique};
use serde_json::json;
use url::form_urlencoded::byte_serialize;

async fn search(app: &TestApp, text: &str, namespace: &str, parameters: &str) -> Answer {
    let text: String = byte_serialize(text.as_bytes()).collect();
    let path = format!("/api/v1/incidents/search?q={text}&namespace={namespace}{parameters}");
    app.get(&path).await.expect(200)
}

fn found(answer: &Answer) -> Vec<(String, f64)> {
    let data = answer.json()["data"].as_array().unwrap().clone();
    data.iter()
        .map(|item| {
            let id = item["correlation_id"].as_str().unwrap().to_owned();
            (id, item["similarity"].as_f64().unwrap())
        })
        .collect()
}

/// Stores a remediation and, with a root cause, an analysis. Returns the correlation id.
async fn store(app: &TestApp, namespace: &str, alert: &str, root_cause: Option<&str>) -> String {
    let mut remediation = record("remediation");
    let fields = json!({ "targetNamespace": namespace, "signalName": alert, "severity": "high" });
    set(&mut remediation, fields);
    app.post_remediation(&remediation).await.expect(201);
    if let Some(root_cause) = root_cause {
        let mut analysis = record("aianalysis");
        let correlation_id = remediation["correlationId"].clone();
        set(
            &mut analysis,
            json!({ "correlationId": correlation_id, "rootCause": root_cause }),
        );
        app.post_record("aianalysis", &analysis).await.expect(201);
    }
    remediation["correlationId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_nearest_incident_comes_first_whichever_of_its_records_is_near() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let cause = "the connection pool of the checkout database is exhausted";
    let pool = store(&app, &namespace, "HttpErrorRateHigh", Some(cause)).await;
    let disk = store(
        &app,
        &namespace,
        "NodeDiskPressure",
        Some("old images fill the disk"),
    )
    .await;

    let exact = search(&app, cause, &namespace, "").await;
    assert_eq!(found(&exact)[0], (pool.clone(), 1.0), "{exact:?}");
    let near = search(
        &app,
        "database connections exhausted, pool too small",
        &namespace,
        "",
    )
    .await;
    let near = found(&near);
    assert_eq!(near[0].0, pool);
    assert!((0.2..1.0).contains(&near[0].1), "{near:?}");
    let alert = search(&app, "NodeDiskPressure", &namespace, "").await;
    assert_eq!(found(&alert)[0], (disk, 1.0));
    let item = exact.json()["data"][0].clone();
    assert_eq!(item["alert_name"], "HttpErrorRateHigh");
    let single = app
        .get(&format!("/api/v1/incidents/{}", item["id"]))
        .await
        .expect(200);
    for (name, value) in item.as_object().unwrap() {
        if name != "similarity" {
            assert_eq!(*value, single.json()[name], "{name}");
        }
    }
    assert_eq!(item.as_object().unwrap().len(), 22, "{item}");
    assert_eq!(exact.json()["embedding_model"], "static-v1");
}

#[tokio::test]
async fn a_search_is_limited_and_shows_the_latest_of_equally_similar_incidents_first() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let alert = "HighMemoryUsage";
    let mut all = Vec::new();
    for _ in 0..12 {
        all.push((store(&app, &namespace, alert, None).await, 1.0));
    }
    all.reverse();
    for (limit, count) in [("", 10), ("&limit=3", 3), ("&limit=100", 12)] {
        let answer = search(&app, alert, &namespace, limit).await;
        assert_eq!(found(&answer), all[..count], "{answer:?}");
    }
}

#[tokio::test]
async fn what_is_not_similar_at_all_is_not_found() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let alike = store(&app, &namespace, "HighMemoryUsage", None).await;
    // Its similarity to the other is negative.
    let unlike = store(&app, &namespace, "CertificateExpiry", None).await;
    for parameters in ["&limit=100", "&limit=100&min_similarity=0"] {
        let answer = search(&app, "HighMemoryUsage", &namespace, parameters).await;
        assert_eq!(found(&answer), [(alike.clone(), 1.0)], "{answer:?}");
    }
    let answer = search(&app, "CertificateExpiry", &namespace, "").await;
    assert_eq!(found(&answer), [(unlike, 1.0)], "{answer:?}");
}

#[tokio::test]
async fn min_similarity_is_compared_with_what_is_shown() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    for cause in [
        "the connection pool of the checkout database is exhausted",
        "the pool of database connections is too small",
        "checkout waits for a lock in the database",
        "a database migration holds a lock",
    ] {
        store(&app, &namespace, "HttpErrorRateHigh", Some(cause)).await;
    }
    let text = "database connections are exhausted";
    let everything = found(&search(&app, text, &namespace, "").await);
    assert!(everything.len() > 2, "{everything:?}");
    assert!(everything.is_sorted_by(|one, next| one.1 >= next.1));
    for (place, (_, similarity)) in everything.iter().enumerate() {
        // Positive, with at most four decimals.
        assert_eq!(format!("{similarity:.4}").parse(), Ok(*similarity));
        assert!(*similarity > 0.0 && *similarity < 1.0, "{similarity}");
        let at = format!("&min_similarity={similarity}");
        let answer = search(&app, text, &namespace, &at).await;
        assert_eq!(found(&answer), everything[..=place], "{answer:?}");
        let above = format!("&min_similarity={:.5}", similarity + 0.000_01);
        let answer = search(&app, text, &namespace, &above).await;
        assert_eq!(found(&answer), everything[..place], "{answer:?}");
    }
}

#[tokio::test]
async fn any_text_may_be_searched_for() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    store(&app, &namespace, "HighMemoryUsage", None).await;
    for text in [
        "!!!",
        "日本語",
        "'; DROP TABLE embeddings; --",
        "\u{1f525}",
        "x",
    ] {
        for (_, similarity) in found(&search(&app, text, &namespace, "").await) {
            assert!(
                similarity > 0.0 && similarity <= 1.0,
                "{text}: {similarity}"
            );
        }
    }
    search(&app, &"ü".repeat(8192), &namespace, "").await;
}

#[tokio::test]
async fn a_parameter_that_cannot_be_used_is_refused_by_name() {
    let app = TestApp::start().await;
    let long = format!("q={}", "x".repeat(8193));
    for (query, field, rule) in [
        ("", "q", "required"),
        ("limit=1", "q", "required"),
        ("q=", "q", "required"),
        ("q=%20", "q", "format"),
        ("q=+", "q", "format"),
        ("q=%09%0A%0D+%C2%A0%E3%80%80", "q", "format"),
        ("q=a&q=b", "q", "duplicate"),
        ("q=a&limit=1&limit=1", "limit", "duplicate"),
        ("q=a&limit=", "limit", "empty"),
        ("q=a&min_similarity=", "min_similarity", "empty"),
        (
            "q=a&min_similarity=0&min_similarity=0",
            "min_similarity",
            "duplicate",
        ),
        ("q=a&cluster=", "cluster", "empty"),
        ("q=a&cluster=b&cluster=b", "cluster", "duplicate"),
        ("q=a&count=none", "count", "unknown"),
        (
            "q=a&since=2026-11-01T10:00:01Z&until=2026-11-01T10:00:00Z",
            "until",
            "order",
        ),
        (&long, "q", "length"),
        ("q=%ff", "q", "utf-8"),
        ("q=%00", "q", "nul"),
        ("q=%ff&q=a", "q", "utf-8"),
        ("q=a&limit=0", "limit", "range"),
        ("q=a&limit=101", "limit", "range"),
        ("q=a&offset=1", "offset", "unknown"),
        ("q=a&cursor=x", "cursor", "unknown"),
        ("q=a&min_similarity=-0.1", "min_similarity", "range"),
        ("q=a&min_similarity=1.0001", "min_similarity", "range"),
        ("q=a&min_similarity=NaN", "min_similarity", "range"),
        ("q=a&min_similarity=1e1", "min_similarity", "range"),
        ("q=a&min_similarity=inf", "min_similarity", "range"),
        ("q=a&min_similarity=.", "min_similarity", "type"),
        ("q=a&status=done", "status", "enum"),
    ] {
        let path = format!("/api/v1/incidents/search?{query}");
        let answer = app.get(&path).await.expect_problem(400, "validation");
        let expected = [(field.to_owned(), rule.to_owned())];
        assert_eq!(answer.violations(), expected, "{answer:?}");
    }
}

#[tokio::test]
async fn a_missing_text_is_told_with_all_else_that_is_wrong() {
    let app = TestApp::start().await;
    let answer = app
        .get("/api/v1/incidents/search?query=a&limit=0")
        .await
        .expect_problem(400, "validation");
    let mut violations = answer.violations();
    violations.sort_unstable();
    let expected = [("limit", "range"), ("q", "required"), ("query", "unknown")];
    let expected = expected.map(|(field, rule)| (field.to_owned(), rule.to_owned()));
    assert_eq!(violations, expected, "{answer:?}");
}

#[tokio::test]
async fn head_answers_like_get_without_the_body() {
    let app = TestApp::start().await;
    let path = "/api/v1/incidents/search?q=memory";
    let get = app.get(path).await.expect(200);
    let head = app
        .send(app.request(reqwest::Method::HEAD, path))
        .await
        .expect(200);
    assert_eq!(head.text, "");
    assert_eq!(head.header("content-type"), get.header("content-type"));
}
