//! Writes the invocation of `bindgen!` for the interfaces that Spin adds to WASI.
//!
//! Their WIT is not part of this repository: it comes with the crate `spin-sdk`, which the
//! components are built with, so host and guest cannot disagree. Where cargo unpacked that
//! crate is asked of `cargo metadata`: `spin-sdk` is a dependency of other members of this
//! workspace, so whenever cargo builds this crate it knows it, and a clean clone has it after
//! the first fetch. (A build dependency would tell the same, but compile the guest's SDK for
//! the host.)

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The interfaces that devhost offers beside WASI and HTTP.
const WORLD: &str = "
package devhost:host;
world imports {
    import spin:postgres/postgres@4.0.0;
    import fermyon:spin/key-value@2.0.0;
    import fermyon:spin/variables@2.0.0;
    import wasi:keyvalue/store@0.2.0-draft2;
    import wasi:keyvalue/batch@0.2.0-draft2;
    import wasi:keyvalue/atomics@0.2.0-draft2;
}";

fn main() -> Result<()> {
    let wit = sdk_directory()?.join("wit");
    let bindings = format!(
        "wasmtime::component::bindgen!({{
    path: {wit:?},
    inline: {WORLD:?},
    imports: {{ default: async | trappable }},
    with: {{
        \"spin:postgres/postgres.connection\": crate::postgres::Connection,
        \"fermyon:spin/key-value.store\": crate::key_value::Store,
        \"wasi:keyvalue/store.bucket\": crate::key_value::Store,
        \"wasi:keyvalue/atomics.cas\": crate::key_value::Cas,
    }},
}});
"
    );
    let target = PathBuf::from(env::var("OUT_DIR")?).join("bindings.rs");
    fs::write(target, bindings)?;
    println!("cargo::rerun-if-changed=build.rs");
    // Another version of the SDK changes the lock file.
    println!("cargo::rerun-if-changed=../../Cargo.lock");
    Ok(())
}

/// Where cargo has the sources of `spin-sdk`.
fn sdk_directory() -> Result<PathBuf> {
    // Whoever has built the workspace has every crate already. Who builds this crate first has
    // its own only: then the second attempt fetches the others.
    let metadata = cargo_metadata(&["--offline"]).or_else(|_| cargo_metadata(&[]))?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    for package in packages {
        if package["name"] == "spin-sdk" {
            let manifest = package["manifest_path"].as_str().context("no path")?;
            let directory = Path::new(manifest).parent().context("no folder")?;
            return Ok(directory.to_owned());
        }
    }
    bail!("no crate of this workspace depends on spin-sdk, whose wit/ folder is needed here")
}

fn cargo_metadata(flags: &[&str]) -> Result<Value> {
    // Without what other platforms would need.
    let platform = env::var("HOST")?;
    let output = Command::new(env::var("CARGO")?)
        .args(["metadata", "--format-version=1", "--locked"])
        .args(["--filter-platform", &platform])
        .args(flags)
        .current_dir(env::var("CARGO_MANIFEST_DIR")?)
        .output()
        .context("start cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
