//! Rules of all kinds but remediations, each at its limit and one past it.

use e2e::{TestApp, record};
use serde_json::{Value, json};

/// Largest integer that JSON numbers represent exactly.
pub(crate) const INTEGER_MAX: i64 = 9_007_199_254_740_991;

pub(crate) async fn rules(app: &TestApp, kind: &str, fields: Value) -> Vec<(String, String)> {
    let mut record = record(kind);
    e2e::set(&mut record, fields);
    let answer = app.post_record(kind, &record).await;
    match answer.status {
        201 => Vec::new(),
        _ => answer.expect_problem(400, "validation").violations(),
    }
}

pub(crate) fn broken<const N: usize>(rules: [(&str, &str); N]) -> Vec<(String, String)> {
    rules
        .map(|(field, rule)| (field.to_owned(), rule.to_owned()))
        .into()
}

#[tokio::test]
async fn every_required_field_of_every_kind_is_required() {
    let app = TestApp::start().await;
    let common = ["name", "namespace", "phase", "createdAt", "correlationId"];
    for (kind, own) in [
        (
            "aianalysis",
            &["remediationRequestRef", "llmProvider", "llmModel"][..],
        ),
        (
            "workflow",
            &["remediationRequestRef", "workflowName", "stepCount"],
        ),
        (
            "execution",
            &[
                "workflowExecutionRef",
                "stepName",
                "actionType",
                "targetType",
                "targetName",
            ],
        ),
        ("event", &["eventType"]),
    ] {
        let answer = app
            .post_record(kind, &json!({}))
            .await
            .expect_problem(400, "validation");
        let expected: Vec<_> = common
            .iter()
            .chain(own)
            .map(|field| ((*field).to_owned(), "required".to_owned()))
            .collect();
        assert_eq!(answer.violations(), expected, "{kind}");
        for field in own {
            let absent = rules(&app, kind, json!({ *field: null })).await;
            assert_eq!(absent, broken([(field, "required")]), "{kind}");
        }
    }
}

#[tokio::test]
async fn a_field_of_another_kind_is_unknown() {
    let app = TestApp::start().await;
    for (kind, field, value) in [
        ("remediation", "llmModel", json!("gpt-4o")),
        ("aianalysis", "cluster", json!("eu-1")),
        ("workflow", "stepName", json!("scale")),
        ("execution", "stepCount", json!(1)),
        ("execution", "recordedBy", json!("me")),
        ("event", "severity", json!("low")),
    ] {
        let found = rules(&app, kind, json!({ field: value })).await;
        assert_eq!(found, broken([(field, "unknown")]), "{kind}");
    }
}

#[tokio::test]
async fn short_and_long_texts_are_bounded() {
    let app = TestApp::start().await;
    let short = |length: usize| json!("é".repeat(length));
    for (kind, field) in [
        ("aianalysis", "remediationRequestRef"),
        ("aianalysis", "signalType"),
        ("aianalysis", "llmProvider"),
        ("aianalysis", "llmModel"),
        ("aianalysis", "investigationId"),
        ("workflow", "remediationRequestRef"),
        ("workflow", "aiAnalysisRef"),
        ("workflow", "workflowName"),
        ("execution", "workflowExecutionRef"),
        ("execution", "stepName"),
        ("execution", "actionType"),
        ("execution", "targetType"),
        ("execution", "targetName"),
        ("execution", "resourceVersion"),
        ("execution", "previousVersion"),
    ] {
        let may_be_left_out = [
            "signalType",
            "investigationId",
            "aiAnalysisRef",
            "resourceVersion",
            "previousVersion",
        ]
        .contains(&field);
        let empty = match may_be_left_out {
            true => vec![],
            false => broken([(field, "required")]),
        };
        for (length, expected) in [
            (0, empty),
            (255, vec![]),
            (256, broken([(field, "length")])),
        ] {
            let found = rules(&app, kind, json!({ field: short(length) })).await;
            assert_eq!(found, expected, "{field} of {length} characters");
        }
        let found = rules(&app, kind, json!({ field: 1 })).await;
        assert_eq!(found, broken([(field, "type")]), "{field}");
    }
    for field in ["rootCause", "recommendedAction"] {
        for (text, expected) in [
            (String::new(), vec![]),
            ("é".repeat(5120), vec![]),
            ("é".repeat(5120) + "x", broken([(field, "length")])),
        ] {
            let found = rules(&app, "aianalysis", json!({ field: text })).await;
            assert_eq!(found, expected, "{field}");
        }
    }
    for field in ["actionResult", "dryRunResult", "validationResult"] {
        let long = "x".repeat(200_000);
        assert_eq!(rules(&app, "execution", json!({ field: long })).await, []);
        let found = rules(&app, "execution", json!({ field: [] })).await;
        assert_eq!(found, broken([(field, "type")]), "{field}");
    }
}

#[tokio::test]
async fn numbers_are_bounded() {
    let app = TestApp::start().await;
    for (kind, field, accepted, refused) in [
        (
            "aianalysis",
            "temperature",
            vec![json!(0), json!(2), json!(0.7), json!(-0.0), json!(5e-324)],
            vec![json!(-0.1), json!(2.000_000_1), json!(1e300)],
        ),
        (
            "aianalysis",
            "confidence",
            vec![json!(0), json!(1), json!(0.95)],
            vec![json!(-0.01), json!(1.01), json!(100)],
        ),
        (
            "aianalysis",
            "investigationTimeSeconds",
            vec![json!(0), json!(0.5), json!(1e-300), json!(INTEGER_MAX)],
            vec![
                json!(-1),
                json!(-1e-300),
                json!(INTEGER_MAX + 1),
                json!(9_007_199_254_740_993.0),
                json!(u64::MAX),
                json!(1e300),
            ],
        ),
        (
            "aianalysis",
            "tokensUsed",
            vec![json!(0), json!(3.0), json!(1e3), json!(INTEGER_MAX)],
            vec![
                json!(-1),
                json!(INTEGER_MAX + 1),
                json!(1e300),
                json!(u64::MAX),
            ],
        ),
        (
            "workflow",
            "stepCount",
            vec![json!(1), json!(INTEGER_MAX)],
            vec![json!(0), json!(-1), json!(INTEGER_MAX + 1)],
        ),
        (
            "workflow",
            "currentStep",
            vec![json!(0), json!(3)],
            vec![json!(-1), json!(4), json!(i64::MIN)],
        ),
        (
            "workflow",
            "failedCount",
            vec![json!(0), json!(3)],
            vec![json!(-1), json!(4)],
        ),
    ] {
        for value in accepted {
            let found = rules(&app, kind, json!({ field: value })).await;
            assert_eq!(found, [], "{field} {value}");
        }
        for value in refused {
            let found = rules(&app, kind, json!({ field: value })).await;
            assert_eq!(found, broken([(field, "range")]), "{field} {value}");
        }
        for value in [json!("1"), json!(true), json!([1]), json!({})] {
            let found = rules(&app, kind, json!({ field: value })).await;
            assert_eq!(found, broken([(field, "type")]), "{field} {value}");
        }
    }
    for field in ["tokensUsed", "stepCount", "currentStep", "skippedCount"] {
        let kind = if field == "tokensUsed" {
            "aianalysis"
        } else {
            "workflow"
        };
        let found = rules(&app, kind, json!({ field: 1.5 })).await;
        assert_eq!(found, broken([(field, "type")]), "{field}");
    }
}

#[tokio::test]
async fn booleans_maps_and_lists_have_their_types() {
    let app = TestApp::start().await;
    for (kind, field) in [
        ("aianalysis", "requiresApproval"),
        ("workflow", "requiresApproval"),
        ("workflow", "isAutoApproved"),
        ("execution", "enableDryRun"),
        ("execution", "enableValidation"),
        ("execution", "enableRollback"),
        ("execution", "isRolledBack"),
    ] {
        for value in [json!(true), json!(false)] {
            assert_eq!(rules(&app, kind, json!({ field: value })).await, []);
        }
        for value in [json!(1), json!("true"), json!([])] {
            let found = rules(&app, kind, json!({ field: value })).await;
            assert_eq!(found, broken([(field, "type")]), "{field} {value}");
        }
    }
    for (kind, field) in [("aianalysis", "signalContext"), ("execution", "actionData")] {
        let many: serde_json::Map<_, _> = (0..1000)
            .map(|number| (number.to_string(), json!("x")))
            .collect();
        assert_eq!(rules(&app, kind, json!({ field: many })).await, []);
        for value in [json!([]), json!("a"), json!(1)] {
            let found = rules(&app, kind, json!({ field: value })).await;
            assert_eq!(found, broken([(field, "type")]), "{field} {value}");
        }
        let found = rules(&app, kind, json!({ field: {"replicas": 5} })).await;
        let place = format!("{field}[\"replicas\"]");
        assert_eq!(found, broken([(&place, "type")]));
    }
    for (value, expected) in [
        (json!([]), vec![]),
        (json!(["", "a"]), vec![]),
        (json!("a"), broken([("validationWarnings", "type")])),
        (json!(["a", 1]), broken([("validationWarnings", "type")])),
        (json!({}), broken([("validationWarnings", "type")])),
    ] {
        let found = rules(&app, "execution", json!({"validationWarnings": value})).await;
        assert_eq!(found, expected, "{value}");
    }
}

#[tokio::test]
async fn the_counts_of_a_workflow_are_at_most_its_steps_together() {
    let app = TestApp::start().await;
    for (completed, failed, skipped, fits) in [
        (json!(1), json!(1), json!(1), true),
        (json!(3), Value::Null, Value::Null, true),
        (json!(2), json!(1), json!(1), false),
        (
            json!(INTEGER_MAX),
            json!(INTEGER_MAX),
            json!(INTEGER_MAX),
            false,
        ),
    ] {
        let counts = json!({
            "completedCount": completed, "failedCount": failed, "skippedCount": skipped,
        });
        let found = rules(&app, "workflow", counts.clone()).await;
        let expected = match fits {
            true => vec![],
            false => broken([("completedCount", "range")]),
        };
        assert_eq!(found, expected, "{counts}");
    }
}

#[tokio::test]
async fn each_step_of_a_workflow_is_checked() {
    let app = TestApp::start().await;
    let step = json!({"name": "scale", "phase": "Pending"});
    let step_with = |field: &str, value: Value| {
        let mut step = step.clone();
        step[field] = value;
        json!({"stepStatuses": [{"name": "a", "phase": "Completed"}, step]})
    };
    for (fields, expected) in [
        (json!({"stepStatuses": []}), vec![]),
        (json!({"stepStatuses": [step, step, step]}), vec![]),
        (
            json!({"stepStatuses": [step, step, step, step]}),
            broken([("stepStatuses", "count")]),
        ),
        (
            json!({"stepStatuses": {}}),
            broken([("stepStatuses", "type")]),
        ),
        (
            json!({"stepStatuses": [1]}),
            broken([("stepStatuses[0]", "type")]),
        ),
        (
            json!({"stepStatuses": [{}]}),
            broken([
                ("stepStatuses[0][\"name\"]", "required"),
                ("stepStatuses[0][\"phase\"]", "required"),
            ]),
        ),
        (
            step_with("phase", json!("Done")),
            broken([("stepStatuses[1][\"phase\"]", "enum")]),
        ),
        (
            step_with("name", json!("")),
            broken([("stepStatuses[1][\"name\"]", "required")]),
        ),
        (step_with("phase", json!("Skipped")), vec![]),
        (step_with("retryCount", json!(0)), vec![]),
        (
            step_with("retryCount", json!(-1)),
            broken([("stepStatuses[1][\"retryCount\"]", "range")]),
        ),
        (
            step_with("startedAt", json!("yesterday")),
            broken([("stepStatuses[1][\"startedAt\"]", "format")]),
        ),
        (step_with("message", json!("x".repeat(10_240))), vec![]),
        (
            step_with("message", json!("x".repeat(10_241))),
            broken([("stepStatuses[1][\"message\"]", "length")]),
        ),
        (
            step_with("surprise", json!(1)),
            broken([("stepStatuses[1][\"surprise\"]", "unknown")]),
        ),
    ] {
        assert_eq!(
            rules(&app, "workflow", fields.clone()).await,
            expected,
            "{fields}"
        );
    }
    let mut late = step.clone();
    late["startedAt"] = json!("2026-11-01T10:00:02Z");
    late["completedAt"] = json!("2026-11-01T10:00:01Z");
    assert_eq!(
        rules(&app, "workflow", json!({"stepStatuses": [late]})).await,
        broken([("stepStatuses[0][\"completedAt\"]", "order")])
    );
}

#[tokio::test]
async fn every_kind_has_the_limits_of_a_body() {
    let app = TestApp::start().await;
    for kind in e2e::KINDS {
        let body = record(kind).to_string();
        let padded = |length: usize| " ".repeat(length - body.len()) + body.as_str();
        app.post_bytes(kind, padded(256 * 1024)).await.expect(201);
        app.post_bytes(kind, padded(256 * 1024 + 1))
            .await
            .expect_problem(413, "payload-too-large");
        app.post_bytes(kind, body.replacen('{', r#"{"name":"twice","#, 1))
            .await
            .expect_problem(400, "validation");
        let request = app.request(reqwest::Method::POST, &format!("/api/v1/audit/{kind}"));
        app.send(request.header("content-type", "text/plain").body(body))
            .await
            .expect_problem(415, "unsupported-media-type");
        let answer = app
            .get(&format!("/api/v1/audit/{kind}"))
            .await
            .expect_problem(405, "method-not-allowed");
        assert_eq!(answer.header("allow"), "POST");
    }
}
