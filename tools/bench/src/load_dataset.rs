//! `bench load`: a database as a year of incidents would have filled it.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use chrono::NaiveDate;
use clap::Args;
use dataset::{Dataset, INCIDENTS_MAX, Model};

use crate::database::Database;
use crate::report::{DiskUse, disk_table, markdown_table};

/// Loads incidents into an empty database, as if the service had written them.
///
/// Needs no service. The database must have the schema (cargo xtask migrate) and no rows. The same
/// seed, number and date make the same rows; tools/dataset says what they consist of.
#[derive(Args)]
pub(crate) struct Options {
    /// The database: postgres://USER:PASSWORD@127.0.0.1:5432/DATABASE.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// The number of incidents; most of them have four records.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=INCIDENTS_MAX))]
    incidents: u64,
    /// The seed of the incidents.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The model of the vectors: dense is that of tests/fakes/embedder.
    #[arg(long, value_enum, default_value_t)]
    model: Model,
    /// The day before which the year of the incidents ends (UTC).
    #[arg(long, default_value = "2026-11-01")]
    until: NaiveDate,
}

/// Runs the command.
pub(crate) async fn run(options: &Options) -> Result<ExitCode> {
    let database = Database::parse(&options.database_url)?;
    let begun = Instant::now();
    let dataset = Dataset::new(options.seed, options.incidents, options.until)?;
    let say = |line: String| eprintln!("bench: {line}");
    let loaded = dataset::load(database.config(), Arc::new(dataset), options.model, say).await?;
    println!("loaded in {:.0} s", begun.elapsed().as_secs_f64());
    println!("\n{:>14}  rows of", "");
    for (table, rows) in &loaded.rows {
        println!("{rows:>14}  {table}");
    }
    let disk = DiskUse::new(loaded.sizes, options.incidents);
    println!("{}", markdown_table(&disk_table(&disk)));
    Ok(ExitCode::SUCCESS)
}
