use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn token() -> BearerToken {
    BearerToken::new("a.token").unwrap()
}

fn audiences(audiences: &[&str]) -> Vec<String> {
    audiences.iter().map(|&audience| audience.into()).collect()
}

fn sent(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

fn answer(question: ReviewKind, status: &Value) -> Vec<u8> {
    json!({
        "kind": question.kind(),
        "apiVersion": question.api_version(),
        "metadata": {"creationTimestamp": null},
        "spec": {"token": "a.token"},
        "status": status,
    })
    .to_string()
    .into_bytes()
}

fn review(status: &Value, asked: &[&str]) -> Result<Option<User>, Malformed> {
    read_token_review(&answer(ReviewKind::TokenReview, status), &audiences(asked))
}

fn access(status: &Value) -> Result<bool, Malformed> {
    let question = ReviewKind::SubjectAccessReview;
    read_access_review(question, &answer(question, status))
}

fn processor() -> Value {
    json!({
        "username": "system:serviceaccount:kubernaut:processor",
        "uid": "1f3c",
        "groups": ["system:serviceaccounts", "system:authenticated"],
        "extra": {"authentication.kubernetes.io/pod-name": ["processor-7"]},
    })
}

#[test]
fn a_token_is_asked_about_with_the_audiences_that_it_may_have() {
    assert_eq!(
        sent(&token_review(&token(), &audiences(&["data-storage", "b"]))),
        json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": "a.token", "audiences": ["data-storage", "b"]},
        })
    );
    let spec = &sent(&token_review(&token(), &[]))["spec"];
    assert_eq!(spec, &json!({"token": "a.token"}));
}

#[test]
fn what_a_user_may_is_asked_with_all_that_is_known_of_it() {
    let user = review(&json!({"authenticated": true, "user": processor()}), &[]);
    let user = user.unwrap().unwrap();
    assert_eq!(
        sent(&subject_access_review(&user, "ns-1", Verb::Create)),
        json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "resourceAttributes": {
                    "namespace": "ns-1", "verb": "create", "group": "",
                    "resource": "services", "name": "data-storage",
                },
                "user": "system:serviceaccount:kubernaut:processor",
                "uid": "1f3c",
                "groups": ["system:serviceaccounts", "system:authenticated"],
                "extra": {"authentication.kubernetes.io/pod-name": ["processor-7"]},
            },
        })
    );
}

#[test]
fn a_caller_asks_about_itself_without_naming_itself() {
    assert_eq!(
        sent(&self_subject_review()),
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
    );
    assert_eq!(
        sent(&self_subject_access_review("ns-1", Verb::Get)),
        json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "namespace": "ns-1", "verb": "get", "group": "",
                "resource": "services", "name": "data-storage",
            }},
        })
    );
}

#[test]
fn each_verb_is_asked_by_its_name() {
    for (verb, name) in [
        (Verb::Get, "get"),
        (Verb::Create, "create"),
        (Verb::Hold, "hold"),
    ] {
        let asked = sent(&self_subject_access_review("ns-1", verb));
        assert_eq!(asked["spec"]["resourceAttributes"]["verb"], name);
    }
}

#[test]
fn a_token_is_good_if_it_is_said_to_be() {
    let user = review(&json!({"authenticated": true, "user": processor()}), &[]);
    let name = user.unwrap().unwrap().name().unwrap();
    assert_eq!(name.as_str(), "system:serviceaccount:kubernaut:processor");
    for status in [
        json!({}),
        json!({"authenticated": false}),
        json!({"error": "[invalid bearer token, token lookup failed]"}),
        json!({"authenticated": false, "user": processor()}),
    ] {
        assert_eq!(review(&status, &[]), Ok(None), "{status}");
    }
}

#[test]
fn a_token_is_for_one_of_the_audiences() {
    let of = |audiences: &Value| json!({"authenticated": true, "user": processor(), "audiences": audiences});
    let is_good = |own: &Value, asked: &[&str]| review(&of(own), asked).unwrap().is_some();
    assert!(is_good(&json!(["b"]), &["a", "b"]));
    assert!(is_good(&json!(["https://kubernetes.default.svc"]), &[]));
    assert!(!is_good(&json!(["c"]), &["a", "b"]));
    assert!(!is_good(&json!(["A", "a ", ""]), &["a", "b"]));
    // A server without audience support.
    assert!(!is_good(&json!([]), &["a"]));
    assert!(!is_good(&json!(null), &["a"]));
}

#[test]
fn a_user_who_has_no_name_that_can_be_stored_is_none() {
    for user in [
        json!({}),
        json!({"username": ""}),
        json!({"username": "a\0"}),
        json!({"username": "a".repeat(1025)}),
        json!(null),
    ] {
        let status = json!({"authenticated": true, "user": user});
        assert!(review(&status, &[]).is_err(), "{user}");
        let body = answer(ReviewKind::SelfSubjectReview, &json!({"userInfo": user}));
        assert!(read_self_subject_review(&body).is_err(), "{user}");
    }
}

#[test]
fn who_asks_is_never_anonymous() {
    let read = |name: &str| {
        let status = json!({"userInfo": {"username": name, "groups": ["g"]}});
        read_self_subject_review(&answer(ReviewKind::SelfSubjectReview, &status))
    };
    assert_eq!(read("anna").unwrap().name().unwrap().as_str(), "anna");
    assert!(read("system:anonymous").is_err());
}

#[test]
fn only_allowed_is_allowed() {
    assert_eq!(access(&json!({"allowed": true})), Ok(true));
    assert_eq!(
        access(&json!({"allowed": true, "reason": "RBAC: allowed by ..."})),
        Ok(true)
    );
    for status in [
        json!({"allowed": false}),
        json!({"allowed": false, "denied": true}),
        json!({"allowed": false, "evaluationError": "role not found"}),
    ] {
        assert_eq!(access(&status), Ok(false), "{status}");
    }
    for status in [
        json!({}),
        json!(null),
        json!({"allowed": null}),
        json!({"allowed": "true"}),
        json!({"allowed": 1}),
        json!({"allowed": true, "denied": true}),
    ] {
        assert!(access(&status).is_err(), "{status}");
    }
}

#[test]
fn what_is_no_answer_is_refused() {
    let good = json!({"authenticated": true, "user": processor()});
    let other_kind = answer(ReviewKind::SubjectAccessReview, &good);
    let mut other_version = sent(&answer(ReviewKind::TokenReview, &good));
    other_version["apiVersion"] = json!("authentication.k8s.io/v1beta1");
    let mut no_status = sent(&answer(ReviewKind::TokenReview, &good));
    no_status.as_object_mut().unwrap().remove("status");
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden",
    });
    for body in [
        Vec::new(),
        b"{}".to_vec(),
        b"null".to_vec(),
        b"<html>".to_vec(),
        br#"{"status":{"authenticated":true}}"#.to_vec(),
        other_kind,
        other_version.to_string().into_bytes(),
        no_status.to_string().into_bytes(),
        status.to_string().into_bytes(),
        answer(ReviewKind::TokenReview, &json!(null)),
        answer(ReviewKind::TokenReview, &json!({"authenticated": "true"})),
        answer(ReviewKind::TokenReview, &json!({"authenticated": true})),
        answer(
            ReviewKind::TokenReview,
            &json!({"authenticated": true, "user": processor(), "error": "no"}),
        ),
    ] {
        let shown = String::from_utf8_lossy(&body).into_owned();
        assert!(read_token_review(&body, &[]).is_err(), "{shown}");
    }
}

proptest! {
    #[test]
    fn any_answer_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(read_token_review(&body, &[]).is_err());
        prop_assert!(read_self_subject_review(&body).is_err());
        prop_assert!(read_access_review(ReviewKind::SubjectAccessReview, &body).is_err());
    }

    #[test]
    fn any_answer_cut_short_is_refused(cut in 1_usize..1000) {
        let whole = answer(
            ReviewKind::TokenReview,
            &json!({"authenticated": true, "user": processor()}),
        );
        let kept = whole.len() - 1 - cut % whole.len();
        prop_assert!(read_token_review(&whole[..kept], &[]).is_err());
    }

    #[test]
    fn any_user_is_asked_about_as_it_was_described(
        name in ".{1,40}",
        uid in ".{0,20}",
        groups in prop::collection::vec(".{0,20}", 0..4),
        extra in prop::collection::btree_map(".{0,10}", prop::collection::vec(".{0,10}", 0..3), 0..3),
    ) {
        prop_assume!(!name.contains('\0'));
        let user = json!({"username": name, "uid": uid, "groups": groups, "extra": extra});
        let user = review(&json!({"authenticated": true, "user": user}), &[]).unwrap().unwrap();
        let spec = sent(&subject_access_review(&user, "ns", Verb::Get))["spec"].clone();
        prop_assert_eq!(&spec["user"], &json!(name));
        prop_assert_eq!(spec.get("uid").cloned().unwrap_or(json!("")), json!(uid));
        prop_assert_eq!(&spec["groups"], &json!(groups));
        prop_assert_eq!(&spec["extra"], &json!(extra));
    }
}
