//! Invalid settings: nobody has access, and readiness names them.

use e2e::{Setup, TestApp};
use kubeapi::KubeApi;

use super::{MODES, PROCESSOR, cluster, get_as, with, write_as};

async fn start(setup: Setup, changed: &[(&str, &str)]) -> TestApp {
    let set = |setup: Setup, (name, value): &(&str, &str)| setup.variable(name, *value);
    changed.iter().fold(setup, set).start().await
}

async fn assert_named(kube: &KubeApi, mode: &str, changed: &[(&str, &str)], named: &[&str]) {
    let app = start(with(kube, mode), changed).await;
    for path in ["/api/v1/incidents", "/metrics"] {
        for answer in [get_as(&app, PROCESSOR, path).await, app.get(path).await] {
            let answer = answer.expect_problem(503, "unavailable");
            assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
            assert!(!answer.text.contains("auth_"), "{answer:?}");
        }
    }
    let answer = write_as(&app, PROCESSOR).await;
    answer.expect_problem(503, "unavailable");
    let unready = app.get("/health/ready").await;
    let unready = unready.expect_problem(503, "unavailable");
    let expected: Vec<_> = named
        .iter()
        .map(|name| ((*name).to_owned(), "readiness".to_owned()))
        .collect();
    assert_eq!(unready.violations(), expected, "{changed:?}");
    app.get("/health/live").await.expect(200);
    let log = app.log();
    for name in named {
        assert!(log.contains(name), "{name}: {log}");
    }
    for shown in [log, unready.text] {
        assert!(!shown.contains("hidden"), "{shown}");
    }
    assert!(kube.take_requests().is_empty());
}

#[tokio::test]
async fn a_setting_that_cannot_be_used_lets_nobody_in_and_is_named() {
    let kube = cluster().await;
    for mode in MODES {
        for (name, value) in [
            ("auth_mode", "hidden"),
            ("auth_mode", ""),
            ("kubernetes_api_url", "http://hidden.example"),
            ("kubernetes_namespace", "hidden.not a namespace"),
            ("auth_cache_key", ""),
            ("auth_cache_key", "hidden-as-it-is-but-31-characte"),
            ("auth_audiences", "hidden,,"),
        ] {
            assert_named(&kube, mode, &[(name, value)], &[name]).await;
        }
    }
    let missing = [("kubernetes_token", "")];
    assert_named(&kube, "tokenreview", &missing, &["kubernetes_token"]).await;
    let contradictory = [("auth_audiences", "hidden")];
    assert_named(&kube, "selfreview", &contradictory, &["auth_audiences"]).await;
    let several = [("auth_cache_key", "hidden"), ("kubernetes_token", "a b")];
    let named = ["auth_cache_key", "kubernetes_token"];
    assert_named(&kube, "tokenreview", &several, &named).await;
}

#[tokio::test]
async fn good_settings_are_ready() {
    let kube = cluster().await;
    for mode in MODES {
        let longest = format!("a{}", "-b".repeat(31));
        let app = start(with(&kube, mode), &[("kubernetes_namespace", &longest)]).await;
        app.get("/health/ready").await.expect(200);
    }
}
