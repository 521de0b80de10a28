//! `auth_audiences`: accepted tokens, and the setting for Prometheus.

use cluster::NAMESPACE;

use super::{create_account, example, read, service, token_in_secret, with_graceful, write};

#[tokio::test]
async fn with_an_audience_of_its_own_only_tokens_for_it_are_taken() {
    let plane = with_graceful().await;
    let kubectl = plane.kubectl();
    create_account(&kubectl, NAMESPACE, "remediation-processor").await;
    let for_service = ["--audience=data-storage"];
    let for_service = kubectl
        .token(NAMESPACE, "remediation-processor", &for_service)
        .await;
    let for_api_server = kubectl.token(NAMESPACE, "remediation-processor", &[]).await;
    let prometheus = token_in_secret(&kubectl, "data-storage-metrics-token").await;

    let app = service(&plane, "tokenreview")
        .await
        .variable("auth_audiences", "data-storage")
        .start()
        .await;
    write(&app, &for_service).await.expect(201);
    write(&app, &for_api_server)
        .await
        .expect_problem(401, "unauthorized");
    read(&app, &prometheus)
        .await
        .expect_problem(401, "unauthorized");

    // The example in docs/access.md has the audience of the test's API server.
    let setting = example("docs/access.md", "**Prometheus**", "ini");
    let audiences = setting.trim().strip_prefix("auth_audiences=").unwrap();
    let app = service(&plane, "tokenreview")
        .await
        .variable("auth_audiences", audiences)
        .start()
        .await;
    write(&app, &for_service).await.expect(201);
    write(&app, &for_api_server).await.expect(201);
    read(&app, &prometheus).await.expect(200);
}
