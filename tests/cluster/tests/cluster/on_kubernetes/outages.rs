//! An API server that is down or suspended.

use cluster::NAMESPACE;
use e2e::TestApp;

use super::{create_account, service, with_graceful, write};

async fn assert_unavailable(app: &TestApp, token: &str) {
    let answer = write(app, token).await.expect_problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "2", "{answer:?}");
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
        write(&forgetful, &remembered).await.expect(201);

        write(&remembering, &remembered).await.expect(201);
        plane.freeze_api_server();
        write(&remembering, &remembered).await.expect(201);
        assert_unavailable(&forgetful, &other).await;
        plane.thaw_api_server();
        write(&forgetful, &other).await.expect(201);
    }
}
