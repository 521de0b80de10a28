//! `bench load`: a database as a year of incidents would have filled it.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use chrono::NaiveDate;
use clap::Args;
use dataset::{Dataset, INCIDENTS_MAX, Model};

use crate::database::Database;
use crate::disk::Disk;

/// Loads incidents into an empty database, as if the service had written them.
///
/// Needs no service. The database has the schema (cargo xtask migrate) and no rows; another
/// one is refused. The same seed, number and date make the same rows. What they are made of
/// stands in tools/dataset.
#[derive(Args)]
pub(crate) struct Options {
    /// The database: postgres://USER:PASSWORD@127.0.0.1:5432/DATABASE.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// How many incidents; most of them have four records.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=INCIDENTS_MAX))]
    incidents: u64,
    /// What the incidents are made from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What makes the vectors: dense, as a service has them whose provider is tests/fakes/embedder.
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
    let incidents = i64::try_from(options.incidents).unwrap_or(i64::MAX);
    println!("\n{}", Disk::new(loaded.sizes, incidents).to_markdown());
    Ok(ExitCode::SUCCESS)
}
