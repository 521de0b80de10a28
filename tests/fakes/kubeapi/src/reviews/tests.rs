use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::*;

const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const SUBJECT_ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
const SELF_SUBJECT_REVIEWS: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

fn cluster() -> Cluster {
    let mut cluster = Cluster::default();
    let tokens = [("a", "anna"), ("s", "service")];
    cluster
        .tokens
        .extend(tokens.map(|(token, user)| (token.to_owned(), Token::of(user))));
    for (group, plural) in [
        ("authentication.k8s.io", "tokenreviews"),
        ("authorization.k8s.io", "subjectaccessreviews"),
    ] {
        cluster
            .rules
            .push(Rule::to_create("service", group, plural));
    }
    cluster.rules.push(Rule::on_service("anna", "ns", "get"));
    cluster
}

async fn ask(path: &str, bearer: Option<&str>, body: &Value) -> (u16, Value) {
    let answer = review(&cluster(), path, bearer, body.to_string().as_bytes());
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

fn token_review(spec: &Value) -> Value {
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec})
}

fn access_review(spec: &Value) -> Value {
    json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec})
}

fn attributes(verb: &str) -> Value {
    json!({"namespace": "ns", "verb": verb, "resource": "services", "name": "data-storage"})
}

#[tokio::test]
async fn a_token_is_known_or_not() {
    let (status, review) = ask(
        TOKEN_REVIEWS,
        Some("s"),
        &token_review(&json!({"token": "a"})),
    )
    .await;
    assert_eq!(status, 201);
    assert_eq!(review["status"]["authenticated"], true);
    assert_eq!(review["status"]["user"]["username"], "anna");
    assert_eq!(review["status"]["audiences"], json!([API_AUDIENCE]));
    for spec in [
        json!({"token": "unknown"}),
        json!({"token": "a", "audiences": ["other"]}),
    ] {
        let (status, review) = ask(TOKEN_REVIEWS, Some("s"), &token_review(&spec)).await;
        assert_eq!(status, 201);
        assert!(review["status"]["authenticated"].is_null(), "{review}");
        assert!(review["status"]["error"].is_string(), "{review}");
    }
}

#[tokio::test]
async fn a_user_may_or_not() {
    for (user, verb, allowed) in [
        ("anna", "get", true),
        ("anna", "create", false),
        ("carl", "get", false),
    ] {
        let spec = json!({"user": user, "resourceAttributes": attributes(verb)});
        let (status, review) = ask(SUBJECT_ACCESS_REVIEWS, Some("s"), &access_review(&spec)).await;
        assert_eq!(status, 201);
        assert_eq!(review["status"]["allowed"], allowed, "{review}");
    }
}

#[tokio::test]
async fn who_asks_must_be_known_and_allowed_to() {
    let about = token_review(&json!({"token": "a"}));
    let about_itself =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    for (path, bearer, body, expected, reason) in [
        (TOKEN_REVIEWS, Some("unknown"), &about, 401, "Unauthorized"),
        (TOKEN_REVIEWS, Some("a"), &about, 403, "Forbidden"),
        (TOKEN_REVIEWS, None, &about, 403, "Forbidden"),
        (SELF_SUBJECT_REVIEWS, None, &about_itself, 403, "Forbidden"),
        ("/apis/other", Some("s"), &about, 404, "NotFound"),
    ] {
        let (status, answer) = ask(path, bearer, body).await;
        assert_eq!(status, expected, "{answer}");
        assert_eq!(answer["kind"], "Status");
        assert_eq!(answer["reason"], reason);
        assert_eq!(answer["code"], expected);
    }
    let (status, review) = ask(SELF_SUBJECT_REVIEWS, Some("a"), &about_itself).await;
    assert_eq!(status, 201);
    assert_eq!(review["status"]["userInfo"]["username"], "anna");
}

#[tokio::test]
async fn what_is_not_documented_is_refused() {
    for (path, body, expected) in [
        (TOKEN_REVIEWS, token_review(&json!({})), 400),
        (TOKEN_REVIEWS, token_review(&json!({"token": ""})), 400),
        (TOKEN_REVIEWS, token_review(&json!({"tokens": "a"})), 400),
        (TOKEN_REVIEWS, access_review(&json!({"token": "a"})), 400),
        (TOKEN_REVIEWS, json!([]), 400),
        (
            SUBJECT_ACCESS_REVIEWS,
            access_review(&json!({"user": "a"})),
            422,
        ),
        (
            SUBJECT_ACCESS_REVIEWS,
            access_review(&json!({"resourceAttributes": attributes("get")})),
            422,
        ),
        (
            SUBJECT_ACCESS_REVIEWS,
            access_review(&json!({
                "user": "a", "resourceAttributes": attributes("get"),
                "nonResourceAttributes": {},
            })),
            422,
        ),
        (
            SUBJECT_ACCESS_REVIEWS,
            access_review(&json!({"user": "a", "resourceAttributes": {"verbs": "get"}})),
            400,
        ),
    ] {
        let (status, answer) = ask(path, Some("s"), &body).await;
        assert_eq!(status, expected, "{body}: {answer}");
    }
}
