//! Every rule of a remediation record at its limit and one past it.

use e2e::{TestApp, remediation};
use serde_json::{Value, json};

async fn rules(app: &TestApp, field: &str, value: Value) -> Vec<(String, String)> {
    let mut record = remediation();
    record[field] = value;
    let answer = app.post_remediation(&record).await;
    match answer.status {
        201 => Vec::new(),
        _ => answer.expect_problem(400, "validation").violations(),
    }
}

#[tokio::test]
async fn every_required_field_is_required() {
    let app = TestApp::start().await;
    let answer = app
        .post_remediation(&json!({}))
        .await
        .expect_problem(400, "validation");
    let required = [
        "name",
        "namespace",
        "phase",
        "createdAt",
        "correlationId",
        "signalType",
        "signalName",
        "targetType",
        "targetName",
    ];
    let expected: Vec<_> = required
        .map(|field| (field.to_owned(), "required".to_owned()))
        .into();
    assert_eq!(answer.violations(), expected);
    for field in required {
        let expected = vec![(field.to_owned(), "required".to_owned())];
        assert_eq!(rules(&app, field, Value::Null).await, expected);
    }
}

#[tokio::test]
async fn all_violations_are_reported_at_once() {
    let app = TestApp::start().await;
    let mut record = remediation();
    record["name"] = json!("Not_Valid");
    record["phase"] = json!("Paused");
    record["startedAt"] = json!("2026-10-02T00:00:00Z");
    record["completedAt"] = json!("2026-10-01T00:00:00Z");
    record["severity"] = json!("x".repeat(65));
    record["originalPayload"] = json!("%%%");
    record["surprise"] = json!(1);
    let body = record
        .to_string()
        .replacen('{', r#"{"reason":"a","reason":"b","#, 1);

    let answer = app
        .post_remediation_bytes(body)
        .await
        .expect_problem(400, "validation");

    let expected = [
        ("reason", "duplicate"),
        ("name", "format"),
        ("phase", "enum"),
        ("completedAt", "order"),
        ("severity", "length"),
        ("originalPayload", "format"),
        ("surprise", "unknown"),
    ];
    let expected = expected.map(|(field, rule)| (field.to_owned(), rule.to_owned()));
    assert_eq!(answer.violations(), expected);
    let correlation_id = record["correlationId"].as_str().unwrap();
    let stored =
        format!("SELECT count(*) FROM incidents WHERE correlation_id = '{correlation_id}'");
    assert_eq!(app.database.count(&stored).await, 0);
}

#[tokio::test]
async fn texts_are_accepted_at_their_limits_and_refused_one_past_them() {
    let app = TestApp::start().await;
    let text = |part: &str, times: usize| json!(part.repeat(times));
    for (field, accepted, refused, rule) in [
        ("name", text("a", 255), text("a", 256), "length"),
        ("namespace", text("a", 63), text("a", 64), "length"),
        ("signalNamespace", text("a", 63), text("a", 64), "length"),
        ("targetNamespace", text("a", 63), text("a", 64), "length"),
        (
            "message",
            text("é", 5120),
            json!("é".repeat(5120) + "x"),
            "length",
        ),
        ("reason", text("é", 255), text("é", 256), "length"),
        ("correlationId", text("c", 128), text("c", 129), "length"),
        ("signalType", text("😀", 255), text("😀", 256), "length"),
        ("signalName", text("n", 255), text("n", 256), "length"),
        ("targetType", text("t", 255), text("t", 256), "length"),
        ("targetName", text("t", 255), text("t", 256), "length"),
        ("cluster", text("c", 255), text("c", 256), "length"),
        ("severity", text("é", 64), text("é", 65), "length"),
        ("environment", text("é", 64), text("é", 65), "length"),
        ("priority", text("é", 16), text("é", 17), "length"),
        (
            "originalPayload",
            json!("AAAA".repeat(65_536 / 3) + "AA=="),
            json!("AAAA".repeat(65_536 / 3) + "AAA="),
            "length",
        ),
    ] {
        assert_eq!(rules(&app, field, accepted).await, [], "{field}");
        assert_eq!(
            rules(&app, field, refused).await,
            [(field.to_owned(), rule.to_owned())]
        );
    }
    for field in [
        "name",
        "namespace",
        "correlationId",
        "signalName",
        "targetType",
    ] {
        assert_eq!(
            rules(&app, field, json!("")).await,
            [(field.to_owned(), "required".to_owned())]
        );
    }
    for field in [
        "message",
        "reason",
        "signalNamespace",
        "targetNamespace",
        "cluster",
        "fingerprint",
        "originalPayload",
    ] {
        for unset in [json!(""), Value::Null] {
            assert_eq!(rules(&app, field, unset).await, [], "{field}");
        }
    }
}

#[tokio::test]
async fn forms_are_checked() {
    let app = TestApp::start().await;
    for (field, values, rule) in [
        (
            "name",
            vec!["A", "a_b", "-a", "a-", "a..b", ".a", "ä"],
            "format",
        ),
        ("namespace", vec!["a.b", "A", "-a"], "format"),
        ("signalNamespace", vec!["a.b", "A", " "], "format"),
        ("targetNamespace", vec!["a.b", "A", " "], "format"),
        ("correlationId", vec!["a b", "a/b", "ü", "a\n"], "format"),
        ("phase", vec!["pending", "Done", " "], "enum"),
        ("fingerprint", vec!["ab", "zz"], "format"),
        (
            "originalPayload",
            vec!["A", "AA", "AA==\n", "_-__", "A A="],
            "format",
        ),
        (
            "createdAt",
            vec![
                "2026-11-01",
                "2026-11-01T10:00:00",
                "2026-02-30T00:00:00Z",
                "now",
                " ",
            ],
            "format",
        ),
        ("startedAt", vec!["2026-11-01 10:00:00Z"], "format"),
    ] {
        for value in values {
            let broken = rules(&app, field, json!(value)).await;
            assert_eq!(broken, [(field.to_owned(), rule.to_owned())], "{value:?}");
        }
    }
    for fingerprint in ["Ab".repeat(32), format!("sha256:{}", "0f".repeat(32))] {
        assert_eq!(rules(&app, "fingerprint", json!(fingerprint)).await, []);
    }
    for fingerprint in ["0g".repeat(32), format!("SHA256:{}", "0f".repeat(32))] {
        assert_eq!(
            rules(&app, "fingerprint", json!(fingerprint)).await,
            [("fingerprint".to_owned(), "format".to_owned())]
        );
    }
}

#[tokio::test]
async fn a_value_of_another_type_is_refused() {
    let app = TestApp::start().await;
    for value in [json!(1), json!(true), json!([]), json!({})] {
        for (field, rule) in [
            ("name", "type"),
            ("message", "type"),
            ("phase", "enum"),
            ("createdAt", "format"),
            ("originalPayload", "type"),
        ] {
            let broken = rules(&app, field, value.clone()).await;
            assert_eq!(broken, [(field.to_owned(), rule.to_owned())], "{value}");
        }
    }
    for labels in [json!([]), json!("a"), json!(1)] {
        assert_eq!(
            rules(&app, "labels", labels).await,
            [("labels".to_owned(), "type".to_owned())]
        );
    }
}

#[tokio::test]
async fn times_are_in_order() {
    let app = TestApp::start().await;
    for (started, completed, expected) in [
        (
            json!("2026-11-01T10:00:00Z"),
            json!("2026-11-01T10:00:00Z"),
            vec![],
        ),
        // Clocks may differ from that of createdAt, 10:00:00.
        (
            json!("2026-11-01T11:59:59+02:00"),
            json!("2026-11-01T09:59:59.999Z"),
            vec![],
        ),
        // Compared at the precision of both.
        (
            json!("2026-11-01T10:00:02.9Z"),
            json!("2026-11-01T10:00:02Z"),
            vec![],
        ),
        (
            json!("2026-11-01T10:00:02.123456Z"),
            json!("2026-11-01T10:00:02.123Z"),
            vec![],
        ),
        (
            json!("2026-11-01T10:00:02.123Z"),
            json!("2026-11-01T10:00:02.122999Z"),
            vec![("completedAt", "order")],
        ),
        (
            json!("2026-11-01T10:00:02Z"),
            json!("2026-11-01T10:00:01Z"),
            vec![("completedAt", "order")],
        ),
    ] {
        let mut record = remediation();
        record["startedAt"] = started;
        record["completedAt"] = completed;
        let answer = app.post_remediation(&record).await;
        let broken = if answer.status == 201 {
            vec![]
        } else {
            answer.violations()
        };
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(field, rule): (&str, &str)| (field.to_owned(), rule.to_owned()))
            .collect();
        assert_eq!(broken, expected, "{record}");
    }
}

#[tokio::test]
async fn labels_are_bounded() {
    let app = TestApp::start().await;
    let labels = |number: usize| {
        Value::Object(
            (0..number)
                .map(|n| (format!("label-{n}"), json!("x")))
                .collect(),
        )
    };
    let one = |key: String, value: String| json!({ key: value });
    assert_eq!(rules(&app, "labels", labels(64)).await, []);
    assert_eq!(
        rules(&app, "labels", labels(65)).await,
        [("labels".to_owned(), "count".to_owned())]
    );
    assert_eq!(
        rules(&app, "labels", one("k".repeat(317), "v".repeat(4096))).await,
        []
    );
    assert_eq!(
        rules(&app, "labels", one("k".repeat(318), String::new())).await[0].1,
        "length"
    );
    assert_eq!(
        rules(&app, "labels", one("k".to_owned(), "v".repeat(4097))).await,
        [("labels[\"k\"]".to_owned(), "length".to_owned())]
    );
    assert_eq!(
        rules(&app, "labels", json!({"k": 1})).await,
        [("labels[\"k\"]".to_owned(), "type".to_owned())]
    );
}

#[tokio::test]
async fn a_flood_of_violations_is_listed_up_to_a_limit_and_counted_beyond() {
    let app = TestApp::start().await;
    for (count, more) in [
        (100, None),
        (101, Some("1 more violation is not listed")),
        (5_000, Some("4900 more violations are not listed")),
    ] {
        let mut record = remediation();
        for number in 0..count {
            record[format!("x{number}")] = json!(1);
        }
        let query: String = (0..count).map(|number| format!("x{number}=1&")).collect();
        for answer in [
            app.post_remediation(&record).await,
            app.get(&format!("/api/v1/incidents?{query}")).await,
            app.get(&format!("/api/v1/incidents/1?{query}")).await,
        ] {
            let answer = answer.expect_problem(400, "validation");
            let detail = format!("the request breaks {count} rules, see errors");
            assert_eq!(answer.json()["detail"], detail);
            let errors = answer.json()["errors"].as_array().unwrap().clone();
            let last = errors.get(100).map(|last| &last["message"]);
            assert_eq!(last, more.map(|more| json!(more)).as_ref(), "{count}");
            assert!(errors.len() <= 101 && answer.text.len() < 20_000);
        }
    }
}
