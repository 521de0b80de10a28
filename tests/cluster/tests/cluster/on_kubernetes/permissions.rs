//! Permissions by the roles and bindings of deploy/.

use cluster::NAMESPACE;

use super::{apply, with_graceful};

/// Returns the `can-i` question for a permission on the service.
fn on_service(verb: &str) -> Vec<&str> {
    vec![verb, "services/data-storage", "-n", NAMESPACE]
}

#[tokio::test]
async fn callers_may_what_they_are_bound_to_and_nothing_else() {
    let plane = with_graceful().await;
    let kubectl = plane.kubectl();
    apply(&kubectl, &kubectl.kustomize("deploy/backfill").await).await;
    let account = |name: &str| format!("system:serviceaccount:{NAMESPACE}:{name}");
    for (user, groups, may_write, may_read) in [
        (account("remediation-processor"), &[][..], true, false),
        (account("ai-analysis"), &[], true, false),
        (account("workflow-execution"), &[], true, false),
        (account("kubernetes-executor"), &[], true, false),
        (account("data-storage-backfill"), &[], true, false),
        (account("context-service"), &[], false, true),
        (account("data-storage-metrics"), &[], false, true),
        ("anna".to_owned(), &["kubernaut:auditors"], false, true),
        ("anna".to_owned(), &["kubernaut:others"], false, false),
        (account("data-storage"), &[], false, false),
        (account("default"), &[], false, false),
        (
            "system:serviceaccount:default:ai-analysis".to_owned(),
            &[],
            false,
            false,
        ),
    ] {
        for (verb, expected) in [("create", may_write), ("get", may_read)] {
            let may = kubectl.can(&user, groups, &on_service(verb)).await;
            assert_eq!(may, expected, "{user} {groups:?} {verb}");
        }
        for verb in ["hold", "update", "delete", "list"] {
            assert!(
                !kubectl.can(&user, groups, &on_service(verb)).await,
                "{user} {verb}"
            );
        }
        for verb in ["create", "get"] {
            let other = [verb, "services/another", "-n", NAMESPACE];
            assert!(!kubectl.can(&user, groups, &other).await, "{user} {verb}");
        }
    }
}

#[tokio::test]
async fn the_services_own_account_asks_for_reviews_and_nothing_else() {
    let plane = with_graceful().await;
    let kubectl = plane.kubectl();
    let own = format!("system:serviceaccount:{NAMESPACE}:data-storage");
    for (question, expected) in [
        (&["create", "tokenreviews.authentication.k8s.io"][..], true),
        (
            &["create", "subjectaccessreviews.authorization.k8s.io"],
            true,
        ),
        (&["get", "secrets", "-n", NAMESPACE], false),
        (&["list", "pods", "-n", NAMESPACE], false),
        (&["create", "serviceaccounts/token", "-n", NAMESPACE], false),
        (&["impersonate", "users"], false),
    ] {
        assert_eq!(
            kubectl.can(&own, &[], question).await,
            expected,
            "{question:?}"
        );
    }
    // selfreview asks as the caller, which every authenticated user may do.
    for resource in [
        "selfsubjectreviews.authentication.k8s.io",
        "selfsubjectaccessreviews.authorization.k8s.io",
    ] {
        let groups = ["system:authenticated"];
        assert!(
            kubectl.can("anna", &groups, &["create", resource]).await,
            "{resource}"
        );
    }
}
