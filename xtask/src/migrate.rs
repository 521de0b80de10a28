//! Applying the database schema.

use anyhow::{Result, anyhow, bail};

use crate::database::{self, Address, URL_VARIABLE};
use crate::steps::{Step, Steps};

/// `cargo xtask migrate`: brings the database of `DATABASE_URL` to this version's schema.
pub(crate) async fn migrate() -> Result<()> {
    let Some(address) = Address::from_environment()? else {
        bail!(
            "`cargo xtask migrate` works on the database that {URL_VARIABLE} names, and it is \
             not set. Set {URL_VARIABLE}=postgres://USER:PASSWORD@HOST:PORT/DATABASE; \
             `cargo xtask up` migrates its embedded database by itself."
        );
    };
    let mut steps = Steps::new();
    let step = steps.begin("database");
    let versions = database::check(&address).await?;
    steps.end(step, format!("{versions} at {}", address.shown()));
    let step = steps.begin("migrations");
    let result = apply(&address, &step).await?;
    steps.end(step, result);
    Ok(())
}

/// Applies what is missing; says what that was.
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
    Ok(match applied.migrations.len() {
        0 => format!("up to date (version {})", applied.version),
        count => format!("{count} applied, now at version {}", applied.version),
    })
}
