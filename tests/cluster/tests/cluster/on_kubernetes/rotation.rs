//! Rotation of tokens as in docs/runbook.md.

use std::time::Duration;

use cluster::{ControlPlane, Kubectl, NAMESPACE};
use e2e::TestApp;

use super::{apply, create_account, patched, read, service, token_in_secret, with_graceful, write};

/// The API server caches its answers for 10 s.
const REMEMBERED_BY_THE_API_SERVER: Duration = Duration::from_secs(11);

async fn renamed(kubectl: &Kubectl, overlay: &str) -> String {
    let heading = "### The tokens of service accounts";
    patched(kubectl, overlay, "docs/runbook.md", heading).await
}

async fn service_with(plane: &ControlPlane, token: &str) -> TestApp {
    let setup = service(plane, "selfreview").await;
    setup
        .variable("auth_mode", "tokenreview")
        .variable("kubernetes_token", token)
        .start()
        .await
}

#[tokio::test]
async fn tokens_are_replaced_by_secrets_of_other_names_and_stay_so() {
    let plane = with_graceful().await;
    let kubectl = plane.kubectl();
    create_account(&kubectl, NAMESPACE, "remediation-processor").await;
    let caller = kubectl.token(NAMESPACE, "remediation-processor", &[]).await;
    let names = ["data-storage-token", "data-storage-metrics-token"];
    let mut old = Vec::new();
    for name in names {
        old.push(token_in_secret(&kubectl, name).await);
    }
    let new_objects = renamed(&kubectl, "graceful").await;
    for name in names {
        assert!(
            !new_objects.contains(&format!("name: {name}\n")),
            "{name} is still named"
        );
    }
    apply(&kubectl, &new_objects).await;
    let own = token_in_secret(&kubectl, "data-storage-token-2").await;
    let prometheus = token_in_secret(&kubectl, "data-storage-metrics-token-2").await;
    assert!(!old.contains(&own) && !old.contains(&prometheus));

    // Both tokens are valid until the old ones are deleted.
    write(&service_with(&plane, &old[0]).await, &caller)
        .await
        .expect(201);
    let app = service_with(&plane, &own).await;
    for token in [&old[1], &prometheus] {
        read(&app, token).await.expect(200);
    }
    kubectl
        .done(&[&["delete", "secret", "-n", NAMESPACE], &names[..]].concat())
        .await;
    apply(&kubectl, &new_objects).await;
    tokio::time::sleep(REMEMBERED_BY_THE_API_SERVER).await;
    let with_old = service_with(&plane, &old[0]).await;
    write(&with_old, &caller)
        .await
        .expect_problem(503, "unavailable");
    read(&app, &old[1])
        .await
        .expect_problem(401, "unauthorized");
    read(&app, &prometheus).await.expect(200);
    write(&app, &caller).await.expect(201);
}

#[tokio::test]
async fn a_secret_under_an_old_name_makes_the_old_token_good_again() {
    let plane = with_graceful().await;
    let kubectl = plane.kubectl();
    let app = service(&plane, "selfreview").await.start().await;
    let name = "data-storage-metrics-token";
    let before = token_in_secret(&kubectl, name).await;
    let delete = ["delete", "secret", "-n", NAMESPACE, name];
    kubectl.done(&delete).await;
    tokio::time::sleep(REMEMBERED_BY_THE_API_SERVER).await;
    read(&app, &before)
        .await
        .expect_problem(401, "unauthorized");
    let objects = kubectl.kustomize("deploy/overlays/graceful").await;
    apply(&kubectl, &objects).await;
    assert_eq!(token_in_secret(&kubectl, name).await, before);
    tokio::time::sleep(REMEMBERED_BY_THE_API_SERVER).await;
    read(&app, &before).await.expect(200);
}

#[tokio::test]
async fn spinapps_and_the_servicemonitor_follow_a_secret_to_its_other_name() {
    let folder = tempfile::tempdir().unwrap();
    let kubectl = Kubectl::without_cluster(folder.path());
    for overlay in ["graceful", "spinapp", "split"] {
        let objects = renamed(&kubectl, overlay).await;
        for name in ["data-storage-token", "data-storage-metrics-token"] {
            assert!(
                !objects.contains(&format!("name: {name}\n")),
                "{overlay}: {name}"
            );
            let now = format!("name: {name}-2\n");
            assert!(objects.matches(&now).count() >= 2, "{overlay}: {name}");
        }
    }
}
