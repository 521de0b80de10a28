use e2e::{Setup, TestApp};
use serde_json::Value;

const TOTAL_BOUND: i64 = 10_000;

async fn fill(app: &TestApp, namespace: &str, count: i64) {
    app.database
        .execute(&format!(
            "INSERT INTO incidents (correlation_id, opened_at, namespace, execution_status)
             SELECT '{namespace}-' || gen_random_uuid(), now() - number * interval '1 s',
                 '{namespace}', 'pending'
             FROM generate_series(1, {count}) AS number"
        ))
        .await;
}

async fn pagination(app: &TestApp, parameters: &str) -> Value {
    let path = format!("/api/v1/incidents?limit=2{parameters}");
    app.get(&path).await.expect(200).json()["pagination"].clone()
}

#[track_caller]
fn assert_total(pagination: &Value, total: i64, relation: &str) {
    assert_eq!(pagination["total"], total, "{pagination}");
    assert_eq!(pagination["total_relation"], relation, "{pagination}");
}

#[tokio::test]
async fn a_total_is_exact_up_to_ten_thousand_and_beyond_where_that_is_asked_for() {
    let app = Setup::default().start().await;
    fill(&app, "many", TOTAL_BOUND).await;
    fill(&app, "few", 3).await;
    let filter = "&namespace=many";
    for count in ["", "&count=bounded", "&count=exact"] {
        let many = pagination(&app, &format!("{filter}{count}")).await;
        assert_total(&many, TOTAL_BOUND, "eq");
        let few = pagination(&app, &format!("&namespace=few{count}")).await;
        assert_total(&few, 3, "eq");
    }
    assert_total(&pagination(&app, "").await, TOTAL_BOUND, "gte");
    let exact = pagination(&app, "&count=exact").await;
    assert_total(&exact, TOTAL_BOUND + 3, "eq");

    fill(&app, "many", 1).await;
    for count in ["", "&count=bounded"] {
        let many = pagination(&app, &format!("{filter}{count}")).await;
        assert_total(&many, TOTAL_BOUND, "gte");
    }
    let exact = pagination(&app, &format!("{filter}&count=exact")).await;
    assert_total(&exact, TOTAL_BOUND + 1, "eq");

    let uncounted = pagination(&app, &format!("{filter}&count=none")).await;
    let uncounted = uncounted.as_object().unwrap();
    assert!(!uncounted.contains_key("total"), "{uncounted:?}");
    assert!(!uncounted.contains_key("total_relation"), "{uncounted:?}");
}

#[tokio::test]
async fn a_walk_carries_the_total_of_its_first_page() {
    let app = Setup::default().start().await;
    fill(&app, "many", TOTAL_BOUND + 1).await;
    for count in ["bounded", "exact", "none"] {
        let parameters = format!("&namespace=many&count={count}");
        let first = pagination(&app, &parameters).await;
        fill(&app, "many", 1).await;
        let cursor = first["next_cursor"].as_str().unwrap();
        let second = pagination(&app, &format!("{parameters}&cursor={cursor}")).await;
        assert_eq!(second["offset"], 2, "{second}");
        for said in ["total", "total_relation"] {
            assert_eq!(second[said], first[said], "{count}");
        }
    }
}

#[tokio::test]
async fn the_last_page_beyond_the_bound_is_reached_by_its_offset() {
    let app = Setup::default().start().await;
    fill(&app, "many", TOTAL_BOUND + 3).await;
    for filter in ["", "&namespace=many"] {
        let last = pagination(&app, &format!("{filter}&offset={}", TOTAL_BOUND + 1)).await;
        assert_total(&last, TOTAL_BOUND, "gte");
        assert_eq!(last["next_cursor"], Value::Null, "{last}");
    }
}
