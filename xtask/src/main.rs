//! The project's commands. `cargo xtask --help` lists them.
//!
//! What a command starts belongs to values that stop it when they are dropped. So a signal,
//! an error and a panic all end in the same way: the command's future goes, and with it, in
//! the reverse order of their start, the programs.

mod account;
mod address;
mod backfill;
mod bench;
mod bench_check;
mod bench_databases;
mod build;
mod clients;
mod cluster;
mod database;
mod deploy;
mod doctor;
mod go;
mod kubernetes;
mod migrate;
mod migrations_script;
mod minilm;
mod observability;
mod openapi;
mod packages;
mod postgres;
mod postgres_programs;
mod process;
mod project;
mod python;
mod redis;
mod schemathesis;
mod service;
mod steps;
mod test;
mod toolchain;
mod up;

use std::cell::Cell;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::steps::tell;

/// What an interrupted program's exit code is: 128 and the number of SIGINT.
const INTERRUPTED: u8 = 130;

const ENVIRONMENT: &str = "\
Environment variables:
  DATABASE_URL   The PostgreSQL to use: postgres://USER:PASSWORD@HOST:PORT/DATABASE, version 16
                 or newer with pgvector 0.8.4 or newer. `test` needs a role that may create
                 databases. Without it, `up` and `test` run an embedded PostgreSQL.
  REDIS_URL      The Redis to use: redis://[USER:PASSWORD@]HOST:PORT[/DATABASE]. Without it, `up` and
                 `test` run one of their own. What is in it may be lost in `test`.
  MINILM_MODEL   A folder with model.safetensors and tokenizer.json of all-MiniLM-L6-v2. Without
                 it, `test` and `up --embedder minilm` download them.
  NGINX_COMMAND  The nginx that `test` puts before two replicas. Without it, the one on PATH, or
                 one out of Debian's packages, which are downloaded and not installed.
  PGBOUNCER_COMMAND
                 The PgBouncer, 1.21 or newer, that `test` puts before the database. Without it, as nginx.
  DATA_STORAGE_URL
                 A service on this machine that `bench` measures in place of one of its own;
                 DATABASE_URL names its database then. The service whose texts `backfill` has
                 embedded again; without it, http://127.0.0.1:8080.
  DATA_STORAGE_TOKEN_FILE
                 A file with the token that `backfill` sends, where callers need one.
  BATCH          How many texts a step of `backfill` has at most; without it, 100.
  WASI_DEBS_DIR  A folder with Debian's packages rust-src (of rustc's version) and wasi-libc,
                 to build the wasm32-wasip2 target from where rustup cannot download it.
  SPINKUBE_CRDS_DIR
                 A folder with the CRDs of SpinKube's spin-operator, as its release has them, for
                 the tests of deploy/. Without it, they do not validate SpinApp objects.
  SPIN_OPERATOR_COMMAND
                 A spin-operator 0.6.1 that the tests on Kubernetes run with. Without it, something
                 stands in for it.
  SPIN_VARIABLE_NAME
                 Sets the variable `name` of spin.toml, as for the spin command.

Everything that is downloaded, built or kept lies in .data/ and target/; logs in .data/log/.";

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "The project's commands",
    after_help = ENVIRONMENT
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say what this machine has, and what the commands download in its place
    Doctor,
    /// Set everything up and run the service until Ctrl-C
    Up(up::Options),
    /// Run all checks and tests
    Test(test::Options),
    /// Run what is in deploy/ on every version of Kubernetes that it is tested with: needs Go
    ClusterTest(test::ClusterOptions),
    /// Measure how fast the service is, beside PostgreSQL itself
    Bench(bench::Options),
    /// Build the components that spin.toml names, as for an image
    Build,
    /// Bring the database that DATABASE_URL names to this version's schema
    Migrate,
    /// Write openapi.json anew, from the service's own types and rules
    Openapi,
    /// Write migrations/migrate.psql anew, from the migrations beside it
    MigrationsScript,
    /// Make and detach month partitions in the database that DATABASE_URL names
    Maintain(migrate::Options),
    /// Embed texts again that another model embedded, at the service of DATA_STORAGE_URL
    Backfill(backfill::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ready = Cell::new(false);
    match run(cli.command, &ready) {
        Ok(End::Done) => ExitCode::SUCCESS,
        // For a service that runs, this is how it ends.
        Ok(End::Interrupted) if ready.get() => ExitCode::SUCCESS,
        Ok(End::Interrupted) => {
            tell("Interrupted.");
            ExitCode::from(INTERRUPTED)
        }
        Err(error) => {
            tell(&format!("\nerror: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// How a command ended that did not fail.
enum End {
    Done,
    Interrupted,
}

/// Runs a command until it ends or a signal asks for its end.
fn run(command: Command, ready: &Cell<bool>) -> Result<End> {
    // One thread: on Linux, a child is told to end when the thread that started it does.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?
        .block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
            let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
            let mut hangup = signal(SignalKind::hangup()).context("listen for SIGHUP")?;
            let command = async {
                match command {
                    Command::Doctor => doctor::doctor().await,
                    Command::Up(options) => up::up(options, ready).await,
                    Command::Test(options) => test::test(options).await,
                    Command::ClusterTest(options) => test::cluster_test(options).await,
                    Command::Bench(options) => bench::bench(options).await,
                    Command::Build => build::build().await,
                    Command::Migrate => migrate::migrate().await,
                    Command::Openapi => openapi::write().await,
                    Command::MigrationsScript => migrations_script::write(),
                    Command::Maintain(options) => migrate::maintain(options).await,
                    Command::Backfill(options) => backfill::backfill(options).await,
                }
            };
            tokio::select! {
                done = command => done.map(|()| End::Done),
                _ = interrupt.recv() => Ok(End::Interrupted),
                _ = terminate.recv() => Ok(End::Interrupted),
                _ = hangup.recv() => Ok(End::Interrupted),
            }
        })
}
