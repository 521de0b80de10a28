//! Downloads packages from Debian's archive with apt-get, without installing them. A copy of the
//! machine's own sources with another suite, used in our own folders, needs no privileges and
//! leaves the machine's package lists alone.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::process::{command, on_path, run};
use crate::project::Project;
use crate::steps::Step;

const UNPACK_WAIT_MAX: Duration = Duration::from_secs(60);

/// How long apt-get may take for one suite.
const APT_WAIT_MAX: Duration = Duration::from_secs(300);

const APT_FOLDER: &str = "/etc/apt";

/// Unpacks the package `name`, from the first suite that has it, into the project's data; returns
/// the folder. The package must not need others.
pub(crate) async fn unpacked(
    project: &Project,
    name: &str,
    suites: &[&str],
    step: &Step,
) -> Result<PathBuf> {
    let contents = project.data.join(name);
    if contents.is_dir() {
        return Ok(contents);
    }
    let archive = Archive::of_this_machine()?;
    let folder = project.data.join(format!(".{name}.partial"));
    let mut reason = String::new();
    for suite in suites {
        step.say(&format!("asking Debian's {suite} for {name}"));
        let found = match archive.suite(suite, folder.join("debian"), step).await? {
            Ok(found) => found,
            Err(why) => {
                reason = why;
                continue;
            }
        };
        if let Err(why) = found.download(&[name.to_owned()], step).await? {
            reason = why;
            continue;
        }
        let package = found.deb(name)?;
        // Renamed when complete, so the folder is never partial.
        let partial = folder.join("contents");
        std::fs::remove_dir_all(&partial).ok();
        extract(&package, &partial, step).await?;
        std::fs::rename(&partial, &contents)
            .with_context(|| format!("cannot rename {}", partial.display()))?;
        std::fs::remove_dir_all(&folder).ok();
        return Ok(contents);
    }
    bail!(
        "none of Debian's {} has {name} (apt-get: {reason})",
        suites.join(", ")
    )
}

pub(crate) async fn extract(deb: &Path, folder: &Path, step: &Step) -> Result<()> {
    let mut extract = command("dpkg-deb");
    extract.arg("--extract").arg(deb).arg(folder);
    let extracted = run(extract, step, Some(UNPACK_WAIT_MAX)).await?;
    ensure!(
        extracted.success,
        "unpacking {} failed: {}",
        deb.display(),
        extracted.last(2)
    );
    Ok(())
}

/// Debian's archive, as this machine's apt is configured.
pub(crate) struct Archive(Stanza);

impl Archive {
    pub(crate) fn of_this_machine() -> Result<Self> {
        ensure!(
            on_path("apt-get").is_some() && on_path("dpkg-deb").is_some(),
            "this machine has no apt-get and dpkg-deb"
        );
        Stanza::of_this_machine(Path::new(APT_FOLDER)).map(Self)
    }

    /// Reads a suite's package lists into `folder`, emptied first. The inner error is apt-get's.
    pub(crate) async fn suite(
        &self,
        suite: &str,
        folder: PathBuf,
        step: &Step,
    ) -> Result<Result<Suite, String>> {
        std::fs::remove_dir_all(&folder).ok();
        for part in ["lists/partial", "cache/archives/partial", "debs"] {
            std::fs::create_dir_all(folder.join(part))
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let sources = folder.join(self.0.file_name());
        std::fs::write(&sources, self.0.with_suite(suite))
            .with_context(|| format!("cannot write {}", sources.display()))?;
        let suite = Suite { folder, sources };
        let mut update = suite.apt_get();
        // Without this, a suite that cannot be reached counts as success.
        update.args(["-o", "APT::Update::Error-Mode=any", "update"]);
        let updated = run(update, step, Some(APT_WAIT_MAX)).await?;
        Ok(if updated.success {
            Ok(suite)
        } else {
            Err(updated.last(3))
        })
    }
}

pub(crate) struct Suite {
    folder: PathBuf,
    sources: PathBuf,
}

impl Suite {
    pub(crate) fn debs(&self) -> PathBuf {
        self.folder.join("debs")
    }

    /// Downloads packages, each as NAME, NAME=VERSION or NAME/SUITE. The inner error is apt-get's.
    pub(crate) async fn download(
        &self,
        packages: &[String],
        step: &Step,
    ) -> Result<Result<(), String>> {
        let mut download = self.apt_get();
        download.arg("download").args(packages);
        let downloaded = run(download, step, Some(APT_WAIT_MAX)).await?;
        Ok(if downloaded.success {
            Ok(())
        } else {
            Err(downloaded.last(2))
        })
    }

    /// Path of a downloaded package.
    pub(crate) fn deb(&self, package: &str) -> Result<PathBuf> {
        let debs = self.debs();
        std::fs::read_dir(&debs)
            .with_context(|| format!("cannot list {}", debs.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|file| {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with(&format!("{package}_"))
            })
            .with_context(|| format!("cannot find {package} in {}", debs.display()))
    }

    fn apt_get(&self) -> Command {
        let mut apt = command("apt-get");
        apt.current_dir(self.debs())
            .env("LC_ALL", "C")
            .arg("--quiet")
            .arg("-o")
            .arg(format!("Dir::Etc::sourcelist={}", self.sources.display()))
            .args(["-o", "Dir::Etc::sourceparts=/dev/null"])
            .arg("-o")
            .arg(format!("Dir::State::Lists={}/lists", self.folder.display()))
            .arg("-o")
            .arg(format!("Dir::Cache={}/cache", self.folder.display()))
            .args(["-o", "Acquire::Languages=none"])
            .args(["-o", "Acquire::Retries=2"])
            // apt's own download user may not enter our folder.
            .arg("-o")
            .arg(format!("APT::Sandbox::User={}", user_name()));
        apt
    }
}

fn user_name() -> String {
    nix::unistd::User::from_uid(nix::unistd::geteuid())
        .ok()
        .flatten()
        .map_or_else(|| "root".to_owned(), |user| user.name)
}

/// This machine's release, such as `bookworm`; empty if it has none.
pub(crate) fn codename() -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.unwrap_or_default().trim_matches('"').to_owned()
}

/// apt's entry for Debian's main archive, in either format.
enum Stanza {
    /// Fields, one per line: `URIs: ...`.
    Deb822(Vec<String>),
    /// The part before the suite of `deb [options] address suite components`.
    OneLine(String),
}

impl Stanza {
    /// Searches the source lists in `apt` (/etc/apt).
    fn of_this_machine(apt: &Path) -> Result<Self> {
        let codename = codename();
        let mut files: Vec<PathBuf> = std::fs::read_dir(apt.join("sources.list.d"))
            .map(|entries| {
                entries
                    .filter_map(|entry| Some(entry.ok()?.path()))
                    .collect()
            })
            .unwrap_or_default();
        files.sort();
        files.insert(0, apt.join("sources.list"));
        files
            .iter()
            .find_map(|file| {
                let text = std::fs::read_to_string(file).ok()?;
                match file.extension()?.to_str()? {
                    "sources" => Self::in_deb822(&text, &codename),
                    "list" => Self::in_one_line(&text, &codename),
                    _ => None,
                }
            })
            .context("apt's configuration names no Debian archive")
    }

    fn in_deb822(text: &str, codename: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        lines
            .split(|line| line.trim().is_empty())
            .find(|stanza| {
                let has = |field: &str, wanted: &dyn Fn(&str) -> bool| {
                    stanza.iter().any(|line| {
                        line.split_once(':').is_some_and(|(name, value)| {
                            name.eq_ignore_ascii_case(field) && value.split_whitespace().any(wanted)
                        })
                    })
                };
                has("Types", &|word| word == "deb")
                    && has("Components", &|word| word == "main")
                    && has("Suites", &|word| is_main_suite(word, codename))
                    && !has("Enabled", &|word| word == "no")
            })
            .map(|stanza| Self::Deb822(stanza.iter().map(|line| (*line).to_owned()).collect()))
    }

    fn in_one_line(text: &str, codename: &str) -> Option<Self> {
        text.lines().find_map(|line| {
            let line = line.trim();
            let rest = line.strip_prefix("deb")?;
            let options = if rest.trim_start().starts_with('[') {
                rest.find(']')? + 1
            } else {
                0
            };
            let (options, rest) = rest.split_at_checked(options)?;
            let mut words = rest.split_whitespace();
            let address = words.next()?;
            let suite = words.next()?;
            (is_main_suite(suite, codename) && words.any(|word| word == "main"))
                .then(|| Self::OneLine(format!("deb{options} {address}")))
        })
    }

    fn file_name(&self) -> &'static str {
        match self {
            Self::Deb822(_) => "debian.sources",
            Self::OneLine(_) => "debian.list",
        }
    }

    fn with_suite(&self, suite: &str) -> String {
        match self {
            Self::OneLine(start) => format!("{start} {suite} main\n"),
            Self::Deb822(lines) => lines
                .iter()
                .map(|line| {
                    let field = line.split_once(':').map_or("", |(name, _)| name);
                    match field.to_ascii_lowercase().as_str() {
                        "types" => "Types: deb\n".to_owned(),
                        "suites" => format!("Suites: {suite}\n"),
                        "components" => "Components: main\n".to_owned(),
                        _ => format!("{line}\n"),
                    }
                })
                .collect(),
        }
    }
}

/// Whether this is a Debian release's own suite, not its updates.
fn is_main_suite(suite: &str, codename: &str) -> bool {
    suite == codename
        || matches!(
            suite,
            "stable" | "oldstable" | "testing" | "unstable" | "sid"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archives_stanza_is_copied_with_another_suite() -> Result<()> {
        let text = "Types: deb deb-src\n# a mirror\nURIs: http://mirror.example/debian-security\n\
                    Suites: bookworm-security\nComponents: main\n\n\
                    Types: deb deb-src\nURIs: http://mirror.example/debian\n\
                    Suites: bookworm bookworm-updates\nComponents: main contrib\n\
                    Signed-By:\n -----BEGIN\n .\n mQ: x\n";

        let stanza = Stanza::in_deb822(text, "bookworm").context("find the stanza")?;

        assert_eq!(
            stanza.with_suite("trixie-backports"),
            "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie-backports\n\
             Components: main\nSigned-By:\n -----BEGIN\n .\n mQ: x\n"
        );
        Ok(())
    }

    #[test]
    fn a_line_of_sources_list_is_copied_with_another_suite() -> Result<()> {
        let text = "# deb http://old.example/debian bookworm main\n\
                    deb-src http://mirror.example/debian bookworm main\n\
                    deb http://mirror.example/debian bookworm-updates main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main\n";

        let stanza = Stanza::in_one_line(text, "bookworm").context("find the line")?;

        assert_eq!(
            stanza.with_suite("testing"),
            "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian testing main\n"
        );
        Ok(())
    }

    #[test]
    fn another_distribution_has_no_debian_archive() {
        let text = "Types: deb\nURIs: http://mirror.example/ubuntu\nSuites: noble\n\
                    Components: main\n";
        assert!(Stanza::in_deb822(text, "bookworm").is_none());
    }
}
