//! Finds the WIT packages of WASI and Spin. They are not part of this repository: they come with
//! the crate `spin-sdk`, so that host, components and tests agree on them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// The folder `wit` of `spin-sdk`, for a package of the workspace in `folder`.
///
/// # Errors
///
/// `cargo metadata` fails, or the workspace does not depend on `spin-sdk`.
pub fn folder(cargo: &str, folder: &Path) -> Result<PathBuf> {
    // A build of the workspace has fetched every crate; a build of one package may not have.
    let metadata =
        metadata(cargo, folder, &["--offline"]).or_else(|_| metadata(cargo, folder, &[]))?;
    let packages = metadata.get("packages").and_then(Value::as_array);
    for package in packages.context("no packages")? {
        let text = |field| package.get(field).and_then(Value::as_str);
        if text("name") == Some("spin-sdk") {
            let manifest = text("manifest_path").context("no path")?;
            let sdk = Path::new(manifest).parent().context("no folder")?;
            return Ok(sdk.join("wit"));
        }
    }
    bail!("no crate of this workspace depends on spin-sdk, whose folder wit is needed")
}

fn metadata(cargo: &str, folder: &Path, flags: &[&str]) -> Result<Value> {
    // Cargo sets HOST for build scripts.
    let platform = std::env::var("HOST")
        .unwrap_or_else(|_| format!("{}-unknown-linux-gnu", std::env::consts::ARCH));
    let output = Command::new(cargo)
        // Crates for other platforms may not have been fetched.
        .args(["metadata", "--format-version=1", "--locked"])
        .args(["--filter-platform", &platform])
        .args(flags)
        .current_dir(folder)
        .output()
        .context("start cargo metadata")?;
    if !output.status.success() {
        bail!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
