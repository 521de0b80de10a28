//! `cargo xtask openapi`: writes the OpenAPI document that is checked in.

use anyhow::{Result, ensure};

use crate::process::run_live;
use crate::project::Project;

/// Writes the document anew.
pub(crate) async fn write() -> Result<()> {
    let project = Project::find()?;
    let mut generator = project.cargo();
    generator
        .args(["run", "--quiet", "--package", "openapi-generator", "--"])
        .arg(project.root.join("openapi.json"));
    ensure!(
        run_live(generator).await?,
        "openapi.json could not be written, see above."
    );
    Ok(())
}
