//! Keys that sign the log.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use anyhow::{Context, Result, ensure};
use clap::Args;
use tlog::SignerKey;

use crate::project::Project;

/// Key name of services that `cargo xtask up` runs.
const LOCAL_NAME: &str = "data-storage.local";

const FILE: &str = "log-signing-key";

#[derive(Args)]
pub(crate) struct Options {
    /// Name of the log, such as data-storage.example.org/production: unique, without spaces and "+"
    name: String,
}

/// Makes a key and prints it.
pub(crate) fn print(options: &Options) -> Result<()> {
    ensure!(
        tlog::is_key_name(&options.name),
        "The name must not be empty or contain spaces or \"+\"; a URL without its scheme is usual, \
         such as data-storage.example.org/production."
    );
    let key = make(&options.name)?;
    writeln!(
        std::io::stdout(),
        "The private key, for the variable log_signing_key. It is shown once; keep it secret:\n\n{}\n\n\
         The public key, for everyone who verifies:\n\n{}",
        key.to_secret_text(),
        key.verifier()
    )
    .context("cannot print the key")
}

/// The key of a service on this machine: made once and kept in the data folder.
pub(crate) fn local(project: &Project) -> Result<SignerKey> {
    let path = project.data.join(FILE);
    let shown = path.display();
    match fs::read_to_string(&path) {
        Ok(text) => SignerKey::parse(&text)
            .with_context(|| format!("{shown} is no key; remove it to have a new one made")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let key = make(LOCAL_NAME)?;
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .with_context(|| format!("cannot create {shown}"))?;
            writeln!(file, "{}", key.to_secret_text())
                .with_context(|| format!("cannot write {shown}"))?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {shown}")),
    }
}

fn make(name: &str) -> Result<SignerKey> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("cannot make a key: {error}"))?;
    Ok(SignerKey::from_seed(name, &seed))
}
