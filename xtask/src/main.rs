//! The project's commands; `cargo xtask --help` lists them. A command owns every program that it
//! starts through a value that stops the program when dropped, so a signal, an error and a panic
//! all clean up.

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
mod log_key;
mod log_verifiers;
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

/// Exit code of an interrupted program: 128 plus the number of SIGINT.
const INTERRUPTED: u8 = 130;

const ENVIRONMENT: &str = "\
Environment variables:
  DATABASE_URL   PostgreSQL 16 or newer with pgvector 0.8.4 or newer, as
                 postgres://USER:PASSWORD@HOST:PORT/DATABASE. `test` needs a role that may create
                 databases. Default for `up`, `test` and `bench`: an embedded PostgreSQL.
  DATABASE_READER_URL
                 The same database for components that only read, for `up`. Default: DATABASE_URL.
  REDIS_URL      Redis, as redis://[USER:PASSWORD@]HOST:PORT[/DATABASE]; `test` may delete its
                 contents. Default for `up`, `test` and `bench`: a Redis of their own.
  MINILM_MODEL   Folder with model.safetensors and tokenizer.json of all-MiniLM-L6-v2, for `test`
                 and `up --embedder minilm`. Default: downloaded.
  NGINX_COMMAND  nginx for `test`. Default: from PATH, else unpacked from Debian's packages.
  PGBOUNCER_COMMAND
                 PgBouncer 1.21 or newer for `test`. Default: as for nginx.
  DATA_STORAGE_URL
                 For `bench`: measure this service, on this machine; DATABASE_URL must name its
                 database. For `backfill`: the service [default: http://127.0.0.1:8080].
  DATA_STORAGE_TOKEN_FILE
                 File with the token that `backfill` sends, if the service requires one.
  BATCH          Texts per step of `backfill`, 1 to 1000. Default: 100.
  WASI_DEBS_DIR  Folder with Debian's packages rust-src (of rustc's version) and wasi-libc, to
                 build the wasm32-wasip2 target from where rustup cannot download it.
  SPINKUBE_CRDS_DIR
                 Folder with the CRDs of a spin-operator release. Without it, the tests of deploy/
                 do not validate SpinApps.
  SPIN_OPERATOR_COMMAND
                 spin-operator 0.6.1 for the tests on Kubernetes. Default: a stand-in.
  SPIN_VARIABLE_NAME
                 Sets the variable `name` of spin.toml, as for the spin command.

Downloads, builds and data are in .data/ and target/, logs in .data/log/.";

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
    /// Show what this machine has, what the commands download, and what is missing
    Doctor,
    /// Set everything up and run the service until Ctrl-C
    Up(up::Options),
    /// Run all checks and tests
    Test(test::Options),
    /// Test deploy/ on every supported version of Kubernetes (needs Go)
    ClusterTest(test::ClusterOptions),
    /// Measure the service's speed and compare it with PostgreSQL's own
    Bench(bench::Options),
    /// Build the components in spin.toml with the release profile
    Build,
    /// Migrate the database in DATABASE_URL to this version's schema
    Migrate,
    /// Make a key that signs the log, and print it
    LogKey(log_key::Options),
    /// Regenerate openapi.json from the service's types and rules
    Openapi,
    /// Regenerate migrations/migrate.psql from the migrations beside it
    MigrationsScript,
    /// Create and detach partitions of the database in DATABASE_URL
    Maintain(migrate::Options),
    /// Have the service at DATA_STORAGE_URL embed texts again that another model embedded
    Backfill(backfill::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ready = Cell::new(false);
    match run(cli.command, &ready) {
        Ok(End::Done) => ExitCode::SUCCESS,
        // `up` ends this way once the service is ready.
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

/// How a successful command ended.
enum End {
    Done,
    Interrupted,
}

/// Runs a command until it ends or SIGINT, SIGTERM or SIGHUP arrives.
fn run(command: Command, ready: &Cell<bool>) -> Result<End> {
    // One thread: on Linux, a child gets its signal when the thread that started it ends.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(async {
            let mut interrupt =
                signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
            let mut terminate =
                signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
            let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
            let command = async {
                match command {
                    Command::Doctor => doctor::doctor().await,
                    Command::Up(options) => up::up(options, ready).await,
                    Command::Test(options) => test::test(options).await,
                    Command::ClusterTest(options) => test::cluster_test(options).await,
                    Command::Bench(options) => bench::bench(options).await,
                    Command::Build => build::build().await,
                    Command::Migrate => migrate::migrate().await,
                    Command::LogKey(options) => log_key::print(&options),
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
