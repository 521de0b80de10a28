//! Tokens of every kind, checked by the API server.

use std::time::Duration;

use cluster::{Claims, Kubectl, NAMESPACE};
use serde_json::json;

use super::{create_account, get, read, service, token_in_secret, with_graceful, write};

const MODES: [&str; 2] = ["tokenreview", "selfreview"];

const MINUTE: Duration = Duration::from_secs(60);

/// Interval and number of checks after a withdrawal: longer than the 70 s of docs/access.md.
const POLL: Duration = Duration::from_secs(1);
const POLLS_MAX: usize = 90;

/// Creates a pod of an account, which never runs, and a token bound to it.
async fn token_bound_to_a_pod(kubectl: &Kubectl, account: &str) -> String {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "caller", "namespace": NAMESPACE},
        "spec": {
            "serviceAccountName": account,
            "containers": [{"name": "caller", "image": "caller"}],
        },
    });
    kubectl.apply(&pod).await;
    let bound = ["--bound-object-kind=Pod", "--bound-object-name=caller"];
    kubectl.token(NAMESPACE, account, &bound).await
}

#[tokio::test]
async fn tokens_of_every_kind_are_told_apart() {
    let plane = with_graceful().await;
    let kubectl = plane.kubectl();
    create_account(&kubectl, NAMESPACE, "remediation-processor").await;
    create_account(&kubectl, NAMESPACE, "context-service").await;
    create_account(&kubectl, "default", "remediation-processor").await;
    let get_account = ["serviceaccount", "-n", NAMESPACE, "remediation-processor"];
    let account = kubectl.get(&get_account).await;
    let signed = |claims: Claims| plane.signing_key().sign(&claims);
    let of = || Claims::of(&account);
    let foreign = cluster::SigningKey::generate().sign(&of());
    let processor = kubectl.token(NAMESPACE, "remediation-processor", &[]).await;
    let audience = ["--audience=data-storage"];
    let (unsigned, _) = processor.rsplit_once('.').unwrap();

    let tokens = [
        ("a writer's", processor.clone(), 201, 403),
        (
            "a reader's",
            kubectl.token(NAMESPACE, "context-service", &[]).await,
            403,
            200,
        ),
        (
            "a member's of a group",
            "token-of-anna".to_owned(),
            403,
            200,
        ),
        ("an administrator's", "token-of-admin".to_owned(), 201, 200),
        (
            "of a Secret",
            token_in_secret(&kubectl, "data-storage-metrics-token").await,
            403,
            200,
        ),
        (
            "bound to a pod",
            token_bound_to_a_pod(&kubectl, "remediation-processor").await,
            201,
            403,
        ),
        (
            "of another namespace",
            kubectl.token("default", "remediation-processor", &[]).await,
            403,
            403,
        ),
        (
            "for another audience",
            kubectl
                .token(NAMESPACE, "remediation-processor", &audience)
                .await,
            401,
            401,
        ),
        ("signed as the API server does", signed(of()), 201, 403),
        // The API server tolerates a minute of clock skew.
        (
            "expired ten seconds ago",
            signed(of().expired_since(MINUTE / 6)),
            201,
            403,
        ),
        (
            "expired two minutes ago",
            signed(of().expired_since(2 * MINUTE)),
            401,
            401,
        ),
        (
            "valid in five minutes",
            signed(of().valid_in(5 * MINUTE)),
            401,
            401,
        ),
        (
            "of another issuer",
            signed(of().issuer("https://example.com")),
            401,
            401,
        ),
        ("of another key", foreign, 401, 401),
        ("without its signature", format!("{unsigned}."), 401, 401),
        ("unknown", "no-token".to_owned(), 401, 401),
    ];
    for mode in MODES {
        let app = service(&plane, mode).await.start().await;
        for (whose, token, of_write, of_read) in &tokens {
            let written = write(&app, token).await;
            assert_eq!(written.status, *of_write, "{mode}: {whose}: {written:?}");
            let answer = read(&app, token).await;
            assert_eq!(answer.status, *of_read, "{mode}: {whose}: {answer:?}");
            let metrics = get(&app, token, "/metrics").await;
            // Without Redis there are no metrics.
            let of_metrics = if *of_read == 200 { 503 } else { *of_read };
            assert_eq!(metrics.status, of_metrics, "{mode}: {whose}: {metrics:?}");
        }
        let user = format!("system:serviceaccount:{NAMESPACE}:remediation-processor");
        let query = format!("SELECT count(*) FROM audit_records WHERE recorded_by = '{user}'");
        assert_eq!(app.database.count(&query).await, 4, "{mode}");
    }
}

#[tokio::test]
async fn what_is_withdrawn_is_refused_soon_also_where_it_was_remembered() {
    let plane = with_graceful().await;
    let kubectl = plane.kubectl();
    for account in ["remediation-processor", "context-service", "ai-analysis"] {
        create_account(&kubectl, NAMESPACE, account).await;
    }
    let of_pod = token_bound_to_a_pod(&kubectl, "remediation-processor").await;
    let of_secret = token_in_secret(&kubectl, "data-storage-metrics-token").await;
    let of_account = kubectl.token(NAMESPACE, "ai-analysis", &[]).await;
    let of_reader = kubectl.token(NAMESPACE, "context-service", &[]).await;
    let mut apps = Vec::new();
    for mode in MODES {
        let redis_url = std::env::var("REDIS_URL").unwrap();
        for redis_url in [String::new(), redis_url] {
            let setup = service(&plane, mode).await;
            let app = setup.variable("redis_url", redis_url).start().await;
            write(&app, &of_pod).await.expect(201);
            write(&app, &of_account).await.expect(201);
            read(&app, &of_secret).await.expect(200);
            read(&app, &of_reader).await.expect(200);
            apps.push(app);
        }
    }
    for arguments in [
        &["delete", "pod", "caller", "--force", "--grace-period=0"][..],
        &["delete", "secret", "data-storage-metrics-token"],
        &["delete", "serviceaccount", "ai-analysis"],
        &["delete", "rolebinding", "data-storage-readers"],
    ] {
        kubectl
            .done(&[arguments, &["-n", NAMESPACE]].concat())
            .await;
    }
    let mut polls = 0;
    for app in &apps {
        for (token, status) in [
            (&of_pod, 401),
            (&of_secret, 401),
            (&of_account, 401),
            (&of_reader, 403),
        ] {
            while read(app, token).await.status != status {
                polls += 1;
                assert!(polls < POLLS_MAX, "{status}");
                tokio::time::sleep(POLL).await;
            }
        }
    }
}
