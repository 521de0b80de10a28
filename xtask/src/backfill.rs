//! `cargo xtask backfill`: runs deploy/backfill, which has a service embed texts again.

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::process::{command, run_live};
use crate::project::Project;
use crate::python::interpreter;

#[derive(Args)]
pub(crate) struct Options {
    /// Start after this text's id, where an earlier run ended
    #[arg(long, value_name = "ID", default_value_t = 0)]
    after: i64,
}

pub(crate) async fn backfill(options: Options) -> Result<()> {
    let python = interpreter().context(
        "There is no python3 on PATH, which `cargo xtask backfill` needs. Install Python 3.11 or \
         newer and repeat this command.",
    )?;
    let mut program = command(python);
    program
        .arg(Project::find()?.root.join("deploy/backfill/backfill.py"))
        .arg(format!("--after={}", options.after));
    ensure!(
        run_live(program).await?,
        "Some texts are not embedded again: see above."
    );
    Ok(())
}
