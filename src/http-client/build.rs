//! Generates the invocation of `wit_bindgen::generate!` for the world `outbound-http` in `wit/`.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let project = here.ancestors().nth(2).context("find the project")?;
    let worlds = project.join("wit");
    let sdk = sdk_wit::folder(&env::var("CARGO")?, &here)?;
    let bindings = format!(
        "wit_bindgen::generate!({{
    path: [{sdk:?}, {worlds:?}],
    world: \"kubernaut:data-storage/outbound-http\",
    generate_all,
}});
"
    );
    fs::write(
        Path::new(&env::var("OUT_DIR")?).join("bindings.rs"),
        bindings,
    )?;
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", worlds.display());
    // Another version of the SDK changes the lock file.
    println!(
        "cargo::rerun-if-changed={}",
        project.join("Cargo.lock").display()
    );
    Ok(())
}
