//! `cargo xtask migrations-script`: writes the migrations' script for psql that is checked in.

use anyhow::{Context, Result};

use crate::project::Project;

/// Writes the script anew.
pub(crate) fn write() -> Result<()> {
    let folder = Project::find()?.root.join("migrations");
    let path = folder.join(migrations::PSQL_SCRIPT_FILE);
    std::fs::write(&path, migrations::psql_script()?)
        .with_context(|| format!("write {}", path.display()))
}
