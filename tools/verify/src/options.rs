//! Options of both commands.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tlog::audit::Verdict;

use crate::kept::Kept;
use crate::key::LogKey;
use crate::service::Service;
use crate::unverifiable::{Result, Unverifiable};

/// Options of both commands.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The log's public key, NAME+HASH+KEY
    #[arg(long, value_name = "VKEY", required_unless_present = "key_file")]
    pub key: Option<String>,
    /// A file with the log's public key
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub key_file: Option<PathBuf>,
    /// A file with the bearer token for the service [default: no token]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Where to keep the last checkpoint that was verified [default: ./NAME.checkpoint, NAME from the key]
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
}

impl Options {
    /// Reads the key.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no key.
    pub fn log_key(&self) -> Result<LogKey> {
        let text = match (&self.key, &self.key_file) {
            (Some(key), _) => key.clone(),
            (None, Some(file)) => read(file)?,
            (None, None) => String::new(),
        };
        LogKey::parse(&text)
    }

    /// The kept checkpoint.
    pub fn kept(&self, key: &LogKey) -> Kept {
        let file = self.checkpoint.clone();
        Kept::new(file.unwrap_or_else(|| key.checkpoint_file()))
    }

    /// Connects to a service.
    ///
    /// # Errors
    ///
    /// The URL is none, or the token cannot be read.
    pub fn service(&self, url: &str) -> Result<Service> {
        let token = self.token_file.as_ref().map(read).transpose()?;
        Service::new(url, token)
    }
}

fn read(file: &PathBuf) -> Result<String> {
    let text =
        std::fs::read_to_string(file).map_err(|error| Unverifiable::file("read", file, error))?;
    Ok(text.trim().to_owned())
}

/// The exit code of a verdict, or of none; prints why there is none.
pub fn exit_code(verdict: Result<Verdict>) -> ExitCode {
    match verdict {
        Ok(Verdict::Intact) => ExitCode::SUCCESS,
        Ok(Verdict::Tampered) => ExitCode::from(1),
        Err(error) => {
            eprintln!("Not verifiable: {error}");
            ExitCode::from(2)
        }
    }
}
