//! Runs `devhost --from spin.toml` with a subset of the options of `spin up`.

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use devhost::{Host, HostOptions, LogSink, READINESS_PATHS};
use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Runs a Spin application where the `spin` command is missing.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The manifest or its folder.
    #[arg(short, long, default_value = "spin.toml")]
    from: PathBuf,
    /// Address and port to listen on.
    #[arg(
        long,
        env = "SPIN_HTTP_LISTEN_ADDR",
        default_value = "127.0.0.1:3000",
        value_parser = parse_address
    )]
    listen: SocketAddr,
    /// The runtime configuration.
    #[arg(long, env = "RUNTIME_CONFIG_FILE")]
    runtime_config_file: Option<PathBuf>,
    /// An application variable; overrides SPIN_VARIABLE_NAME in the environment.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair)]
    variable: Vec<(String, String)>,
    /// An environment variable for all components.
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = parse_pair)]
    env: Vec<(String, String)>,
    /// Cache folder for compiled components [default: .data/devhost beside the manifest].
    #[arg(long)]
    cache_dir: Option<PathBuf>,
    /// Seconds to keep answering requests after SIGTERM or Ctrl-C, readiness with 503. A second
    /// signal stops the host at once.
    #[arg(long, value_name = "N", default_value_t = 0)]
    drain_seconds: u32,
    /// A readiness path; may be given repeatedly.
    #[arg(long, value_name = "PATH", default_values = READINESS_PATHS)]
    readiness_path: Vec<String>,
    /// A file to append the components' output to [default: standard error].
    #[arg(long)]
    log_file: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let drain_seconds = arguments.drain_seconds;
    let host = Host::start(arguments.into_options()?).await?;
    let base = format!("http://{}", host.address());
    println!("Serving {base}");
    println!("Available routes:");
    for route in host.routes() {
        println!("  {}: {base}{}", route.component, route.path);
    }

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut told_to_end = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    told_to_end().await;
    match drain_seconds {
        0 => println!("Ending, after the requests that run"),
        seconds => println!("Ending in {seconds} s, and after the requests that run"),
    }
    tokio::select! {
        () = host.shutdown() => Ok(()),
        () = told_to_end() => bail!("told to end at once: what ran is cut off"),
    }
}

impl Arguments {
    fn into_options(self) -> Result<HostOptions> {
        let manifest = if self.from.is_dir() {
            self.from.join("spin.toml")
        } else {
            self.from
        };
        ensure!(
            manifest.is_file(),
            "there is no manifest {}",
            manifest.display()
        );
        let folder = manifest.parent().unwrap_or(Path::new(""));
        let cache = self
            .cache_dir
            .unwrap_or_else(|| folder.join(".data/devhost"));
        Ok(HostOptions {
            runtime_config: self.runtime_config_file,
            variables: BTreeMap::from_iter(self.variable),
            environment: BTreeMap::from_iter(self.env),
            listen: self.listen,
            cache_dir: Some(cache),
            log: self.log_file.map_or(LogSink::Stderr, LogSink::File),
            drain: Duration::from_secs(self.drain_seconds.into()),
            readiness_paths: self.readiness_path,
            manifest,
        })
    }
}

/// Parses an address, or a name with a port. IPv4 addresses win, as in Spin.
fn parse_address(text: &str) -> Result<SocketAddr> {
    let addresses: Vec<_> = text.to_socket_addrs()?.collect();
    let first = addresses.iter().find(|address| address.is_ipv4());
    let address = first.or(addresses.first());
    address.copied().context("the name has no address")
}

fn parse_pair(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').context("must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
