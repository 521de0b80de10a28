//! Extracts the files of Swagger UI that the page needs.

use std::error::Error;
use std::io::{Cursor, Read as _};
use std::path::Path;

use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

const FILES: [&str; 4] = [
    "dist/swagger-ui-bundle.js",
    "dist/swagger-ui.css",
    "dist/favicon-32x32.png",
    // Swagger UI's licence requires the notice.
    "NOTICE",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let folder = std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    // The archive's folder carries the version in its name.
    let names: Vec<_> = archive
        .file_names()
        .map(|name| name.map(|name| name.into_owned()))
        .collect::<Result<_, _>>()?;
    for file in FILES {
        let is_it = |name: &&String| name.split_once('/').is_some_and(|(_, rest)| rest == file);
        let name = names
            .iter()
            .find(is_it)
            .ok_or_else(|| format!("{file} is not in the archive"))?;
        let mut contents = Vec::new();
        archive.by_name(name)?.read_to_end(&mut contents)?;
        let target = Path::new(file).file_name().ok_or("a file has a name")?;
        std::fs::write(Path::new(&folder).join(target), contents)?;
    }
    Ok(())
}
