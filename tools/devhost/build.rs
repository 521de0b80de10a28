//! Generates the input of `bindgen!` from the WIT files of the crate `spin-sdk`.
//!
//! The guest's bindings come from the same files, so host and guest agree. `cargo metadata` locates
//! them, because a build dependency would compile the SDK for the host.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Packages and their interface files in `spin-sdk`'s folder `wit/deps`. The folder also has later
/// versions of WASI, which this wasmtime lacks.
const PACKAGES: [(&str, &[&str]); 3] = [
    ("spin:postgres@4.0.0", &["spin-postgres@4.0.0/postgres.wit"]),
    (
        "fermyon:spin@2.0.0",
        &[
            "spin@2.0.0/key-value.wit",
            "spin@2.0.0/redis.wit",
            "spin@2.0.0/variables.wit",
        ],
    ),
    (
        "wasi:keyvalue@0.2.0-draft2",
        &[
            "keyvalue-2024-10-17/store.wit",
            "keyvalue-2024-10-17/batch.wit",
            "keyvalue-2024-10-17/atomic.wit",
        ],
    ),
];

/// Interfaces that devhost offers besides WASI and HTTP.
const WORLD: &str = "
package devhost:host;
world imports {
    import spin:postgres/postgres@4.0.0;
    import fermyon:spin/key-value@2.0.0;
    import fermyon:spin/redis@2.0.0;
    import fermyon:spin/variables@2.0.0;
    import wasi:keyvalue/store@0.2.0-draft2;
    import wasi:keyvalue/batch@0.2.0-draft2;
    import wasi:keyvalue/atomics@0.2.0-draft2;
}
";

fn main() -> Result<()> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let wit = out.join("host.wit");
    fs::write(&wit, read_interfaces(&sdk_directory()?.join("wit/deps"))?)?;
    let bindings = format!(
        "wasmtime::component::bindgen!({{
    path: {wit:?},
    imports: {{ default: async | trappable }},
    with: {{
        \"spin:postgres/postgres.connection\": crate::postgres::Connection,
        \"fermyon:spin/key-value.store\": crate::key_value::Store,
        \"fermyon:spin/redis.connection\": crate::redis_client::Connection,
        \"wasi:keyvalue/store.bucket\": crate::key_value::Store,
        \"wasi:keyvalue/atomics.cas\": crate::key_value::Cas,
    }},
}});
"
    );
    fs::write(out.join("bindings.rs"), bindings)?;
    println!("cargo::rerun-if-changed=build.rs");
    // The lock file pins the SDK version.
    println!("cargo::rerun-if-changed=../../Cargo.lock");
    Ok(())
}

fn read_interfaces(folder: &Path) -> Result<String> {
    let mut document = WORLD.to_owned();
    for (package, files) in PACKAGES {
        document += &format!("package {package} {{\n");
        for file in files {
            let path = folder.join(file);
            let text =
                fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            // The caller wraps the file in its package.
            let lines = text.lines().filter(|line| !line.starts_with("package "));
            document.extend(lines.flat_map(|line| [line, "\n"]));
        }
        document += "}\n";
    }
    Ok(document)
}

fn sdk_directory() -> Result<PathBuf> {
    // The first build may lack crates of other workspace members; the second attempt fetches them.
    let metadata = cargo_metadata(&["--offline"]).or_else(|_| cargo_metadata(&[]))?;
    let packages = metadata.get("packages").and_then(Value::as_array);
    for package in packages.context("no packages")? {
        let text = |field| package.get(field).and_then(Value::as_str);
        if text("name") == Some("spin-sdk") {
            let manifest = text("manifest_path").context("no path")?;
            let directory = Path::new(manifest).parent().context("no folder")?;
            return Ok(directory.to_owned());
        }
    }
    bail!("no crate of this workspace depends on spin-sdk, whose wit/ folder is needed here")
}

fn cargo_metadata(flags: &[&str]) -> Result<Value> {
    let platform = env::var("HOST")?;
    let output = Command::new(env::var("CARGO")?)
        .args(["metadata", "--format-version=1", "--locked"])
        .args(["--filter-platform", &platform])
        .args(flags)
        .current_dir(env::var("CARGO_MANIFEST_DIR")?)
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
