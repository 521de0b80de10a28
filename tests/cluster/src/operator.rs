//! spin-operator 0.6.1, as far as a SpinApp and its executor can tell: its two webhooks, as its chart
//! installs them, and what its controllers make, refuse and hold back.
//!
//! It cannot be had from a package registry. `SPIN_OPERATOR_COMMAND` names a real one that runs in
//! place of what is written here, which was held against it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use kubeapi::Identity;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::control_plane::{ControlPlane, Process, log_tail};
use crate::kubectl::Kubectl;

/// Names a real one.
const COMMAND_VARIABLE: &str = "SPIN_OPERATOR_COMMAND";

/// Where a real one's webhooks are; nothing can change it.
const REAL_ADDRESS: &str = "127.0.0.1:9443";

/// Whose fields the objects are that it makes.
const FIELD_MANAGER: &str = "spin-operator";

const FINALIZER: &str = "core.spinkube.dev/finalizer";

/// How long [`Operator::settle`] waits.
const WAIT_MAX: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(300);

/// The operator of a control plane. It ends with its value.
pub struct Operator {
    kubectl: Kubectl,
    runs: Runs,
}

enum Runs {
    StandIn(JoinHandle<()>),
    Real { _process: Process, folder: TempDir },
}

impl Operator {
    /// Starts it, with its webhooks.
    pub async fn start(plane: &ControlPlane) -> Self {
        let kubectl = plane.kubectl();
        let identity = Identity::new();
        let ca_pem = identity.ca_pem.clone();
        let (runs, address) = match std::env::var_os(COMMAND_VARIABLE) {
            Some(command) => {
                let runs = start_real(Path::new(&command), &identity, &kubectl);
                (runs, REAL_ADDRESS.to_owned())
            }
            None => {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                let address = listener.local_addr().expect("an address").to_string();
                let serve = serve(listener, identity, kubectl.clone());
                (Runs::StandIn(tokio::spawn(serve)), address)
            }
        };
        for configuration in webhook_configurations(&address, &ca_pem) {
            kubectl.apply(&configuration).await;
        }
        Self { kubectl, runs }
    }

    /// Has the controllers work until something is so.
    pub async fn settle<F: Future<Output = bool>>(&self, what: &str, is_so: impl Fn() -> F) {
        let until = Instant::now() + WAIT_MAX;
        loop {
            if matches!(self.runs, Runs::StandIn(_)) {
                self.reconcile().await;
            }
            if is_so().await {
                return;
            }
            assert!(Instant::now() < until, "not so after a minute: {what}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Has the controllers work until every SpinApp has its Deployment as it should be; an error
    /// of theirs that stays is answered.
    pub async fn make_deployments(&self) -> Result<(), String> {
        if matches!(self.runs, Runs::StandIn(_)) {
            return self
                .reconcile()
                .await
                .into_iter()
                .next()
                .map_or(Ok(()), Err);
        }
        let until = Instant::now() + Duration::from_secs(15);
        loop {
            let errors = self.errors_of_deployments().await;
            if errors.is_empty() || Instant::now() >= until {
                return errors.into_iter().next().map_or(Ok(()), Err);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What is wrong with the Deployments of SpinApps, of a real operator.
    async fn errors_of_deployments(&self) -> Vec<String> {
        let mut errors = Vec::new();
        for app in self.kubectl.list(&["spinapps", "-A"]).await {
            let [namespace, name] = ["namespace", "name"].map(|key| text(&app["metadata"][key]));
            let get = ["get", "deployment", "-n", namespace, name, "-o", "json"];
            let found = self.kubectl.run(&get).await;
            let deployment: Value = serde_json::from_str(&found.text).unwrap_or_default();
            if deployment["metadata"]["ownerReferences"][0]["uid"] != app["metadata"]["uid"] {
                errors.push(format!("{name} has no Deployment of its own"));
            }
        }
        errors
    }

    /// One pass over all executors and apps; what the API server refused.
    async fn reconcile(&self) -> Vec<String> {
        let mut errors = Vec::new();
        let apps = self.kubectl.list(&["spinapps", "-A"]).await;
        for executor in self.kubectl.list(&["spinappexecutors", "-A"]).await {
            self.reconcile_executor(&executor, &apps).await;
            let of_executor = |app: &&Value| {
                app["spec"]["executor"] == executor["metadata"]["name"]
                    && app["metadata"]["namespace"] == executor["metadata"]["namespace"]
            };
            for app in apps.iter().filter(of_executor) {
                errors.extend(self.reconcile_app(app, &executor).await.err());
            }
        }
        errors
    }

    /// It does not go while an app has one of its name, in whatever namespace.
    async fn reconcile_executor(&self, executor: &Value, apps: &[Value]) {
        let [namespace, name] = ["namespace", "name"].map(|key| text(&executor["metadata"][key]));
        let is_deleted = executor["metadata"].get("deletionTimestamp").is_some();
        let is_used = apps.iter().any(|app| app["spec"]["executor"] == name);
        let finalizers = match (is_deleted, is_used) {
            (true, true) => return,
            (true, false) => json!([]),
            (false, _) => json!([FINALIZER]),
        };
        let patch = json!({"metadata": {"finalizers": finalizers}}).to_string();
        let patch = [
            "patch",
            "spinappexecutor",
            "-n",
            namespace,
            name,
            "--type=merge",
            "-p",
            &patch,
        ];
        // It may be gone.
        self.kubectl.run(&patch).await;
    }

    async fn reconcile_app(&self, app: &Value, executor: &Value) -> Result<(), String> {
        let config = &executor["spec"]["deploymentConfig"];
        if config["installDefaultCACerts"] == true {
            let secret = json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {
                    "namespace": app["metadata"]["namespace"],
                    "name": config["caCertSecret"],
                    "annotations": {"app.kubernetes.io/managed-by": "spin-operator.spinkube.dev"},
                },
                "stringData": {"ca-certificates.crt": "the public ones"},
            });
            // One that is there stays.
            let create = ["create", "-f", "-"];
            self.kubectl.run_with(&create, &secret.to_string()).await;
        }
        for object in [deployment_of(app, config), service_of(app)] {
            let manager = format!("--field-manager={FIELD_MANAGER}");
            let apply = [
                "apply",
                "--server-side",
                "--force-conflicts",
                &manager,
                "-f",
                "-",
            ];
            let output = self.kubectl.run_with(&apply, &object.to_string()).await;
            if !output.is_success {
                return Err(output.errors);
            }
        }
        Ok(())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        match &self.runs {
            Runs::StandIn(task) => task.abort(),
            Runs::Real { folder, .. } if std::thread::panicking() => {
                eprintln!(
                    "--- spin-operator\n{}",
                    log_tail(&folder.path().join("log"))
                );
            }
            Runs::Real { .. } => {}
        }
    }
}

fn start_real(command: &Path, identity: &Identity, kubectl: &Kubectl) -> Runs {
    let folder = tempfile::tempdir().expect("a folder");
    // It looks for its certificate below the folder of temporary files.
    let certificates = folder.path().join("k8s-webhook-server/serving-certs");
    fs::create_dir_all(&certificates).expect("a folder");
    for (name, pem) in [
        ("tls.crt", &identity.certificate_pem),
        ("tls.key", &identity.key_pem),
    ] {
        fs::write(certificates.join(name), pem).expect("a certificate to write");
    }
    let mut run = Command::new(command);
    run.env("KUBECONFIG", kubectl.kubeconfig())
        .env("TMPDIR", folder.path())
        .args(["--enable-webhooks", "--metrics-bind-address=0"])
        .arg("--health-probe-bind-address=0");
    let _process = Process::start(run, &folder.path().join("log"));
    Runs::Real { _process, folder }
}

/// As the chart has them.
fn webhook_configurations(address: &str, ca_pem: &str) -> Vec<Value> {
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

/// The webhooks' server.
async fn serve(listener: TcpListener, identity: Identity, kubectl: Kubectl) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = identity.acceptor.clone();
        let kubectl = kubectl.clone();
        tokio::spawn(async move {
            let stream = acceptor
                .accept(stream)
                .await
                .expect("the API server trusts it");
            let service = service_fn(move |request| {
                let kubectl = kubectl.clone();
                async move { review(request, &kubectl).await }
            });
            // The API server closes connections as it likes.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Answers an AdmissionReview.
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

/// Go writes a list that is not there as null, where its field is not told to be left out.
fn null_for_missing_headers(app: &Value) -> Value {
    let checks = app["spec"]["checks"].as_object().into_iter().flatten();
    let missing = checks.filter(|(_, check)| check["httpGet"]["httpHeaders"].is_null());
    missing
        .map(|(name, _)| {
            let path = format!("/spec/checks/{name}/httpGet/httpHeaders");
            json!({"op": "add", "path": path, "value": null})
        })
        .collect()
}

async fn validate_app(app: &Value, kubectl: &Kubectl) -> Result<(), String> {
    let spec = &app["spec"];
    let executor = text(&spec["executor"]);
    let namespace = text(&app["metadata"]["namespace"]);
    let get = ["get", "spinappexecutor", "-n", namespace, executor];
    if !kubectl.run(&get).await.is_success {
        return Err(format!(
            "spec.executor: {executor} does not exist in namespace"
        ));
    }
    let replicas = spec["replicas"].as_i64().unwrap_or(0);
    match spec["enableAutoscaling"] == true {
        true if replicas != 0 => Err("spec.replicas: set with autoscaling".to_owned()),
        false if replicas < 1 => Err("spec.replicas: must be > 0".to_owned()),
        _ => Ok(()),
    }
}

/// The labels that only its own pods have.
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

fn deployment_of(app: &Value, config: &Value) -> Value {
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

fn service_of(app: &Value) -> Value {
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

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
