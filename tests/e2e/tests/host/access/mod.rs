//! Authentication and authorization of callers.

mod cache;
mod faults;
mod recorded_by;
mod refusals;
mod settings;

use e2e::{Answer, KINDS, Setup, TestApp, record};
use kubeapi::{KubeApi, Rule, Token};
use reqwest::Method;
use serde_json::Value;

pub(crate) const MODES: [&str; 2] = ["tokenreview", "selfreview"];

pub(crate) const NAMESPACE: &str = "kubernaut-system";
pub(crate) const CACHE_KEY: &str = "a-secret-of-all-replicas-of-a-test";

pub(crate) const OWN_TOKEN: &str = "own.token.of-the-service";
pub(crate) const OWN_USER: &str = "system:serviceaccount:kubernaut-system:data-storage";

/// Tokens of callers who may read and write, only read, only write, or do nothing.
pub(crate) const PROCESSOR: &str = "token.of.processor";
pub(crate) const READER: &str = "token.of.reader";
pub(crate) const WRITER: &str = "token.of.writer";
pub(crate) const STRANGER: &str = "token.of.stranger";

pub(crate) const PROCESSOR_USER: &str = "system:serviceaccount:kubernaut:processor";
pub(crate) const READER_USER: &str = "anna";
pub(crate) const WRITER_USER: &str = "system:serviceaccount:kubernaut:executor";

pub(crate) async fn cluster() -> KubeApi {
    let kube = KubeApi::start().await;
    kube.issue(OWN_TOKEN, Token::of(OWN_USER));
    kube.allow_reviews(OWN_USER);
    kube.issue(PROCESSOR, Token::of(PROCESSOR_USER));
    kube.issue(READER, Token::of(READER_USER));
    kube.issue(WRITER, Token::of(WRITER_USER));
    kube.issue(STRANGER, Token::of("stranger"));
    for (user, verb) in [
        (PROCESSOR_USER, "create"),
        (PROCESSOR_USER, "get"),
        (READER_USER, "get"),
        (WRITER_USER, "create"),
    ] {
        kube.allow(Rule::on_service(user, NAMESPACE, verb));
    }
    kube
}

/// Returns the service's setup in a mode, without a cache of verdicts.
pub(crate) fn with(kube: &KubeApi, mode: &str) -> Setup {
    let setup = Setup::default()
        .variable("auth_mode", mode)
        .variable("kubernetes_api_url", kube.url())
        .variable("kubernetes_namespace", NAMESPACE)
        .variable("auth_cache_key", CACHE_KEY)
        .variable("redis_url", "")
        .authority(kube.ca_pem());
    match mode {
        "tokenreview" => setup.variable("kubernetes_token", OWN_TOKEN),
        _ => setup,
    }
}

pub(crate) async fn get_as(app: &TestApp, token: &str, path: &str) -> Answer {
    app.send(app.request(Method::GET, path).bearer_auth(token))
        .await
}

pub(crate) async fn post_as(app: &TestApp, token: &str, kind: &str, record: &Value) -> Answer {
    let request = app
        .request(Method::POST, &format!("/api/v1/audit/{kind}"))
        .header("content-type", "application/json")
        .bearer_auth(token)
        .body(record.to_string());
    app.send(request).await
}

pub(crate) async fn write_as(app: &TestApp, token: &str) -> Answer {
    post_as(app, token, "remediation", &record("remediation")).await
}

pub(crate) async fn read_as(app: &TestApp, token: &str) -> Answer {
    get_as(app, token, "/api/v1/incidents?limit=1").await
}

pub(crate) fn questions(kube: &KubeApi) -> Vec<String> {
    let asked = kube.take_requests().into_iter();
    asked
        .map(|asked| asked.path.rsplit('/').next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_user_who_may_writes_every_kind_and_reads_everything() {
    let kube = cluster().await;
    for mode in MODES {
        let redis_url = std::env::var("REDIS_URL").unwrap();
        let app = with(&kube, mode)
            .variable("redis_url", redis_url)
            .start()
            .await;
        let mut incident = String::new();
        for kind in KINDS {
            let stored = post_as(&app, PROCESSOR, kind, &record(kind)).await;
            incident = stored.expect(201).header("location").to_owned();
        }
        for path in [
            incident.as_str(),
            "/api/v1/incidents",
            "/api/v1/incidents/search?q=memory",
            &format!("{incident}/similar"),
            "/api/v1/outcomes",
            "/metrics",
        ] {
            get_as(&app, PROCESSOR, path).await.expect(200);
            let request = app.request(Method::HEAD, path).bearer_auth(READER);
            app.send(request).await.expect(200);
            app.get(path).await.expect_problem(401, "unauthorized");
        }
    }
}

#[tokio::test]
async fn to_read_and_to_write_are_allowed_apart() {
    let kube = cluster().await;
    for mode in MODES {
        let app = with(&kube, mode).start().await;
        read_as(&app, READER).await.expect(200);
        write_as(&app, READER)
            .await
            .expect_problem(403, "forbidden");
        write_as(&app, WRITER).await.expect(201);
        for path in ["/api/v1/incidents", "/api/v1/incidents/1", "/metrics"] {
            let answer = get_as(&app, WRITER, path).await;
            answer.expect_problem(403, "forbidden");
        }
        for (token, status) in [(READER, 403), (WRITER, 200)] {
            let request = app.request(Method::POST, "/api/v1/embeddings/backfill");
            app.send(request.bearer_auth(token)).await.expect(status);
        }
        read_as(&app, STRANGER)
            .await
            .expect_problem(403, "forbidden");
        write_as(&app, STRANGER)
            .await
            .expect_problem(403, "forbidden");
        let stored = app.database.count("SELECT count(*) FROM incidents").await;
        assert_eq!(stored, 1, "{mode}");
    }
}

#[tokio::test]
async fn a_permission_may_be_a_groups_and_is_of_the_services_namespace() {
    let kube = cluster().await;
    kube.issue("of.a.member", Token::of("bea").in_group("auditors"));
    kube.issue("of.a.neighbour", Token::of("carl"));
    kube.allow(Rule::on_service("auditors", NAMESPACE, "get"));
    kube.allow(Rule::on_service("carl", "default", "get"));
    kube.allow(Rule {
        name: "another-service".to_owned(),
        ..Rule::on_service("carl", NAMESPACE, "get")
    });
    for mode in MODES {
        let app = with(&kube, mode).start().await;
        read_as(&app, "of.a.member").await.expect(200);
        let answer = read_as(&app, "of.a.neighbour").await;
        answer.expect_problem(403, "forbidden");
    }
}

#[tokio::test]
async fn the_services_own_token_asks_about_others_and_a_callers_about_itself() {
    let kube = cluster().await;
    let app = with(&kube, "tokenreview").start().await;
    write_as(&app, WRITER).await.expect(201);
    let asked = kube.take_requests();
    let [token_review, access_review] = asked.as_slice() else {
        panic!("{asked:?}");
    };
    for asked in [token_review, access_review] {
        assert_eq!(asked.bearer.as_deref(), Some(OWN_TOKEN));
    }
    assert_eq!(token_review.body["spec"]["token"], WRITER);
    let spec = &access_review.body["spec"];
    assert_eq!(spec["user"], WRITER_USER);
    assert_eq!(spec["uid"], format!("uid-of-{WRITER_USER}"));
    assert_eq!(spec["groups"][0], "system:authenticated");
    assert_eq!(
        spec["extra"]["authentication.kubernetes.io/pod-name"][0],
        "pod-1"
    );
    assert!(!access_review.body.to_string().contains(WRITER));

    // The service has its own token and does not use it.
    let app = with(&kube, "selfreview")
        .variable("kubernetes_token", OWN_TOKEN)
        .start()
        .await;
    write_as(&app, WRITER).await.expect(201);
    let asked = kube.take_requests();
    assert_eq!(asked.len(), 2, "{asked:?}");
    for asked in asked {
        assert_eq!(asked.bearer.as_deref(), Some(WRITER));
        assert!(!asked.body.to_string().contains(WRITER));
    }
}

#[tokio::test]
async fn what_is_asked_is_part_of_the_callers_trace() {
    let kube = cluster().await;
    let app = with(&kube, "tokenreview").start().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let request = app
        .request(Method::GET, "/api/v1/incidents")
        .bearer_auth(READER)
        .header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"));
    app.send(request).await.expect(200);
    for asked in kube.take_requests() {
        let traceparent = asked.traceparent.unwrap();
        assert!(traceparent.contains(trace), "{traceparent}");
        assert!(!traceparent.contains("b7ad6b7169203331"), "{traceparent}");
    }
}

#[tokio::test]
async fn where_everybody_may_nobody_is_asked() {
    let kube = cluster().await;
    let app = with(&kube, "none").start().await;
    write_as(&app, "whatever").await.expect(201);
    let request = app.request(Method::GET, "/api/v1/incidents");
    app.send(request.header("authorization", "Basic x"))
        .await
        .expect(200);
    app.get("/api/v1/incidents").await.expect(200);
    assert!(kube.take_requests().is_empty());
}

#[tokio::test]
async fn health_and_the_documentation_are_for_everybody() {
    let kube = cluster().await;
    for mode in MODES {
        let app = with(&kube, mode).start().await;
        for path in [
            "/health",
            "/health/live",
            "/health/ready",
            "/healthz",
            "/readyz",
            "/openapi.json",
            "/docs",
        ] {
            app.get(path).await.expect(200);
            get_as(&app, "no.such.token", path).await.expect(200);
        }
        app.get("/nothing").await.expect_problem(404, "not-found");
        assert!(kube.take_requests().is_empty());
    }
}
