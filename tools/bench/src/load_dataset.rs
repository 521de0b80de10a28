//! `bench load`: a database as a year of incidents would have filled it.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use chrono::NaiveDate;
use clap::Args;
use dataset::{Dataset, INCIDENTS_MAX, Model};

use crate::database::Database;

/// The seed of the incidents.
const SEED: u64 = 1;

/// Loads incidents into an empty database, as if the service had written them.
///
/// Needs no service. The database must have the schema (cargo xtask migrate) and no rows. The same
/// number makes the same rows; tools/dataset says what they consist of.
#[derive(Args)]
pub(crate) struct Options {
    /// The database: postgres://USER:PASSWORD@127.0.0.1:5432/DATABASE.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// The number of incidents; most of them have four records.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=INCIDENTS_MAX))]
    incidents: u64,
    /// The model of the vectors: dense is that of tests/fakes/embedder.
    #[arg(long, value_enum, default_value_t)]
    model: Model,
}

/// Incidents of the data set that the benchmark loads.
pub(crate) fn made_up_incidents(incidents: u64) -> Result<Dataset> {
    let until = NaiveDate::from_ymd_opt(2026, 11, 1).context("end the year of the incidents")?;
    Dataset::new(SEED, incidents, until)
}

/// Runs the command.
pub(crate) async fn run(options: &Options) -> Result<ExitCode> {
    let database = Database::parse(&options.database_url)?;
    let begun = Instant::now();
    let dataset = made_up_incidents(options.incidents)?;
    let say = |line: String| eprintln!("bench: {line}");
    let loaded = dataset::load(&database.config, Arc::new(dataset), options.model, say).await?;
    println!("loaded in {:.0} s", begun.elapsed().as_secs_f64());
    for (table, rows) in &loaded.rows {
        println!("{rows:>14}  {table}");
    }
    Ok(ExitCode::SUCCESS)
}
