use super::*;

fn text_of(counters: &[(Counter, i64)]) -> String {
    let fields: Vec<_> = counters
        .iter()
        .map(|(counter, count)| (counter.field(), *count))
        .collect();
    let fields = fields
        .iter()
        .map(|(field, count)| (field.as_str(), *count))
        .chain([("of another version", 1)]);
    String::from_utf8(exposition(fields, None)).unwrap()
}

fn says(text: &str, line: &str) {
    assert!(text.lines().any(|own| own == line), "{line}\n{text}");
}

#[test]
fn writes_of_every_kind_are_zero_before_the_first() {
    let text = text_of(&[]);
    says(
        &text,
        r#"datastorage_audit_writes_total{type="workflow",status="failed"} 0"#,
    );
    says(
        &text,
        r#"datastorage_audit_write_duration_seconds_count{type="execution"} 0"#,
    );
    says(
        &text,
        r#"datastorage_database_write_errors_total{sqlstate_class="connection"} 0"#,
    );
    says(&text, "datastorage_embedding_cache_hits_total 0");
    says(&text, "datastorage_embedding_reused_total 0");
    says(
        &text,
        r#"datastorage_audit_writes_total{type="batch",status="failed"} 0"#,
    );
    assert!(!text.contains(r#"type="batch",status="created""#), "{text}");
    assert!(!text.contains("http_requests_total"), "{text}");
}

#[test]
fn the_log_is_shown_only_if_its_state_is_known() {
    let log = LogGauges {
        size: 12,
        checkpoint_at: Some(1_793_000_000.5),
        pending: 3,
        pending_age: 0.25,
    };
    let text = String::from_utf8(exposition([], Some(log))).unwrap();
    says(&text, "datastorage_log_leaves 12");
    says(&text, "datastorage_log_pending 3");
    says(&text, "datastorage_log_pending_age_seconds 0.25");
    says(
        &text,
        "datastorage_log_checkpoint_timestamp_seconds 1793000000.5",
    );
    says(&text, r#"datastorage_log_rounds_total{status="lost"} 0"#);
    assert!(!text_of(&[]).contains("datastorage_log_pending"));
}

#[test]
fn buckets_are_cumulative_and_statuses_share_a_histogram() {
    let counter = |status, bucket| {
        Counter::Request(
            "GET".to_owned(),
            "/api/v1/incidents/{id}".to_owned(),
            status,
            bucket,
        )
    };
    let text = text_of(&[
        (counter(200, Some(2_500)), 3),
        (counter(404, Some(250_000)), 2),
        (counter(200, None), 1),
        (
            Counter::RequestMicroseconds("GET".to_owned(), "/api/v1/incidents/{id}".to_owned()),
            1_500_000,
        ),
    ]);
    let labels = r#"method="GET",path="/api/v1/incidents/{id}""#;
    says(
        &text,
        &format!(r#"http_requests_total{{{labels},status="200"}} 4"#),
    );
    says(
        &text,
        &format!(r#"http_requests_total{{{labels},status="404"}} 2"#),
    );
    let bucket = |le, count| {
        says(
            &text,
            &format!(r#"http_request_duration_seconds_bucket{{{labels},le="{le}"}} {count}"#),
        );
    };
    bucket("0.0025", 3);
    bucket("0.1", 3);
    bucket("0.25", 5);
    bucket("10", 5);
    bucket("+Inf", 6);
    says(
        &text,
        &format!("http_request_duration_seconds_sum{{{labels}}} 1.5"),
    );
    says(
        &text,
        &format!("http_request_duration_seconds_count{{{labels}}} 6"),
    );
}

#[test]
fn a_label_is_escaped() {
    let model = "say \"hi\"\\\n".to_owned();
    let text = text_of(&[(Counter::Generation(model, Some(5_000)), 1)]);
    says(
        &text,
        r#"datastorage_embedding_generation_duration_seconds_count{model="say \"hi\"\\\n"} 1"#,
    );
}

#[test]
fn a_bucket_of_other_bounds_is_within_the_next() {
    let text = text_of(&[(Counter::Generation("m".to_owned(), Some(7_000)), 2)]);
    let name = "datastorage_embedding_generation_duration_seconds_bucket";
    says(&text, &format!(r#"{name}{{model="m",le="0.005"}} 0"#));
    says(&text, &format!(r#"{name}{{model="m",le="0.01"}} 2"#));
}
