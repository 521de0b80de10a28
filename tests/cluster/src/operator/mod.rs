//! A stand-in for spin-operator 0.6.1: its two webhooks and its controllers, as far as a SpinApp
//! and its executor can observe them.
//!
//! No package registry has the operator. `SPIN_OPERATOR_COMMAND` names a real one to run instead;
//! the stand-in was compared with it.

mod objects;
mod webhooks;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use kubeapi::Identity;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use self::objects::{deployment_of, service_of};
use self::webhooks::{serve, webhook_configurations};
use crate::control_plane::{ControlPlane, Process, log_tail};
use crate::kubectl::Kubectl;

const COMMAND_VARIABLE: &str = "SPIN_OPERATOR_COMMAND";

/// Fixed address of a real operator's webhooks.
const REAL_ADDRESS: &str = "127.0.0.1:9443";

const FIELD_MANAGER: &str = "spin-operator";

const FINALIZER: &str = "core.spinkube.dev/finalizer";

const WAIT_MAX: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(300);

/// The operator of a control plane. Dropping it stops it.
pub struct Operator {
    kubectl: Kubectl,
    runs: Runs,
}

enum Runs {
    StandIn(JoinHandle<()>),
    Real { _process: Process, folder: TempDir },
}

impl Operator {
    /// Starts the operator with its webhooks.
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
        let operator = Self { kubectl, runs };
        operator.wait_for_webhooks().await;
        operator
    }

    /// Waits until the API server calls the webhooks, some time after their registration.
    async fn wait_for_webhooks(&self) {
        let refused = json!({
            "apiVersion": "core.spinkube.dev/v1alpha1",
            "kind": "SpinApp",
            "metadata": {"name": "refused", "namespace": "default"},
            "spec": {"image": "any", "executor": "missing", "replicas": 1},
        });
        let until = Instant::now() + WAIT_MAX;
        loop {
            let create = ["create", "--dry-run=server", "-f", "-"];
            let output = self.kubectl.run_with(&create, &refused.to_string()).await;
            if output.errors.contains("executor does not exist") {
                return;
            }
            assert!(Instant::now() < until, "no webhook answers: {output:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Reconciles until `is_so` returns true; panics after a minute.
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

    /// Reconciles until every SpinApp has its Deployment, or returns the first lasting error.
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

    /// Reconciles all executors and apps once, and returns the API server's errors.
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

    /// Keeps a deleted executor while any app, in any namespace, names it.
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
        // The executor may be gone.
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
            // An existing secret stays.
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
    // The operator looks for its certificate below TMPDIR.
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

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}
