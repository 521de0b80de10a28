//! Applying the database schema, and the maintenance of its partitions.

use anyhow::{Result, anyhow, bail};
use clap::Args;
use migrations::Maintenance;

use crate::address::{Address, URL_VARIABLE};
use crate::database;
use crate::steps::{Step, Steps};

/// What `maintain` can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// Make the partitions of so many months after this one (1 to 120)
    #[arg(long, value_name = "N", default_value_t = Maintenance::default().months_ahead)]
    months_ahead: i32,
    /// Detach partitions that ended at least so many months ago (1 to 1200); without it, none
    #[arg(long, value_name = "N")]
    retention_months: Option<i32>,
}

/// `cargo xtask migrate`: brings the database of `DATABASE_URL` to this version's schema.
pub(crate) async fn migrate() -> Result<()> {
    let mut steps = Steps::new();
    let address = open("migrate", &mut steps).await?;
    let step = steps.begin("migrations");
    let result = apply(&address, &step).await?;
    steps.end(step, result);
    Ok(())
}

/// `cargo xtask maintain`: makes and detaches month partitions in the database of
/// `DATABASE_URL`.
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

/// The database of `DATABASE_URL`, checked.
async fn open(command: &str, steps: &mut Steps) -> Result<Address> {
    let Some(address) = Address::from_environment()? else {
        bail!(
            "`cargo xtask {command}` works on the database that {URL_VARIABLE} names, and it is \
             not set. Set {URL_VARIABLE}=postgres://USER:PASSWORD@HOST:PORT/DATABASE; \
             `cargo xtask up` migrates its embedded database by itself."
        );
    };
    let step = steps.begin("database");
    let versions = database::check(&address).await?;
    steps.end(step, format!("{versions} at {}", address.shown()));
    Ok(address)
}

/// Applies what is missing, and makes the partitions of a database that is months old; says
/// what that was.
pub(crate) async fn apply(address: &Address, step: &Step) -> Result<String> {
    step.say("applying the migrations");
    let applied = migrations::apply(address.secret_url())
        .await
        .map_err(|error| {
            anyhow!(
                "Migrating {} failed: {error:#}. What was applied before stays applied; \
                 correct the cause and repeat this command.",
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

/// Makes and detaches partitions; says how many.
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
                "Maintaining the partitions of {} failed: {error:#}. What was done before stays \
                 done; correct the cause and repeat this command.",
                address.shown()
            )
        })?;
    for line in report.done.iter().chain(&report.postponed) {
        step.note(line.as_str());
    }
    let done = report.done.len();
    Ok(match report.postponed.len() {
        0 => format!("partitions maintained: {done}"),
        postponed => format!("partitions maintained: {done}, left to the next run: {postponed}"),
    })
}
