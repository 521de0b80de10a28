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

const KINDS: &str = "serviceaccounts,secrets,configmaps,services,roles,rolebindings,\
                     networkpolicies,jobs,cronjobs,deployments,horizontalpodautoscalers,\
                     poddisruptionbudgets,servicemonitors,prometheusrules,spinapps,\
                     spinappexecutors,pods";

/// Creates a namespace as the runbook permits.
async fn create_namespace(kubectl: &Kubectl, name: &str) {
    create_namespace_that_enforces(kubectl, name, "baseline").await;
}

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

async fn apply(kubectl: &Kubectl, objects: &str) {
    let applied = kubectl.apply_text(objects).await;
    assert!(
        applied.is_success && applied.errors.is_empty(),
        "{applied:?}"
    );
}

/// Returns the first code block in a language below a heading of a page.
fn example(page: &str, heading: &str, language: &str) -> String {
    let page = fs::read_to_string(project().join(page)).expect("a page of the documentation");
    let (_, chapter) = page.split_once(heading).expect("the heading");
    let begin = format!("```{language}\n");
    let (_, example) = chapter.split_once(&begin).expect("an example");
    example.split_once("```").expect("its end").0.to_owned()
}

/// Returns an overlay with the patches below a heading of a page.
async fn patched(kubectl: &Kubectl, overlay: &str, page: &str, heading: &str) -> String {
    let patches = example(page, heading, "yaml");
    // kustomize accepts only relative paths.
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

async fn create_account(kubectl: &Kubectl, namespace: &str, name: &str) {
    let create = ["create", "serviceaccount", "-n", namespace, name];
    kubectl.done(&create).await;
}

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

/// Returns the service's setup in a mode, with the token of its overlay and without a cache of
/// verdicts.
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

async fn write(app: &TestApp, token: &str) -> Answer {
    let request = app
        .request(Method::POST, "/api/v1/audit/remediation")
        .header("content-type", "application/json")
        .bearer_auth(token)
        .body(record("remediation").to_string());
    app.send(request).await
}

async fn get(app: &TestApp, token: &str, path: &str) -> Answer {
    let request = app.request(Method::GET, path);
    app.send(request.bearer_auth(token)).await
}

async fn read(app: &TestApp, token: &str) -> Answer {
    get(app, token, "/api/v1/incidents?limit=1").await
}
