//! What runs the components: the stand-in host in this process, or a `spin` command.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use devhost::HostOptions;
use tempfile::TempDir;

/// How long a host may take to answer for the first time.
const START_TIME_MAX: Duration = Duration::from_secs(120);

pub(crate) fn project_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("tests/e2e lies in the project")
        .to_owned()
}

/// The components that ask the Kubernetes API server.
const GUARDED_COMPONENTS: [&str; 8] = [
    "audit-remediation",
    "audit-aianalysis",
    "audit-workflow",
    "audit-execution",
    "incident",
    "incident-list",
    "incident-search",
    "metrics",
];

/// Has these components trust the authorities in a file when they ask this machine.
fn trust(file: &Path) -> String {
    format!(
        "[[client_tls]]\ncomponent_ids = {GUARDED_COMPONENTS:?}\nhosts = [\"127.0.0.1\"]\n\
         ca_roots_file = {file:?}\nca_use_webpki_roots = false\n"
    )
}

/// A manifest and a runtime configuration in a folder of their own.
pub(crate) struct Files {
    folder: TempDir,
}

impl Files {
    /// The project's manifest, changed by the test, with the certificate authority that the
    /// components trust beyond the usual ones, if any.
    pub(crate) fn write(
        change: impl FnOnce(String) -> String,
        runtime_config: &str,
        authority: Option<&str>,
    ) -> Self {
        let project = project_folder();
        let manifest = fs::read_to_string(project.join("spin.toml")).expect("spin.toml");
        // The folder is another one, so the components' paths are made absolute.
        let source = format!("source = \"{}/target/", project.display());
        let manifest = change(manifest.replace("source = \"target/", &source));
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

pub(crate) enum Host {
    Devhost(devhost::Host),
    Spin(Child, Files),
    External,
}

impl Host {
    /// Starts the components and answers where they are served.
    pub(crate) async fn start(files: Files, variables: BTreeMap<String, String>) -> (Self, String) {
        match std::env::var_os("SPIN_COMMAND") {
            Some(spin) => start_spin(Path::new(&spin), files, &variables).await,
            None => start_devhost(files, variables).await,
        }
    }

    /// What the components and the host logged.
    pub(crate) fn log(&self) -> String {
        match self {
            Self::Devhost(host) => host.log(),
            Self::Spin(_, files) => fs::read_to_string(files.log()).unwrap_or_default(),
            Self::External => String::new(),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Self::Spin(child, _) = self {
            // Spin ends at once on SIGTERM, and with it the trigger it started.
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
        }
    }
}

async fn start_devhost(files: Files, variables: BTreeMap<String, String>) -> (Host, String) {
    let mut options = HostOptions::new(files.manifest());
    options.runtime_config = Some(files.runtime_config());
    options.variables = variables;
    options.cache_dir = Some(project_folder().join(".data/devhost"));
    let host = devhost::Host::start(options).await.expect("devhost starts");
    let url = format!("http://{}", host.address());
    (Host::Devhost(host), url)
}

async fn start_spin(
    spin: &Path,
    files: Files,
    variables: &BTreeMap<String, String>,
) -> (Host, String) {
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();
    let log = fs::File::create(files.log()).expect("a log file");
    let child = Command::new(spin)
        .arg("up")
        .arg("--from")
        .arg(files.manifest())
        .arg("--runtime-config-file")
        .arg(files.runtime_config())
        .arg("--listen")
        .arg(format!("127.0.0.1:{port}"))
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
    let mut host = Host::Spin(child, files);
    let url = format!("http://127.0.0.1:{port}");
    let begun = Instant::now();
    while reqwest::get(format!("{url}/health/live")).await.is_err() {
        if let Host::Spin(child, _) = &mut host
            && let Ok(Some(status)) = child.try_wait()
        {
            panic!("spin ended with {status}: {}", host.log());
        }
        assert!(
            begun.elapsed() < START_TIME_MAX,
            "spin does not answer: {}",
            host.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (host, url)
}
