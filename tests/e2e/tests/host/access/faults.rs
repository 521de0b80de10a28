//! A failing API server: nobody has access until it recovers.

use std::time::{Duration, Instant};

use e2e::{Answer, Setup, TestApp};
use kubeapi::{Fault, KubeApi, Token};

use super::{MODES, OWN_TOKEN, OWN_USER, PROCESSOR, cluster, with, write_as};

fn questions_of(mode: &str) -> [&'static str; 2] {
    match mode {
        "tokenreview" => ["/tokenreviews", "/subjectaccessreviews"],
        _ => ["/selfsubjectreviews", "/selfsubjectaccessreviews"],
    }
}

fn faults(mode: &str) -> Vec<Fault> {
    let mut statuses = vec![
        200, 204, 400, 403, 404, 405, 409, 415, 422, 429, 500, 501, 502, 503, 504,
    ];
    // A rejected token of the service is not the caller's fault.
    if mode == "tokenreview" {
        statuses.push(401);
    }
    let bodies = [
        "",
        "null",
        "{}",
        "<html>Welcome</html>",
        r#"{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1"}"#,
        r#"{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","status":{}}"#,
        r#"{"kind":"Status","apiVersion":"v1","status":"Success"}"#,
    ];
    let statuses = statuses.into_iter().map(Fault::Status);
    let bodies = bodies.map(|body| Fault::Body(body.to_owned()));
    let too_long = Fault::Body(" ".repeat(1024 * 1024));
    let other = [
        Fault::Close,
        Fault::MediaType("text/html".to_owned()),
        Fault::Redirect("https://127.0.0.1:1/".to_owned()),
        too_long,
    ];
    statuses.chain(bodies).chain(other).collect()
}

#[track_caller]
fn assert_unavailable(answer: Answer) {
    let answer = answer.expect_problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "2", "{answer:?}");
    assert_eq!(answer.header("www-authenticate"), "", "{answer:?}");
    for secret in ["127.0.0.1", "review", "Review", "ubernetes", PROCESSOR] {
        assert!(!answer.text.contains(secret), "{secret}: {answer:?}");
    }
}

#[tokio::test]
async fn a_question_that_is_not_answered_lets_nobody_in_until_it_is() {
    let kube = cluster().await;
    for mode in MODES {
        let app = with(&kube, mode).start().await;
        for question in questions_of(mode) {
            for fault in faults(mode) {
                kube.fail_at(question, fault.clone());
                let answer = write_as(&app, PROCESSOR).await;
                eprintln!("{mode} {question} {fault:.60?}");
                assert_unavailable(answer);
            }
            kube.mend();
            write_as(&app, PROCESSOR).await.expect(201);
        }
        let stored = app.database.count("SELECT count(*) FROM incidents").await;
        assert_eq!(stored, 2, "{mode}");
        let log = app.log();
        assert!(log.contains("status 429"), "{log}");
        assert!(
            !log.contains(PROCESSOR) && !log.contains(OWN_TOKEN),
            "{log}"
        );
        assert!(!log.contains("Welcome"), "{log}");
    }
}

#[tokio::test]
async fn a_user_without_a_name_or_with_one_that_cannot_be_stored_is_not_let_in() {
    let kube = cluster().await;
    let app = with(&kube, "selfreview").start().await;
    let long = "n".repeat(1025);
    for name in ["", "system:anonymous", "nul\\u0000", &long] {
        kube.fail_at(
            "/selfsubjectreviews",
            Fault::Body(format!(
                r#"{{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1",
                "status":{{"userInfo":{{"username":"{name}"}}}}}}"#
            )),
        );
        assert_unavailable(write_as(&app, PROCESSOR).await);
    }
}

#[tokio::test]
async fn a_slow_server_is_waited_for_two_seconds_for_both_questions_together() {
    let kube = cluster().await;
    for mode in MODES {
        let app = with(&kube, mode).start().await;
        write_as(&app, PROCESSOR).await.expect(201);
        let pause = Duration::from_millis(300);
        kube.fail(Fault::Late(pause));
        write_as(&app, PROCESSOR).await.expect(201);
        for pause in [1300, 10_000] {
            kube.fail(Fault::Late(Duration::from_millis(pause)));
            let begun = Instant::now();
            assert_unavailable(write_as(&app, PROCESSOR).await);
            let waited = begun.elapsed();
            assert!(waited >= Duration::from_millis(1900), "{waited:?}");
            assert!(waited < Duration::from_secs(4), "{waited:?}");
        }
        kube.mend();
        write_as(&app, PROCESSOR).await.expect(201);
    }
}

#[tokio::test]
async fn a_token_of_the_services_own_that_is_no_good_is_not_the_callers_fault() {
    let kube = cluster().await;
    let app = with(&kube, "tokenreview").start().await;
    kube.withdraw(OWN_TOKEN);
    assert_unavailable(write_as(&app, PROCESSOR).await);
    kube.issue(OWN_TOKEN, Token::of(OWN_USER));
    kube.forbid(OWN_USER);
    assert_unavailable(write_as(&app, PROCESSOR).await);
    kube.allow_reviews(OWN_USER);
    write_as(&app, PROCESSOR).await.expect(201);
}

async fn log_of_refusal(setup: Setup) -> String {
    let app: TestApp = setup.start().await;
    let begun = Instant::now();
    assert_unavailable(write_as(&app, PROCESSOR).await);
    assert!(begun.elapsed() < Duration::from_secs(4));
    app.get("/health/ready").await.expect(200);
    app.log()
}

#[tokio::test]
async fn a_server_that_is_gone_unknown_or_not_granted_lets_nobody_in() {
    let kube = cluster().await;
    for mode in MODES {
        let log =
            log_of_refusal(with(&kube, mode).variable("kubernetes_api_url", "https://127.0.0.1:1"));
        let log = log.await;
        assert!(log.contains("connection refused"), "{log}");
        let other = KubeApi::start().await;
        let log = log_of_refusal(with(&kube, mode).authority(other.ca_pem())).await;
        assert!(log.contains("the TLS handshake failed"), "{log}");
        let log = log_of_refusal(with(&kube, mode).manifest(|manifest| {
            let granted = ", \"{{ kubernetes_api_url }}\"]";
            assert!(manifest.contains(granted));
            manifest.replace(granted, "]")
        }))
        .await;
        assert!(log.contains("must allow kubernetes_api_url"), "{log}");
        assert!(!log.contains(PROCESSOR), "{log}");
    }
}
