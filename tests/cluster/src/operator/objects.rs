//! The Deployment and the Service that the operator makes of a SpinApp.

use serde_json::{Value, json};

use super::text;

/// Labels that only the app's pods have.
fn own_labels(name: &str) -> Value {
    json!({
        "core.spinkube.dev/app-name": name,
        format!("core.spinkube.dev/app.{name}.status"): "ready",
    })
}

fn metadata_of(app: &Value) -> Value {
    let metadata = &app["metadata"];
    json!({
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "labels": {"core.spinkube.dev/app-name": metadata["name"]},
        "ownerReferences": [{
            "apiVersion": "core.spinkube.dev/v1alpha1",
            "kind": "SpinApp",
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": true,
            "blockOwnerDeletion": true,
        }],
    })
}

pub(super) fn deployment_of(app: &Value, config: &Value) -> Value {
    let spec = &app["spec"];
    let name = text(&app["metadata"]["name"]);
    let mut env: Vec<_> = items(&spec["variables"])
        .map(|variable| {
            let mut variable = variable.clone();
            let name = text(&variable["name"]).to_uppercase();
            variable["name"] = json!(format!("SPIN_VARIABLE_{name}"));
            variable
        })
        .collect();
    env.push(json!({"name": "SPIN_HTTP_LISTEN_ADDR", "value": "0.0.0.0:80"}));
    if spec["components"].is_array() {
        let components: Vec<_> = items(&spec["components"]).map(text).collect();
        env.push(json!({"name": "SPIN_COMPONENTS_TO_RETAIN", "value": components.join(",")}));
    }
    let from_secret = |volume: &str, secret: &Value, key: &str| {
        json!({"name": volume, "secret": {
            "secretName": secret,
            "optional": true,
            "items": [{"key": key, "path": key}],
        }})
    };
    let config_file = "runtime-config.toml";
    let ca_file = "ca-certificates.crt";
    let runtime_config = &spec["runtimeConfig"]["loadFromSecret"];
    let mut volumes = vec![from_secret(
        "spin-runtime-config",
        runtime_config,
        config_file,
    )];
    volumes.extend(items(&spec["volumes"]).cloned());
    volumes.push(from_secret("spin-ca", &config["caCertSecret"], ca_file));
    let mount = |volume: &str, path: &str, file: &str| json!({"name": volume, "mountPath": path, "subPath": file, "readOnly": true});
    let mut mounts = vec![mount(
        "spin-runtime-config",
        "/runtime-config.toml",
        config_file,
    )];
    mounts.extend(items(&spec["volumeMounts"]).cloned());
    mounts.push(mount(
        "spin-ca",
        "/etc/ssl/certs/ca-certificates.crt",
        ca_file,
    ));
    let probe = |check: &Value| {
        let mut probe = check.clone();
        probe["httpGet"]["port"] = json!(80);
        probe
    };
    let mut labels = spec["podLabels"].clone();
    for (label, value) in own_labels(name).as_object().into_iter().flatten() {
        labels[label] = value.clone();
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata_of(app),
        "spec": {
            "selector": {"matchLabels": own_labels(name)},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "runtimeClassName": config["runtimeClassName"],
                    "serviceAccountName": spec["serviceAccountName"],
                    "volumes": volumes,
                    "containers": [{
                        "name": name,
                        "image": spec["image"],
                        "command": ["/"],
                        "ports": [{"name": "http-app", "containerPort": 80}],
                        "env": env,
                        "volumeMounts": mounts,
                        "resources": spec["resources"],
                        "livenessProbe": probe(&spec["checks"]["liveness"]),
                        "readinessProbe": probe(&spec["checks"]["readiness"]),
                    }],
                },
            },
        },
    })
}

pub(super) fn service_of(app: &Value) -> Value {
    let name = text(&app["metadata"]["name"]);
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata_of(app),
        "spec": {
            "type": "ClusterIP",
            "ports": [{"protocol": "TCP", "port": 80, "targetPort": "http-app"}],
            "selector": {format!("core.spinkube.dev/app.{name}.status"): "ready"},
        },
    })
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
