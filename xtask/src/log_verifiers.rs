//! Checks the log with programs and packages of others, which xtask/log-verifiers pins: Go's
//! `sumdb` packages over the API, and tessera's `fsck` over the API and over an export.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, ensure};
use tlog::SignerKey;
use url::Url;

use crate::address::Address;
use crate::database::{Database, connect};
use crate::go::Go;
use crate::process::{Finished, command, run};
use crate::project::Project;
use crate::redis::Redis;
use crate::service::Service;
use crate::steps::Step;

/// The program that exports a log.
pub(crate) const EXPORT: &str = "export";

const FOLDER: &str = "xtask/log-verifiers";

/// Minor version of Go that the packages need.
const GO_MINOR_MIN: u32 = 25;

/// Records that are written: more than two full tiles.
const RECORDS: &str = "600";

/// Workers of fsck. After a mismatch, fsck waits forever if more tiles follow than it has workers.
const FSCK_WORKERS: &str = "8";

/// fsck's exit code is always 0, so its words tell.
const FSCK_ACCEPTS: &str = "Successfully fsck'd log with size ";
const FSCK_FINDS: &str = "fsck failed: failed: tile/";

/// How long a program may take, with its first download and build.
const WAIT_MAX: Duration = Duration::from_secs(600);

const LINES_SHOWN: usize = 40;

/// fsck writes whole tiles into a line.
const CHARACTERS_SHOWN: usize = 300;

/// Changes the kind that the first entry names.
const ALTER: &str = r#"UPDATE log_entries
    SET entry = replace(entry, '"kind":"remediation"', '"kind":"execution"')
    WHERE leaf_index = 0 AND entry LIKE '%"kind":"remediation"%'"#;

/// Why the check cannot run on this machine, if so.
pub(crate) async fn missing(project: &Project) -> Result<Option<String>> {
    Ok(Go::find(project, GO_MINOR_MIN).await?.err())
}

/// A service with a log of its own, and what verifies the log.
pub(crate) struct LogVerifiers {
    service: Service,
    database: Address,
    key: SignerKey,
    go: Go,
    export: PathBuf,
    /// The Go module.
    module: PathBuf,
    /// Holds what the check writes.
    data: PathBuf,
}

impl LogVerifiers {
    /// Starts a service with a new database.
    pub(crate) async fn start(
        project: &Project,
        devhost: PathBuf,
        export: PathBuf,
        database: &Database,
        redis: &Redis,
        step: &Step,
    ) -> Result<(Self, String)> {
        let go = Go::find(project, GO_MINOR_MIN)
            .await?
            .map_err(|why| anyhow!("{why}"))?;
        let key = SignerKey::from_seed("log.example", &[1; 32]);
        let mut variables = redis.variables()?;
        variables.push(("log_signing_key", key.to_secret_text()));
        let (service, database) =
            Service::start_with_new_database(project, devhost, database, "log", &variables, step)
                .await?;
        let result = format!("ready for the verifiers at {}", service.url);
        let started = Self {
            service,
            database,
            key,
            go,
            export,
            module: project.root.join(FOLDER),
            data: project.data.join("log-verifiers"),
        };
        Ok((started, result))
    }

    /// Writes records and has the log verified, then alters an entry and expects a complaint.
    pub(crate) async fn check(&self, project: &Project, step: &Step) -> Result<String> {
        let _lock = project.lock("log-verifiers", step).await?;
        fs::remove_dir_all(&self.data).ok();
        fs::create_dir_all(&self.data)
            .with_context(|| format!("cannot create {}", self.data.display()))?;
        let key = self.write_key().await?;
        let export = self.data.join("export");
        let served = Url::parse(&format!("{}/log/v1/", self.service.url))
            .context("cannot read the service's URL")?;
        let exported = Url::from_directory_path(&export)
            .map_err(|()| anyhow!("{} has no URL", export.display()))?;

        succeed(
            self.sumdb(&key, RECORDS),
            "checking the log with sumdb",
            step,
        )
        .await?;
        self.fsck(&served, "checking the log with fsck", step)
            .await?;
        let mut make = command(&self.export);
        // It keeps the checkpoint in its working directory.
        make.current_dir(&self.data)
            .args(["--key", &self.key.verifier().to_string()])
            .arg(&self.service.url)
            .arg(&export);
        succeed(make, "exporting the log", step).await?;
        self.fsck(&exported, "checking the export with fsck", step)
            .await?;

        self.alter_entry().await?;
        let what = "looking for an altered entry with sumdb";
        let altered = attempt(self.sumdb(&key, "0"), what, step).await?;
        if altered.success || !has(&altered, "the entry of leaf 0: ") {
            return Err(failed(what, &altered));
        }
        let what = "looking for an altered entry with fsck";
        let altered = attempt(self.fsck_of(&served), what, step).await?;
        if has(&altered, FSCK_ACCEPTS) || !has(&altered, FSCK_FINDS) {
            return Err(failed(what, &altered));
        }
        Ok("passed with sumdb, fsck, and fsck of an export; both find an altered entry".to_owned())
    }

    /// Writes the public key under the log's origin to a file; returns it.
    async fn write_key(&self) -> Result<String> {
        let incarnation: String = connect(&self.database)
            .await?
            .query_one("SELECT log_incarnation()", &[])
            .await
            .and_then(|row| row.try_get(0))
            .context("cannot read the log's incarnation")?;
        let url = format!("{}/log/v1/checkpoint", self.service.url);
        let checkpoint = tokio::task::spawn_blocking(move || read(&url))
            .await
            .context("cannot read the checkpoint")??;
        let origin = checkpoint.lines().next().unwrap_or_default().to_owned();
        let expected = format!("{}/{incarnation}-", self.key.name());
        ensure!(
            origin.starts_with(&expected),
            "The origin of the log is {origin}, not {expected} and random digits"
        );
        let key = self.key.verifier().named(&origin).to_string();
        let path = self.key_file();
        fs::write(&path, &key).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(key)
    }

    fn key_file(&self) -> PathBuf {
        self.data.join("key")
    }

    fn sumdb(&self, key: &str, records: &str) -> Command {
        let mut check = self.go.command("run", &self.module);
        check.args(["./check", "--url", &self.service.url]).args([
            "--key",
            key,
            "--records",
            records,
        ]);
        check
    }

    fn fsck_of(&self, log: &Url) -> Command {
        let mut fsck = self.go.command("tool", &self.module);
        fsck.args(["fsck", "--ui=false", "--N", FSCK_WORKERS])
            .args(["--storage_url", log.as_str(), "--public_key"])
            .arg(self.key_file());
        fsck
    }

    async fn fsck(&self, log: &Url, what: &str, step: &Step) -> Result<()> {
        let finished = attempt(self.fsck_of(log), what, step).await?;
        if finished.success && has(&finished, FSCK_ACCEPTS) {
            return Ok(());
        }
        Err(failed(what, &finished))
    }

    /// Alters an entry, as only the database's owner can.
    async fn alter_entry(&self) -> Result<()> {
        let altered = connect(&self.database)
            .await?
            .execute(ALTER, &[])
            .await
            .context("cannot alter an entry of the log")?;
        ensure!(
            altered == 1,
            "The first entry of the log is not a record's."
        );
        Ok(())
    }
}

async fn attempt(command: Command, what: &str, step: &Step) -> Result<Finished> {
    step.say(what);
    run(command, step, Some(WAIT_MAX)).await
}

/// Runs a command; its failure is an error with the last lines of its output.
async fn succeed(command: Command, what: &str, step: &Step) -> Result<()> {
    let finished = attempt(command, what, step).await?;
    if finished.success {
        return Ok(());
    }
    Err(failed(what, &finished))
}

fn has(finished: &Finished, text: &str) -> bool {
    finished.lines.iter().any(|line| line.contains(text))
}

fn failed(what: &str, finished: &Finished) -> Error {
    let skipped = finished.lines.len().saturating_sub(LINES_SHOWN);
    let lines: Vec<String> = finished
        .lines
        .iter()
        .skip(skipped)
        .map(|line| line.chars().take(CHARACTERS_SHOWN).collect())
        .collect();
    anyhow!(
        "The step `log` failed while {what}:\n  {}\n\
         Repeat it with `cargo xtask test --only log`.",
        lines.join("\n  ")
    )
}

fn read(url: &str) -> Result<String> {
    let mut answer = ureq::get(url)
        .call()
        .context("cannot read the checkpoint")?;
    answer
        .body_mut()
        .read_to_string()
        .context("cannot read the checkpoint")
}
