//! `cargo xtask openapi`: regenerates openapi.json.

use anyhow::{Result, ensure};

use crate::process::run_live;
use crate::project::Project;

pub(crate) async fn write() -> Result<()> {
    let project = Project::find()?;
    let mut generator = project.cargo();
    generator
        .args(["run", "--quiet", "--package", "openapi-generator", "--"])
        .arg(project.root.join("openapi.json"));
    ensure!(
        run_live(generator).await?,
        "Cannot generate openapi.json: see above."
    );
    Ok(())
}
