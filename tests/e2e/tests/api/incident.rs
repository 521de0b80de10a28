//! Reading one incident.

use e2e::{TestApp, remediation};
use reqwest::Method;

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
    assert_eq!(head.header("content-length"), get.text.len().to_string());
    assert_eq!(head.header("content-type"), get.header("content-type"));
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
