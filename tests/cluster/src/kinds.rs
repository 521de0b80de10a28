//! Kinds in deploy/ that Kubernetes lacks.

use serde_json::{Value, json};

/// Returns a definition with an almost empty schema. tests/deploy checks the real schemas.
pub(crate) fn definition(group: &str, version: &str, kind: &str) -> Value {
    let singular = kind.to_lowercase();
    let plural = format!("{singular}s");
    let properties = match kind {
        "SpinApp" => spinapp_properties(),
        _ => json!({}),
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural, "singular": singular},
            "scope": "Namespaced",
            "versions": [{
                "name": version,
                "served": true,
                "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": true,
                    "properties": properties,
                }},
            }],
        },
    })
}

/// Declares headers as a list, which the operator's webhook violates.
fn spinapp_properties() -> Value {
    let any = |properties: Value| {
        json!({
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": true,
            "properties": properties,
        })
    };
    let header = any(json!({}));
    let headers = json!({"type": "array", "items": header});
    let check = any(json!({"httpGet": any(json!({"httpHeaders": headers}))}));
    let checks = any(json!({"readiness": check, "liveness": check}));
    json!({"spec": any(json!({"checks": checks}))})
}

pub(crate) fn runtime_class() -> Value {
    json!({
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": "wasmtime-spin-v2"},
        "handler": "spin",
    })
}
