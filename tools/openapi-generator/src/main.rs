//! Writes the OpenAPI document to the file that is named, or to standard output.

use std::io::Write as _;

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let document = openapi_generator::written()?;
    match std::env::args_os().nth(1) {
        Some(file) => {
            std::fs::write(&file, document).with_context(|| format!("write {}", file.display()))
        }
        None => std::io::stdout()
            .write_all(document.as_bytes())
            .context("write to standard output"),
    }
}
