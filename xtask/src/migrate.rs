//! Applies migrations and maintains partitions.

use anyhow::{Result, anyhow, bail};
use clap::Args;
use migrations::Maintenance;

use crate::address::{Address, URL_VARIABLE};
use crate::database;
use crate::steps::{Step, Steps};

#[derive(Args)]
pub(crate) struct Options {
    /// Create the partitions of this many months ahead (1 to 120)
    #[arg(long, value_name = "N", default_value_t = Maintenance::default().months_ahead)]
    months_ahead: i32,
    /// Detach partitions that ended at least this many months ago (1 to 1200) [default: none]
    #[arg(long, value_name = "N")]
    retention_months: Option<i32>,
}

/// `cargo xtask migrate`: migrates the database of `DATABASE_URL`.
pub(crate) async fn migrate() -> Result<()> {
    let mut steps = Steps::new();
    let address = open("migrate", &mut steps).await?;
    let step = steps.begin("migrations");
    let result = apply(&address, &step).await?;
    steps.end(step, result);
    Ok(())
}

/// `cargo xtask maintain`: creates and detaches partitions of the database of `DATABASE_URL`.
pub(crate) async fn maintain(options: Options) -> Result<()> {
    let mut steps = Steps::new();
    let address = open("maintain", &mut steps).await?;
    let step = steps.begin("partitions");
    let options = Maintenance {
        months_ahead: options.months_ahead,
        retention_months: options.retention_months,
    };
    let result = maintain_partitions(&address, options, &step).await?;
    steps.end(step, result);
    Ok(())
}

/// Checks the database of `DATABASE_URL`, which must be set.
async fn open(command: &str, steps: &mut Steps) -> Result<Address> {
    let Some(address) = Address::from_environment()? else {
        bail!(
            "`cargo xtask {command}` needs {URL_VARIABLE}, which is not set. Set \
             {URL_VARIABLE}=postgres://USER:PASSWORD@HOST:PORT/DATABASE; `cargo xtask up` migrates \
             its embedded database itself."
        );
    };
    let step = steps.begin("database");
    let versions = database::check(&address).await?;
    steps.end(step, format!("{versions} at {}", address.shown()));
    Ok(address)
}

/// Applies missing migrations and creates missing partitions; returns what was done.
pub(crate) async fn apply(address: &Address, step: &Step) -> Result<String> {
    step.say("applying the migrations");
    let applied = migrations::apply(address.secret_url())
        .await
        .map_err(|error| {
            anyhow!(
                "Cannot migrate {}: {error:#}. Migrations applied before stay applied; correct \
                 the cause and repeat this command.",
                address.shown()
            )
        })?;
    for migration in &applied.migrations {
        step.note(migration.as_str());
    }
    let migrated = match applied.migrations.len() {
        0 => format!("up to date (version {})", applied.version),
        count => format!("{count} applied, now at version {}", applied.version),
    };
    let maintained = maintain_partitions(address, Maintenance::default(), step).await?;
    Ok(format!("{migrated}; {maintained}"))
}

/// Creates and detaches partitions; returns how many.
async fn maintain_partitions(
    address: &Address,
    options: Maintenance,
    step: &Step,
) -> Result<String> {
    step.say("maintaining the partitions");
    let report = migrations::maintain(address.secret_url(), options)
        .await
        .map_err(|error| {
            anyhow!(
                "Cannot maintain the partitions of {}: {error:#}. Changes made before stay; \
                 correct the cause and repeat this command.",
                address.shown()
            )
        })?;
    for line in report.done.iter().chain(&report.postponed) {
        step.note(line.as_str());
    }
    let done = report.done.len();
    Ok(match report.postponed.len() {
        0 => format!("partitions maintained: {done}"),
        postponed => format!("partitions maintained: {done}, left for the next run: {postponed}"),
    })
}
