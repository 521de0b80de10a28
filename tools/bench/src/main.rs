//! Loads and measurements of a running service.
//!
//! `bench report` measures how fast a service writes and reads, beside what PostgreSQL itself
//! does with the same statements in the same minutes, and `bench page` shows that; `cargo xtask
//! bench` sets up what they need. `bench read` measures lists by what is asked for, and how well and
//! how fast searches find, and what all of it takes on disk. `bench crash` kills the service or the
//! database in the middle of the writes and then looks for records that were lost, doubled
//! or half written. `bench load` fills an empty database with a year of incidents. All of them
//! talk to this machine only and end by themselves.

mod alerts;
mod check;
mod client;
mod cpu;
mod crash;
mod database;
mod dice;
mod disk;
mod load;
mod load_dataset;
mod machine;
mod markdown;
mod measure;
mod pace;
mod page;
mod pgbench;
mod read;
mod record;
mod report;
mod report_file;
mod rounds;
mod run_id;
mod tables;
mod victim;
mod wire;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Loads and measurements of a running service.
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
    Page(page::Options),
    Report(measure::Options),
}

// One thread: the load's own work is small, and every core it does not take is left to what
// it measures.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Load(options) => load_dataset::run(&options).await,
        Command::Read(options) => read::run(&options).await,
        Command::Crash(options) => crash::run(&options).await,
        Command::Page(options) => page::run(&options),
        Command::Report(options) => measure::run(&options).await,
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
