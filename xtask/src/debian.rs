//! Debian's packages: fetched, never installed.
//!
//! apt's own configuration tells where the archive is. A copy of its stanza with another
//! suite, used with folders of our own, leaves the machine's package lists alone and needs
//! no privileges.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::process::{command, on_path, run};
use crate::project::Project;
use crate::steps::Step;

/// Where a package is looked for that the machine's own suite lacks, in this order.
const SUITES: [&str; 3] = ["trixie-backports", "testing", "unstable"];

/// How long unpacking a package may take.
const UNPACK_WAIT_MAX: Duration = Duration::from_secs(60);

/// How long apt-get may take for one suite.
const APT_WAIT_MAX: Duration = Duration::from_secs(300);

/// Where the machine's package sources are listed.
const APT_FOLDER: &str = "/etc/apt";

/// The two packages. Both are the same for all architectures.
pub(crate) struct Debs {
    /// The standard library's source.
    pub(crate) rust_src: PathBuf,
    /// WASI's C library.
    pub(crate) wasi_libc: PathBuf,
}

/// The two packages in `folder`.
pub(crate) fn find(folder: &Path) -> Result<Debs> {
    let files = files_of(folder)?;
    let package = |name: &str| {
        files
            .iter()
            .rfind(|file| {
                let file = file.file_name().unwrap_or_default().to_string_lossy();
                file.starts_with(&format!("{name}_")) && file.ends_with(".deb")
            })
            .cloned()
            .with_context(|| format!("find {name}_*.deb in the folder"))
    };
    Ok(Debs {
        rust_src: package("rust-src")?,
        wasi_libc: package("wasi-libc")?,
    })
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .context("look into the folder")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.sort();
    Ok(files)
}

/// Downloads the two packages from the archive that this machine's apt uses.
pub(crate) async fn download(project: &Project, version: &str, step: &Step) -> Result<Debs> {
    let folder = folder(project);
    let source = format!("rust-src={version}*");
    let mut reason = String::new();
    for suite in SUITES {
        let libc = format!("wasi-libc/{suite}");
        step.say(&format!("asking Debian's {suite} for rust-src {version}"));
        match download_from(&folder, suite, &[&source, &libc], step).await? {
            Ok(debs) => return find(&debs),
            Err(why) => reason = why,
        }
    }
    bail!(
        "none of {} has rust-src {version} and wasi-libc (apt-get: {reason})",
        SUITES.join(", ")
    )
}

/// The contents of the package `name`, of a program that needs no other package, as a folder in
/// the project's data. It is looked for in these suites, in order.
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
    let folder = project.data.join(format!(".{name}.partial"));
    let mut reason = String::new();
    for suite in suites {
        step.say(&format!("asking Debian's {suite} for {name}"));
        let debs = match download_from(&folder, suite, &[&format!("{name}/{suite}")], step).await? {
            Ok(debs) => debs,
            Err(why) => {
                reason = why;
                continue;
            }
        };
        let package = files_of(&debs)?.pop().context("find the package")?;
        // Renamed when complete: a folder of that name is always whole.
        let partial = folder.join("contents");
        let mut unpack = command("dpkg-deb");
        unpack.arg("--extract").arg(&package).arg(&partial);
        let unpacked = run(unpack, step, Some(UNPACK_WAIT_MAX)).await?;
        ensure!(
            unpacked.success,
            "unpacking {} failed: {}",
            package.display(),
            unpacked.last(2)
        );
        std::fs::rename(&partial, &contents)
            .with_context(|| format!("rename {}", partial.display()))?;
        std::fs::remove_dir_all(&folder).ok();
        return Ok(contents);
    }
    bail!(
        "none of {} has {name} (apt-get: {reason})",
        suites.join(", ")
    )
}

/// Removes what [`download`] left.
pub(crate) fn clean(project: &Project) {
    std::fs::remove_dir_all(folder(project)).ok();
}

fn folder(project: &Project) -> PathBuf {
    project.data.join("toolchain/debian")
}

/// The folder with one suite's packages, below `folder`, or what apt-get said.
async fn download_from(
    folder: &Path,
    suite: &str,
    packages: &[&str],
    step: &Step,
) -> Result<Result<PathBuf, String>> {
    ensure!(
        on_path("apt-get").is_some() && on_path("dpkg-deb").is_some(),
        "this machine has no apt-get and dpkg-deb"
    );
    let stanza = Stanza::of_this_machine(Path::new(APT_FOLDER))?;
    std::fs::remove_dir_all(folder).ok();
    for part in ["lists/partial", "cache/archives/partial", "debs"] {
        std::fs::create_dir_all(folder.join(part))
            .with_context(|| format!("create {}", folder.display()))?;
    }
    let debs = folder.join("debs");
    let sources = folder.join(stanza.file_name());
    std::fs::write(&sources, stanza.with_suite(suite))
        .with_context(|| format!("write {}", sources.display()))?;

    let apt = || {
        let mut apt = command("apt-get");
        apt.current_dir(&debs)
            .env("LC_ALL", "C")
            .arg("--quiet")
            .arg("-o")
            .arg(format!("Dir::Etc::sourcelist={}", sources.display()))
            .args(["-o", "Dir::Etc::sourceparts=/dev/null"])
            .arg("-o")
            .arg(format!("Dir::State::Lists={}/lists", folder.display()))
            .arg("-o")
            .arg(format!("Dir::Cache={}/cache", folder.display()))
            .args(["-o", "Acquire::Languages=none"])
            .args(["-o", "Acquire::Retries=2"])
            // apt downloads as a user of its own, who may not enter our folder.
            .arg("-o")
            .arg(format!("APT::Sandbox::User={}", user_name()));
        apt
    };
    let mut update = apt();
    // Without this, a suite that cannot be reached counts as success.
    update.args(["-o", "APT::Update::Error-Mode=any", "update"]);
    let updated = run(update, step, Some(APT_WAIT_MAX)).await?;
    if !updated.success {
        return Ok(Err(updated.last(3)));
    }
    let mut download = apt();
    download.arg("download").args(packages);
    let downloaded = run(download, step, Some(APT_WAIT_MAX)).await?;
    if !downloaded.success {
        return Ok(Err(downloaded.last(2)));
    }
    Ok(Ok(debs))
}

fn user_name() -> String {
    nix::unistd::User::from_uid(nix::unistd::geteuid())
        .ok()
        .flatten()
        .map_or_else(|| "root".to_owned(), |user| user.name)
}

/// The entry of apt's configuration for Debian's main archive, in either of its formats.
enum Stanza {
    /// Fields, one per line: `URIs: ...`.
    Deb822(Vec<String>),
    /// `deb [options] address suite components`: what stands before the suite.
    OneLine(String),
}

impl Stanza {
    /// Looks through the files of `apt` (/etc/apt).
    fn of_this_machine(apt: &Path) -> Result<Self> {
        let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        let codename = release
            .lines()
            .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
            .map_or("", |name| name.trim_matches('"'));
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
                    "sources" => Self::in_deb822(&text, codename),
                    "list" => Self::in_one_line(&text, codename),
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

/// Whether this is the suite of a Debian release itself, not of its updates.
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
