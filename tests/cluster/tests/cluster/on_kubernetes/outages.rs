//! An API server that is down or suspended.

use std::time::{Duration, Instant};

use cluster::NAMESPACE;
use e2e::TestApp;

use super::{create_account, service, with_graceful, write};

async fn assert_unavailable(app: &TestApp, token: &str) {
    let answer = write(app, token).await.expect_problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "2", "{answer:?}");
}

/// Writes until the API server is as fast again as the service expects.
async fn write_when_answered(app: &TestApp, token: &str) {
    let begun = Instant::now();
    let mut answer = write(app, token).await;
    while answer.status == 503 && begun.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        answer = write(app, token).await;
    }
    answer.expect(201);
}

#[tokio::test]
async fn while_the_api_server_is_down_or_frozen_those_who_are_remembered_are_let_in() {
    let plane = with_graceful().await;
    let kubectl = plane.kubectl();
    create_account(&kubectl, NAMESPACE, "remediation-processor").await;
    let remembered = kubectl.token(NAMESPACE, "remediation-processor", &[]).await;
    let other = kubectl.token(NAMESPACE, "remediation-processor", &[]).await;
    for mode in ["tokenreview", "selfreview"] {
        let remembering = {
            let redis = std::env::var("REDIS_URL").unwrap();
            let setup = service(&plane, mode).await;
            setup.variable("redis_url", redis).start().await
        };
        let forgetful = service(&plane, mode).await.start().await;

        write(&remembering, &remembered).await.expect(201);
        plane.stop_api_server();
        write(&remembering, &remembered).await.expect(201);
        assert_unavailable(&remembering, &other).await;
        assert_unavailable(&forgetful, &remembered).await;
        plane.start_api_server().await;
        write_when_answered(&forgetful, &remembered).await;

        write(&remembering, &remembered).await.expect(201);
        plane.freeze_api_server();
        write(&remembering, &remembered).await.expect(201);
        assert_unavailable(&forgetful, &other).await;
        plane.thaw_api_server();
        write_when_answered(&forgetful, &other).await;
    }
}
