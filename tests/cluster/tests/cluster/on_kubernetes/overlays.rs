//! Installs, changes and removes deploy/ under the operator.

use std::collections::BTreeSet;
use std::fs;

use cluster::{ControlPlane, Kubectl, NAMESPACE, Operator, project};
use serde_json::Value;

use super::{KINDS, apply, create_namespace, create_namespace_that_enforces, patched};

const SECOND: &str = "kubernaut-eu-2";

const INSTALLATIONS: [(&str, &str); 5] = [
    ("overlays/graceful", NAMESPACE),
    ("overlays/spinapp", NAMESPACE),
    ("overlays/split", NAMESPACE),
    ("examples/cluster", NAMESPACE),
    ("examples/second", SECOND),
];

/// Objects that every namespace has, or that the operator leaves.
const NOT_OURS: [&str; 3] = [
    "configmap/kube-root-ca.crt",
    "serviceaccount/default",
    "secret/data-storage-ca",
];

async fn objects_of(kubectl: &Kubectl, folder: &str) -> String {
    kubectl.kustomize(&format!("deploy/{folder}")).await
}

/// Returns the objects of a namespace as `kind/name`, and whether they were applied or derived.
async fn objects_in(kubectl: &Kubectl, namespace: &str) -> Vec<(String, bool)> {
    let objects = kubectl.list(&["-n", namespace, KINDS]).await;
    objects
        .iter()
        .map(|object| {
            let is_applied = object["metadata"].get("ownerReferences").is_none();
            (name_of(object), is_applied)
        })
        .filter(|(name, _)| !NOT_OURS.contains(&name.as_str()))
        .collect()
}

async fn all_in(kubectl: &Kubectl, namespace: &str) -> BTreeSet<String> {
    let objects = objects_in(kubectl, namespace).await.into_iter();
    objects.map(|(name, _)| name).collect()
}

async fn applied_in(kubectl: &Kubectl, namespace: &str) -> BTreeSet<String> {
    let objects = objects_in(kubectl, namespace).await.into_iter();
    objects
        .filter_map(|(name, is_applied)| is_applied.then_some(name))
        .collect()
}

fn name_of(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap().to_lowercase();
    format!("{kind}/{}", object["metadata"]["name"].as_str().unwrap())
}

async fn pods_are_made(kubectl: &Kubectl, namespace: &str) {
    let has_pods = |object: &Value| match object["kind"].as_str() {
        Some("Deployment") => object["status"]["replicas"].as_i64() >= Some(1),
        _ => object["status"]["active"].as_i64() >= Some(1),
    };
    let all = ["-n", namespace, "deployments,jobs"];
    let made = kubectl
        .until(&all, |all| {
            let all = all["items"].as_array().map_or(&[][..], Vec::as_slice);
            !all.is_empty() && all.iter().all(has_pods)
        })
        .await;
    let deployments = made["items"].as_array().unwrap().iter();
    assert!(deployments.clone().any(|each| each["kind"] == "Deployment"));
}

async fn remove(kubectl: &Kubectl, operator: &Operator, objects: &str, namespace: &str) {
    let delete = ["delete", "--ignore-not-found", "--wait=false", "-f", "-"];
    kubectl.done_with(&delete, objects).await;
    operator
        .settle("everything is removed", || async {
            all_in(kubectl, namespace).await.is_empty()
        })
        .await;
}

#[tokio::test]
async fn every_overlay_is_installed_twice_without_a_difference_and_removed() {
    let plane = ControlPlane::start().await;
    let operator = Operator::start(&plane).await;
    let kubectl = plane.kubectl();
    create_namespace(&kubectl, NAMESPACE).await;
    create_namespace(&kubectl, SECOND).await;
    for (folder, namespace) in INSTALLATIONS {
        let objects = objects_of(&kubectl, folder).await;
        apply(&kubectl, &objects).await;
        operator.make_deployments().await.expect("Deployments");
        pods_are_made(&kubectl, namespace).await;

        apply(&kubectl, &objects).await;
        let diff = ["diff", "--server-side", "-f", "-"];
        let diff = kubectl.run_with(&diff, &objects).await;
        assert!(
            diff.is_success && diff.text.is_empty(),
            "{folder}: {diff:?}"
        );

        remove(&kubectl, &operator, &objects, namespace).await;
    }
}

#[tokio::test]
async fn what_is_applied_beside_an_overlay_is_installed() {
    let plane = ControlPlane::start().await;
    let kubectl = plane.kubectl();
    create_namespace(&kubectl, NAMESPACE).await;
    create_namespace(&kubectl, "monitoring").await;
    for folder in ["overlays/graceful", "backfill", "observability"] {
        apply(&kubectl, &objects_of(&kubectl, folder).await).await;
    }
    pods_are_made(&kubectl, NAMESPACE).await;
}

#[tokio::test]
async fn pods_without_root_are_let_into_a_restricted_namespace_and_others_are_not() {
    let plane = ControlPlane::start().await;
    let kubectl = plane.kubectl();
    create_namespace_that_enforces(&kubectl, NAMESPACE, "restricted").await;
    let objects = objects_of(&kubectl, "overlays/graceful").await;
    let applied = kubectl.apply_text(&objects).await;
    assert!(
        applied.errors.contains("violate PodSecurity"),
        "{applied:?}"
    );
    let get = ["deployment", "-n", NAMESPACE, "data-storage"];
    let is_refused = |deployment: &Value| {
        let conditions = deployment["status"]["conditions"].to_string();
        conditions.contains("runAsNonRoot != true")
    };
    kubectl.until(&get, is_refused).await;

    let page = "deploy/README.md";
    let objects = patched(&kubectl, "graceful", page, "## Without root").await;
    apply(&kubectl, &objects).await;
    pods_are_made(&kubectl, NAMESPACE).await;
}

#[tokio::test]
async fn a_job_that_has_run_is_refused_alone_and_made_again_after_it_is_deleted() {
    let plane = ControlPlane::start().await;
    let kubectl = plane.kubectl();
    create_namespace(&kubectl, NAMESPACE).await;
    let objects = objects_of(&kubectl, "overlays/graceful").await;
    apply(&kubectl, &objects).await;

    let changed = objects
        .replace("image: postgres:17-alpine", "image: postgres:18-alpine")
        .replace("cluster_name: local", "cluster_name: eu-1");
    let applied = kubectl.apply_text(&changed).await;
    assert!(!applied.is_success);
    let errors = applied.errors.trim_end();
    assert!(errors.ends_with("field is immutable"), "{errors}");
    let get = ["cronjob", "-n", NAMESPACE, "data-storage-maintain"];
    let cron_job = kubectl.get(&get).await.to_string();
    assert!(cron_job.contains("postgres:18-alpine"), "{cron_job}");
    let settings = kubectl.list(&["configmaps", "-n", NAMESPACE]).await;
    let is_changed = |each: &Value| each["data"]["cluster_name"] == "eu-1";
    assert!(settings.iter().any(is_changed), "{settings:?}");

    let delete = ["delete", "job", "-n", NAMESPACE, "data-storage-migrate-v1"];
    kubectl.done(&delete).await;
    apply(&kubectl, &changed).await;
}

#[tokio::test]
async fn what_was_applied_by_the_client_is_taken_over_once() {
    let plane = ControlPlane::start().await;
    let kubectl = plane.kubectl();
    create_namespace(&kubectl, NAMESPACE).await;
    let objects = objects_of(&kubectl, "examples/cluster").await;
    kubectl.done_with(&["apply", "-f", "-"], &objects).await;
    let newer = objects.replace("data-storage:0.1.0", "data-storage:0.2.0");
    assert_ne!(newer, objects);
    let take_over = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    kubectl.done_with(&take_over, &newer).await;
    let get = ["deployment", "-n", NAMESPACE, "data-storage"];
    let deployment = kubectl.get(&get).await.to_string();
    assert!(deployment.contains("data-storage:0.2.0"), "{deployment}");
    apply(&kubectl, &newer).await;
}

#[tokio::test]
async fn of_two_deployments_one_is_removed_and_the_other_stays() {
    let plane = ControlPlane::start().await;
    let operator = Operator::start(&plane).await;
    let kubectl = plane.kubectl();
    for (namespace, folder) in [(NAMESPACE, "overlays/spinapp"), (SECOND, "examples/second")] {
        create_namespace(&kubectl, namespace).await;
        apply(&kubectl, &objects_of(&kubectl, folder).await).await;
    }
    operator.make_deployments().await.expect("Deployments");
    let first = applied_in(&kubectl, NAMESPACE).await;

    let second = objects_of(&kubectl, "examples/second").await;
    remove(&kubectl, &operator, &second, SECOND).await;

    assert_eq!(applied_in(&kubectl, NAMESPACE).await, first);
    let account = format!("system:serviceaccount:{NAMESPACE}:data-storage");
    let question = ["create", "tokenreviews.authentication.k8s.io"];
    assert!(kubectl.can(&account, &[], &question).await);
}

/// Returns the objects that docs/runbook.md tells to delete after a change of the overlay.
fn left_over(from: &str, to: &str) -> Vec<String> {
    let runbook = fs::read_to_string(project().join("docs/runbook.md")).expect("the runbook");
    let beginning = format!("| `{from}` | `{to}` | ");
    let row = runbook
        .lines()
        .find_map(|line| line.strip_prefix(&beginning));
    let row = row.unwrap_or_else(|| panic!("the runbook has no row for {from} to {to}"));
    let names = row.trim_end_matches('|').split_whitespace();
    names
        .map(|name| name.trim_matches('`').to_owned())
        .collect()
}

fn deployments_of(overlay: &str) -> usize {
    if overlay == "split" { 2 } else { 1 }
}

#[tokio::test]
async fn an_overlay_is_changed_for_another_in_place() {
    let plane = ControlPlane::start().await;
    let operator = Operator::start(&plane).await;
    let kubectl = plane.kubectl();
    create_namespace(&kubectl, NAMESPACE).await;
    // An order in which every overlay follows every other one.
    let order = [
        "graceful", "spinapp", "split", "graceful", "split", "spinapp", "graceful",
    ];
    let mut before = None;
    for overlay in order {
        let objects = objects_of(&kubectl, &format!("overlays/{overlay}")).await;
        apply(&kubectl, &objects).await;
        operator.make_deployments().await.unwrap_or_else(|error| {
            panic!("from {before:?} to {overlay}: {error}");
        });
        pods_are_made(&kubectl, NAMESPACE).await;
        if let Some(before) = before {
            let old = ["deployments", "-n", NAMESPACE];
            let deployments = kubectl.list(&old).await;
            assert!(
                deployments.len() > deployments_of(overlay),
                "{before} is gone"
            );
            let delete = ["delete", "--wait=false", "-n", NAMESPACE];
            let left_over = left_over(before, overlay);
            let names: Vec<_> = left_over.iter().map(String::as_str).collect();
            kubectl.done(&[&delete, names.as_slice()].concat()).await;
        }
        let dry = ["apply", "--dry-run=client", "-o", "json", "-f", "-"];
        let wanted: Value = {
            let text = kubectl.done_with(&dry, &objects).await;
            serde_json::from_str(&text).expect("JSON")
        };
        let wanted: BTreeSet<_> = wanted["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|object| object["metadata"].get("namespace").is_some())
            .map(name_of)
            .collect();
        let what = format!("after {before:?}, the objects are those of {overlay}");
        operator
            .settle(&what, || async {
                let there = applied_in(&kubectl, NAMESPACE).await;
                if there != wanted {
                    let surplus: Vec<_> = there.symmetric_difference(&wanted).collect();
                    eprintln!("{what}: {surplus:?}");
                }
                there == wanted
            })
            .await;
        before = Some(overlay);
    }
}
