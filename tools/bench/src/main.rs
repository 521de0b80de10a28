//! Benchmarks and crash tests of a running service on this machine.
//!
//! - `bench report` compares the service's speed with PostgreSQL's own; `cargo xtask bench` sets up
//!   what it needs. `bench page` turns reports into a web page.
//! - `bench read` measures lists and searches, the recall of searches, and disk use.
//! - `bench log` measures the tamper-evident log.
//! - `bench crash` kills the service or the database during writes, then looks for records that
//!   were lost, doubled or half written, or that the log lacks.
//! - `bench load` fills an empty database with a year of incidents.

mod case;
mod check;
mod client;
mod counting_proxy;
mod cpu;
mod crash;
mod database;
mod load;
mod load_dataset;
mod log;
mod machine;
mod measure;
mod page;
mod pgbench;
mod postmaster;
mod read;
mod record;
mod report;
mod rng;
mod server;
mod suite;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Benchmarks and crash tests of a running service.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Load(load_dataset::Options),
    Read(read::Options),
    Crash(crash::Options),
    Log(log::Options),
    Page(page::Options),
    Report(suite::Options),
}

// One thread: the load needs little CPU, and the rest is left to what is measured.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Load(options) => load_dataset::run(&options).await,
        Command::Read(options) => read::run(&options).await,
        Command::Crash(options) => crash::run(&options).await,
        Command::Log(options) => log::run(&options).await,
        Command::Page(options) => page::run(&options),
        Command::Report(options) => suite::run(&options).await,
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
