//! What is in deploy/ and docs/ is held against Kubernetes itself.

mod audiences;
mod outages;
mod overlays;
mod permissions;
mod rotation;
mod tokens;

use std::fs;

use cluster::{ControlPlane, Kubectl, NAMESPACE, project};
use e2e::{Answer, Setup, TestApp, record};
use reqwest::Method;
use serde_json::json;

/// The kinds that deploy/ has, and what comes of them.
const KINDS: &str = "serviceaccounts,secrets,configmaps,services,roles,rolebindings,\
                     networkpolicies,jobs,cronjobs,deployments,horizontalpodautoscalers,\
                     poddisruptionbudgets,servicemonitors,prometheusrules,spinapps,\
                     spinappexecutors,pods";

/// Makes a namespace as the runbook says it may be.
async fn create_namespace(kubectl: &Kubectl, name: &str) {
    create_namespace_that_enforces(kubectl, name, "baseline").await;
}

/// Makes a namespace that enforces a level of pod security.
async fn create_namespace_that_enforces(kubectl: &Kubectl, name: &str, level: &str) {
    let namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {"pod-security.kubernetes.io/enforce": level},
        },
    });
    kubectl.apply(&namespace).await;
}

/// A cluster with the overlay `graceful` in it.
async fn with_graceful() -> ControlPlane {
    let plane = ControlPlane::start().await;
    let kubectl = plane.kubectl();
    create_namespace(&kubectl, NAMESPACE).await;
    apply(
        &kubectl,
        &kubectl.kustomize("deploy/overlays/graceful").await,
    )
    .await;
    plane
}

/// Applies objects; nothing is to be refused or warned of.
async fn apply(kubectl: &Kubectl, objects: &str) {
    let applied = kubectl.apply_text(objects).await;
    assert!(
        applied.is_success && applied.errors.is_empty(),
        "{applied:?}"
    );
}

/// The first example in a language that a page of the documentation has under a heading.
fn example(page: &str, heading: &str, language: &str) -> String {
    let page = fs::read_to_string(project().join(page)).expect("a page of the documentation");
    let (_, chapter) = page.split_once(heading).expect("the heading");
    let begin = format!("```{language}\n");
    let (_, example) = chapter.split_once(&begin).expect("an example");
    example.split_once("```").expect("its end").0.to_owned()
}

/// An overlay with the patches that a page has under a heading.
async fn patched(kubectl: &Kubectl, overlay: &str, page: &str, heading: &str) -> String {
    let patches = example(page, heading, "yaml");
    // kustomize takes relative paths alone.
    let folder = tempfile::tempdir_in(project().join(".data")).expect("a folder");
    let kustomization = format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n\
         sortOptions: {{ order: fifo }}\n\
         resources: [../../deploy/overlays/{overlay}]\n{patches}"
    );
    fs::write(folder.path().join("kustomization.yaml"), kustomization).expect("a file");
    let folder = folder.path().to_str().expect("a path in UTF-8");
    kubectl.kustomize(folder).await
}

/// Makes a service account that somebody else than deploy/ has.
async fn create_account(kubectl: &Kubectl, namespace: &str, name: &str) {
    let create = ["create", "serviceaccount", "-n", namespace, name];
    kubectl.done(&create).await;
}

/// The token that the cluster fills into a Secret.
async fn token_in_secret(kubectl: &Kubectl, name: &str) -> String {
    let secret = ["secret", "-n", NAMESPACE, name];
    kubectl
        .until(&secret, |secret| secret["data"]["token"].is_string())
        .await;
    let template = "--template={{.data.token | base64decode}}";
    kubectl
        .done(&[&["get"], &secret[..], &[template]].concat())
        .await
}

/// The service in a mode on a cluster with an overlay in it, with the token of its own that the
/// overlay gives it. It remembers nothing.
async fn service(plane: &ControlPlane, mode: &str) -> Setup {
    let setup = Setup::default()
        .variable("auth_mode", mode)
        .variable("kubernetes_api_url", plane.url())
        .variable("kubernetes_namespace", NAMESPACE)
        .variable("auth_cache_key", "a-secret-of-all-replicas-of-a-test")
        .variable("redis_url", "")
        .authority(&plane.ca_pem());
    match mode {
        "tokenreview" => {
            let token = token_in_secret(&plane.kubectl(), "data-storage-token").await;
            setup.variable("kubernetes_token", token)
        }
        _ => setup,
    }
}

/// Posts a new record as the bearer of a token.
async fn write(app: &TestApp, token: &str) -> Answer {
    let request = app
        .request(Method::POST, "/api/v1/audit/remediation")
        .header("content-type", "application/json")
        .bearer_auth(token)
        .body(record("remediation").to_string());
    app.send(request).await
}

/// `GET` as the bearer of a token.
async fn get(app: &TestApp, token: &str, path: &str) -> Answer {
    let request = app.request(Method::GET, path);
    app.send(request.bearer_auth(token)).await
}

/// Lists incidents as the bearer of a token.
async fn read(app: &TestApp, token: &str) -> Answer {
    get(app, token, "/api/v1/incidents?limit=1").await
}
