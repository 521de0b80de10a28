//! etcd, the API server and the controller manager as child processes.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::kinds;
use crate::kubectl::Kubectl;
use crate::tokens::SigningKey;

const PROGRAMS_VARIABLE: &str = "KUBERNETES_PROGRAMS";

/// Issuer of service account tokens and audience of the API server.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// Users of the cluster: token, name, id, groups.
const USERS: &str = "token-of-admin,admin,1,system:masters\n\
                     token-of-anna,anna,2,kubernaut:auditors\n";

const START_TIME_MAX: Duration = Duration::from_secs(120);

const POLL: Duration = Duration::from_millis(200);

/// Permits for control planes: each takes half a gigabyte, and a real spin-operator listens on a
/// fixed port.
static PERMITS: LazyLock<Semaphore> = LazyLock::new(|| {
    Semaphore::new(match std::env::var_os("SPIN_OPERATOR_COMMAND") {
        Some(_) => 1,
        None => 2,
    })
});

/// A control plane. Dropping it stops it.
pub struct ControlPlane {
    api_server_port: u16,
    etcd_port: u16,
    signing_key: SigningKey,
    processes: Mutex<Processes>,
    // Drop it after the processes, which write into it.
    folder: TempDir,
    _permit: SemaphorePermit<'static>,
}

#[derive(Default)]
struct Processes {
    // The fields drop in this order.
    controller_manager: Option<Process>,
    api_server: Option<Process>,
    etcd: Option<Process>,
}

impl ControlPlane {
    /// Starts the control plane of an empty cluster with the kinds of SpinKube and
    /// prometheus-operator.
    pub async fn start() -> Self {
        let permit = PERMITS.acquire().await.expect("a permit");
        let folder = tempfile::tempdir().expect("a folder");
        let signing_key = SigningKey::generate();
        let write = |name: &str, content: &str| {
            fs::write(folder.path().join(name), content).expect("a file of the control plane");
        };
        write("service-accounts.key", &signing_key.private_pem());
        write("service-accounts.pub", &signing_key.public_pem());
        write("users.csv", USERS);
        let plane = Self {
            api_server_port: free_port(),
            etcd_port: free_port(),
            signing_key,
            processes: Mutex::default(),
            folder,
            _permit: permit,
        };
        plane.start_etcd();
        plane.start_api_server().await;
        plane.start_controller_manager();
        plane.install_kinds().await;
        plane
    }

    /// Returns the API server's URL.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.api_server_port)
    }

    /// Returns the API server's certificate authority in PEM.
    pub fn ca_pem(&self) -> String {
        fs::read_to_string(self.ca_file()).expect("the API server's certificate")
    }

    /// Returns kubectl as the cluster's administrator.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.folder.path().join("kubeconfig"))
    }

    /// Returns the key that signs service account tokens.
    pub fn signing_key(&self) -> &SigningKey {
        &self.signing_key
    }

    /// Stops the API server.
    pub fn stop_api_server(&self) {
        self.processes().api_server = None;
    }

    /// Starts the API server and waits until it serves.
    pub async fn start_api_server(&self) {
        let certificates = self.folder.path().join("certificates");
        let file = |name: &str| self.folder.path().join(name);
        let mut run = self.program("kube-apiserver");
        run.arg(format!(
            "--etcd-servers=http://127.0.0.1:{}",
            self.etcd_port
        ))
        .arg("--bind-address=127.0.0.1")
        .arg("--advertise-address=127.0.0.1")
        .arg(format!("--secure-port={}", self.api_server_port))
        .arg(argument("--cert-dir", &certificates))
        .arg(format!("--service-account-issuer={ISSUER}"))
        .arg(argument(
            "--service-account-key-file",
            &file("service-accounts.pub"),
        ))
        .arg(argument(
            "--service-account-signing-key-file",
            &file("service-accounts.key"),
        ))
        .arg(argument("--token-auth-file", &file("users.csv")))
        .arg("--authorization-mode=Node,RBAC")
        .arg("--service-cluster-ip-range=10.0.0.0/24")
        .arg("--endpoint-reconciler-type=none")
        .arg("--allow-privileged=true");
        self.processes().api_server = Some(Process::start(run, &self.log("kube-apiserver")));
        // It writes its certificate first.
        let until = Instant::now() + START_TIME_MAX;
        loop {
            if self.ca_file().exists() {
                self.write_kubeconfig();
                let ready = self.kubectl().run(&["get", "--raw", "/readyz"]).await;
                if ready.is_success {
                    return;
                }
            }
            assert!(
                Instant::now() < until && self.runs(),
                "the API server is not ready:\n{}\n{}",
                log_tail(&self.log("kube-apiserver")),
                log_tail(&self.log("etcd"))
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Suspends the API server until [`Self::thaw_api_server`]. Its connections stay open.
    pub fn freeze_api_server(&self) {
        self.signal_api_server(Signal::SIGSTOP);
    }

    /// Resumes the API server.
    pub fn thaw_api_server(&self) {
        self.signal_api_server(Signal::SIGCONT);
    }

    fn runs(&self) -> bool {
        let mut processes = self.processes();
        let Processes {
            api_server, etcd, ..
        } = &mut *processes;
        [api_server, etcd]
            .into_iter()
            .all(|process| process.as_mut().is_some_and(Process::runs))
    }

    fn signal_api_server(&self, signal: Signal) {
        let processes = self.processes();
        let process = processes.api_server.as_ref().expect("it runs");
        process.signal(signal);
    }

    fn start_etcd(&self) {
        let client = format!("http://127.0.0.1:{}", self.etcd_port);
        let peer = format!("http://127.0.0.1:{}", free_port());
        let mut run = self.program("etcd");
        run.arg(argument("--data-dir", &self.folder.path().join("etcd")))
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster=default={peer}"))
            // The data is disposable.
            .arg("--unsafe-no-fsync");
        self.processes().etcd = Some(Process::start(run, &self.log("etcd")));
    }

    fn start_controller_manager(&self) {
        let mut run = self.program("kube-controller-manager");
        run.arg(argument(
            "--kubeconfig",
            &self.folder.path().join("kubeconfig"),
        ))
        .arg(argument(
            "--service-account-private-key-file",
            &self.folder.path().join("service-accounts.key"),
        ))
        .arg(argument("--root-ca-file", &self.ca_file()))
        .arg("--use-service-account-credentials=true")
        .arg("--bind-address=127.0.0.1")
        .arg("--secure-port=0")
        .arg("--leader-elect=false");
        let process = Process::start(run, &self.log("kube-controller-manager"));
        self.processes().controller_manager = Some(process);
    }

    /// Installs what deploy/ expects: SpinKube's kinds and RuntimeClass, and prometheus-operator's
    /// kinds.
    async fn install_kinds(&self) {
        let kubectl = self.kubectl();
        match std::env::var("SPINKUBE_CRDS_DIR") {
            Ok(folder) => {
                let apply = ["apply", "--server-side", "-f", &folder];
                kubectl.done(&apply).await;
            }
            Err(_) => {
                for kind in ["SpinApp", "SpinAppExecutor"] {
                    let definition = kinds::definition("core.spinkube.dev", "v1alpha1", kind);
                    kubectl.apply(&definition).await;
                }
            }
        }
        for kind in ["ServiceMonitor", "PrometheusRule"] {
            let definition = kinds::definition("monitoring.coreos.com", "v1", kind);
            kubectl.apply(&definition).await;
        }
        kubectl.apply(&kinds::runtime_class()).await;
        kubectl
            .done(&["wait", "--for=condition=Established", "crd", "--all"])
            .await;
    }

    fn write_kubeconfig(&self) {
        let config = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {
                "server": self.url(),
                "certificate-authority": self.ca_file(),
            }}],
            "users": [{"name": "admin", "user": {"token": "token-of-admin"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            "current-context": "test",
        });
        let file = self.folder.path().join("kubeconfig");
        fs::write(file, config.to_string()).expect("a file of the control plane");
    }

    fn ca_file(&self) -> PathBuf {
        self.folder.path().join("certificates/apiserver.crt")
    }

    fn log(&self, program: &str) -> PathBuf {
        self.folder.path().join(format!("{program}.log"))
    }

    fn program(&self, name: &str) -> Command {
        let programs = std::env::var_os(PROGRAMS_VARIABLE).expect(
            "KUBERNETES_PROGRAMS is not set: run the tests with `cargo xtask cluster-test`",
        );
        let mut command = Command::new(Path::new(&programs).join(name));
        command.current_dir(self.folder.path());
        command
    }

    fn processes(&self) -> std::sync::MutexGuard<'_, Processes> {
        self.processes.lock().expect("no test panics with it")
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for program in ["etcd", "kube-apiserver", "kube-controller-manager"] {
                eprintln!("--- {program}\n{}", log_tail(&self.log(program)));
            }
        }
    }
}

pub(crate) struct Process {
    child: Child,
}

impl Process {
    pub(crate) fn start(mut run: Command, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log);
        let log = log.expect("a log file");
        let child = run
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", run.get_program().display()));
        Self { child }
    }

    fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("it runs");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub(crate) fn log_tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

fn argument(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}
