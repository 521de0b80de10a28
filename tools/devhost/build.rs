//! Generates the input of `bindgen!` from the WIT files of the crate `spin-sdk`.
//!
//! The guest's bindings come from the same files, so host and guest agree. `cargo metadata` locates
//! them, because a build dependency would compile the SDK for the host.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
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
    fs::write(&wit, read_interfaces(&sdk_wit()?.join("deps"))?)?;
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

fn sdk_wit() -> Result<PathBuf> {
    sdk_wit::folder(
        &env::var("CARGO")?,
        Path::new(&env::var("CARGO_MANIFEST_DIR")?),
    )
}
