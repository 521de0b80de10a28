//! Hosts for the components: devhost in this process, or a `spin` command.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use devhost::HostOptions;
use tempfile::TempDir;

/// Longest wait for a host's first response. Without a cache, Spin compiles the components first.
const START_TIME_MAX: Duration = Duration::from_secs(300);

pub(crate) fn project_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("tests/e2e lies in the project")
        .to_owned()
}

/// Returns the folder of the built components. `COMPONENTS_PROFILE` names their cargo profile; the
/// default is that of spin.toml.
pub fn components_folder() -> PathBuf {
    let profile = std::env::var("COMPONENTS_PROFILE").unwrap_or_else(|_| "release".to_owned());
    project_folder().join("target/wasm32-wasip2").join(profile)
}

const GUARDED_COMPONENTS: [&str; 16] = [
    "audit-remediation",
    "audit-aianalysis",
    "audit-workflow",
    "embedding-backfill",
    "audit-execution",
    "audit-event",
    "audit-batch",
    "audit-records",
    "holds",
    "log-proofs",
    "log-tiles",
    "incident",
    "incident-list",
    "incident-search",
    "outcomes",
    "metrics",
];

/// Returns `[[client_tls]]` that trusts the authorities in a file for this machine.
fn trust(file: &Path) -> String {
    format!(
        "[[client_tls]]\ncomponent_ids = {GUARDED_COMPONENTS:?}\nhosts = [\"127.0.0.1\"]\n\
         ca_roots_file = {file:?}\nca_use_webpki_roots = false\n"
    )
}

pub(crate) struct Files {
    folder: TempDir,
}

impl Files {
    /// Writes the project's manifest after `change`, and the certificate authority that components
    /// trust in addition, if any.
    pub(crate) fn write(
        change: impl FnOnce(String) -> String,
        runtime_config: &str,
        authority: Option<&str>,
    ) -> Self {
        let project = project_folder();
        let manifest = fs::read_to_string(project.join("spin.toml")).expect("spin.toml");
        // Component paths must be absolute, because the manifest moves to another folder.
        let source = format!("source = \"{}/", components_folder().display());
        let manifest = manifest.replace("source = \"target/wasm32-wasip2/release/", &source);
        let manifest = change(manifest);
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("spin.toml"), manifest).expect("writing spin.toml");
        let mut runtime_config = runtime_config.to_owned();
        if let Some(authority) = authority {
            let file = folder.path().join("authority.pem");
            fs::write(&file, authority).expect("writing a certificate");
            runtime_config += &trust(&file);
        }
        fs::write(folder.path().join("runtime-config.toml"), runtime_config)
            .expect("writing runtime-config.toml");
        Self { folder }
    }

    fn manifest(&self) -> PathBuf {
        self.folder.path().join("spin.toml")
    }

    fn runtime_config(&self) -> PathBuf {
        self.folder.path().join("runtime-config.toml")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("host.log")
    }
}

#[derive(Default)]
pub(crate) struct Serving {
    pub(crate) listen: Option<SocketAddr>,
    /// Drain time of the stand-in host; Spin has none.
    pub(crate) drain: Duration,
}

pub(crate) enum Host {
    Devhost(Box<devhost::Host>),
    Spin(Spin),
    External,
}

pub(crate) struct Spin {
    child: Child,
    files: Files,
}

impl Host {
    pub(crate) async fn start(
        files: Files,
        variables: BTreeMap<String, String>,
        serving: Serving,
    ) -> (Self, String) {
        match std::env::var_os("SPIN_COMMAND") {
            Some(spin) => start_spin(Path::new(&spin), files, &variables, &serving).await,
            None => start_devhost(files, variables, serving).await,
        }
    }

    /// Sends SIGTERM, as a restart does. Spin cuts off running requests.
    pub(crate) async fn shutdown(self) {
        if let Self::Devhost(host) = self {
            host.shutdown().await;
        }
    }

    pub(crate) fn log(&self) -> String {
        match self {
            Self::Devhost(host) => host.log(),
            Self::Spin(spin) => spin.log(),
            Self::External => String::new(),
        }
    }
}

impl Spin {
    fn log(&self) -> String {
        fs::read_to_string(self.files.log()).unwrap_or_default()
    }
}

impl Drop for Spin {
    fn drop(&mut self) {
        let id = self.child.id().to_string();
        let _ = Command::new("kill").arg(id).status();
        let _ = self.child.wait();
    }
}

async fn start_devhost(
    files: Files,
    variables: BTreeMap<String, String>,
    serving: Serving,
) -> (Host, String) {
    let mut options = HostOptions::new(files.manifest());
    options.runtime_config = Some(files.runtime_config());
    options.variables = variables;
    options.listen = serving.listen.unwrap_or(options.listen);
    options.drain = serving.drain;
    options.cache_dir = Some(project_folder().join(".data/devhost"));
    let host = devhost::Host::start(options).await.expect("devhost starts");
    let url = format!("http://{}", host.address());
    (Host::Devhost(Box::new(host)), url)
}

async fn start_spin(
    spin: &Path,
    files: Files,
    variables: &BTreeMap<String, String>,
    serving: &Serving,
) -> (Host, String) {
    let address = serving.listen.unwrap_or_else(|| {
        TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
    });
    let log = fs::File::create(files.log()).expect("a log file");
    let child = Command::new(spin)
        .arg("up")
        .arg("--from")
        .arg(files.manifest())
        .arg("--runtime-config-file")
        .arg(files.runtime_config())
        .arg("--listen")
        .arg(address.to_string())
        .arg("--state-dir")
        .arg(files.folder.path().join("state"))
        .envs(
            variables
                .iter()
                .map(|(name, value)| (format!("SPIN_VARIABLE_{}", name.to_uppercase()), value)),
        )
        .stdout(Stdio::from(
            log.try_clone().expect("a second handle of the log"),
        ))
        .stderr(Stdio::from(log))
        .spawn()
        .expect("SPIN_COMMAND runs");
    let mut spin = Spin { child, files };
    let url = format!("http://{address}");
    let begun = Instant::now();
    while reqwest::get(format!("{url}/health/live")).await.is_err() {
        if let Ok(Some(status)) = spin.child.try_wait() {
            panic!("spin ended with {status}: {}", spin.log());
        }
        assert!(
            begun.elapsed() < START_TIME_MAX,
            "spin does not answer: {}",
            spin.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (Host::Spin(spin), url)
}
