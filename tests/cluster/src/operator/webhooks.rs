//! The operator's two webhooks.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use kubeapi::Identity;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::text;
use crate::kubectl::Kubectl;

pub(super) fn webhook_configurations(address: &str, ca_pem: &str) -> Vec<Value> {
    let kinds = [
        ("MutatingWebhookConfiguration", "mutate"),
        ("ValidatingWebhookConfiguration", "validate"),
    ];
    let configuration = |(kind, verb): (&str, &str)| {
        let webhooks: Vec<_> = ["spinapp", "spinappexecutor"]
            .into_iter()
            .map(|resource| {
                let path = format!("{verb}-core-spinkube-dev-v1alpha1-{resource}");
                json!({
                    "name": format!("{}{resource}.kb.io", &verb[..1]),
                    "admissionReviewVersions": ["v1"],
                    "clientConfig": {
                        "url": format!("https://{address}/{path}"),
                        "caBundle": BASE64_STANDARD.encode(ca_pem),
                    },
                    "failurePolicy": "Fail",
                    "sideEffects": "None",
                    "rules": [{
                        "apiGroups": ["core.spinkube.dev"],
                        "apiVersions": ["v1alpha1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": [format!("{resource}s")],
                    }],
                })
            })
            .collect();
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": "spin-operator"},
            "webhooks": webhooks,
        })
    };
    kinds.map(configuration).into()
}

pub(super) async fn serve(listener: TcpListener, identity: Identity, kubectl: Kubectl) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = identity.acceptor.clone();
        let kubectl = kubectl.clone();
        tokio::spawn(async move {
            // Other clients fail the handshake.
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = service_fn(move |request| {
                let kubectl = kubectl.clone();
                async move { review(request, &kubectl).await }
            });
            // Ignore connections that the API server closes.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn review(
    request: Request<Incoming>,
    kubectl: &Kubectl,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await?.to_bytes();
    let review: Value = serde_json::from_slice(&body).expect("an AdmissionReview");
    let object = &review["request"]["object"];
    let mut response = json!({"uid": review["request"]["uid"], "allowed": true});
    match path.as_str() {
        "/mutate-core-spinkube-dev-v1alpha1-spinapp" => {
            let patch = null_for_missing_headers(object).to_string();
            response["patchType"] = json!("JSONPatch");
            response["patch"] = json!(BASE64_STANDARD.encode(patch));
        }
        "/validate-core-spinkube-dev-v1alpha1-spinapp" => {
            if let Err(why) = validate_app(object, kubectl).await {
                response["allowed"] = json!(false);
                response["status"] = json!({"code": 422, "message": why});
            }
        }
        _ => {}
    }
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": response,
    });
    let mut response = Response::new(Full::new(Bytes::from(answer.to_string())));
    let json = hyper::header::HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, json);
    Ok(response)
}

/// Adds null for absent headers, as Go serialises a missing list without `omitempty`.
fn null_for_missing_headers(app: &Value) -> Value {
    let checks = app["spec"]["checks"].as_object().into_iter().flatten();
    let missing = checks.filter(|(_, check)| {
        check["httpGet"].is_object() && check["httpGet"]["httpHeaders"].is_null()
    });
    missing
        .map(|(name, _)| {
            let path = format!("/spec/checks/{name}/httpGet/httpHeaders");
            json!({"op": "add", "path": path, "value": null})
        })
        .collect()
}

async fn validate_app(app: &Value, kubectl: &Kubectl) -> Result<(), String> {
    let spec = &app["spec"];
    let executor = spec["executor"].as_str().unwrap_or_default();
    let namespace = text(&app["metadata"]["namespace"]);
    let get = ["get", "spinappexecutor", "-n", namespace, executor];
    if !kubectl.run(&get).await.is_success {
        return Err(format!(
            "spec.executor: {executor}: executor does not exist in namespace"
        ));
    }
    let replicas = spec["replicas"].as_i64().unwrap_or(0);
    match spec["enableAutoscaling"] == true {
        true if replicas != 0 => Err("spec.replicas: set with autoscaling".to_owned()),
        false if replicas < 1 => Err("spec.replicas: must be > 0".to_owned()),
        _ => Ok(()),
    }
}
