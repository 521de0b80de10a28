//! `cargo xtask migrations-script`: regenerates the migrations' script for psql.

use anyhow::{Context, Result};

use crate::project::Project;

pub(crate) fn write() -> Result<()> {
    let folder = Project::find()?.root.join("migrations");
    let path = folder.join(migrations::PSQL_SCRIPT_FILE);
    std::fs::write(&path, migrations::psql_script()?)
        .with_context(|| format!("cannot write {}", path.display()))
}
