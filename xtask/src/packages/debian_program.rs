//! Runs programs from Debian's packages, which are unpacked and not installed.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::packages::apt::{Archive, Suite, codename, extract};
use crate::process::{command, on_path, output_of};
use crate::project::Project;
use crate::steps::Step;

/// A program whose Debian package has the same name.
pub(crate) struct DebianProgram {
    pub(crate) name: &'static str,
    /// Path in the package.
    path: &'static str,
    /// Environment variable with the path of another program.
    pub(crate) variable: &'static str,
    /// Relative clause for errors: what the program is for.
    purpose: &'static str,
    /// The release to take it from, and its C library, if this machine's may be too old.
    newer: Option<Newer>,
}

struct Newer {
    release: &'static str,
    version_min: (u32, u32),
}

/// Proxy for two replicas in a test.
pub(crate) const NGINX: DebianProgram = DebianProgram {
    name: "nginx",
    path: "usr/sbin/nginx",
    variable: "NGINX_COMMAND",
    purpose: "which the tests put before two replicas",
    newer: None,
};

/// Connection pooler in a test. Older ones lack prepared statements in transaction mode.
pub(crate) const PGBOUNCER: DebianProgram = DebianProgram {
    name: "pgbouncer",
    path: "usr/sbin/pgbouncer",
    variable: "PGBOUNCER_COMMAND",
    purpose: "which the tests put before the database",
    newer: Some(Newer {
        release: "trixie",
        version_min: (1, 21),
    }),
};

/// Libraries that a machine of the package's own release has. The C library must match the loader.
const EVERYWHERE: [&str; 2] = ["libc6", "libgcc-s1"];

impl DebianProgram {
    /// Finds or unpacks the program; returns its path and origin.
    pub(crate) async fn find(&self, project: &Project, step: &Step) -> Result<(PathBuf, String)> {
        let Self { name, variable, .. } = self;
        if let Some(program) = std::env::var_os(variable).filter(|path| !path.is_empty()) {
            let program = PathBuf::from(program);
            ensure!(
                program.is_file(),
                "{variable} is {}, which is not a file. Correct or unset it.",
                program.display()
            );
            return Ok((program, format!("from {variable}")));
        }
        if let Some(program) = on_path(name)
            && self.is_new_enough(&program).await
        {
            return Ok((program, format!("{name} from PATH")));
        }
        let _lock = project.lock(name, step).await?;
        let folder = project.data.join(name);
        if !folder.is_dir() {
            // Renamed when complete, so the folder is never partial.
            let partial = project.data.join(format!(".{name}.partial"));
            if let Err(error) = self.unpack(&partial, step).await {
                bail!(
                    "Cannot get {name}, {}, from Debian's packages ({error:#}). Put {name} \
                     {needed}on PATH (on Debian and Ubuntu: the package {name}), or set {variable} \
                     to its path, and repeat this command.",
                    self.purpose,
                    needed = self.newer.as_ref().map_or_else(String::new, |newer| {
                        let (major, minor) = newer.version_min;
                        format!("{major}.{minor} or newer ")
                    })
                );
            }
            std::fs::rename(partial.join("contents"), &folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
            std::fs::remove_dir_all(&partial).ok();
        }
        Ok((
            folder.join(name),
            format!("{name} unpacked from Debian's package"),
        ))
    }

    async fn is_new_enough(&self, program: &Path) -> bool {
        let Some(newer) = &self.newer else {
            return true;
        };
        let mut ask = command(program);
        ask.arg("--version");
        let version = output_of(ask).await.ok();
        version.is_some_and(|text| version_in(&text) >= Some(newer.version_min))
    }

    /// Unpacks the program and its libraries into `partial`/contents, with a script that runs it.
    async fn unpack(&self, partial: &Path, step: &Step) -> Result<()> {
        let codename = match &self.newer {
            Some(newer) => newer.release.to_owned(),
            None => codename(),
        };
        step.say(&format!("asking Debian's {codename} for {}", self.name));
        let suite = Archive::of_this_machine()?
            .suite(&codename, partial.join("debian"), step)
            .await?;
        let suite = match suite {
            Ok(suite) => suite,
            Err(why) => bail!("apt-get: {why}"),
        };
        let contents = partial.join("contents");
        std::fs::remove_dir_all(&contents).ok();
        std::fs::create_dir_all(&contents)
            .with_context(|| format!("cannot create {}", contents.display()))?;

        let mut wanted = vec![self.name.to_owned()];
        let mut fetched = BTreeSet::new();
        if self.newer.is_none() {
            fetched.extend(EVERYWHERE.map(str::to_owned));
        }
        while let Some(package) = wanted.pop() {
            if fetched.insert(package.clone()) {
                let deb = fetch(&suite, &package, step).await?;
                wanted.extend(libraries_of(&deb).await?);
                extract(&deb, &contents, step).await?;
            }
        }
        let script = contents.join(self.name);
        std::fs::write(&script, SCRIPT.replace("PROGRAM", self.path))
            .context("cannot write the script that runs the program")?;
        std::fs::set_permissions(&script, Permissions::from_mode(0o755))
            .context("cannot make the script executable")
    }
}

/// Runs the program with exec, so that signals to the script reach it.
const SCRIPT: &str = r#"#!/bin/sh
here="$(dirname "$0")"
for folder in "$here"/usr/lib/*-linux-* "$here"/lib/*-linux-*; do
    LD_LIBRARY_PATH="$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
done
for loader in "$here"/usr/lib*/ld-linux-*.so.* "$here"/lib*/ld-linux-*.so.*; do
    if [ -e "$loader" ]; then
        exec "$loader" --library-path "$LD_LIBRARY_PATH" "$here/PROGRAM" "$@"
    fi
done
export LD_LIBRARY_PATH
exec "$here/PROGRAM" "$@"
"#;

async fn fetch(suite: &Suite, package: &str, step: &Step) -> Result<PathBuf> {
    step.say(&format!("downloading {package}"));
    if let Err(why) = suite.download(&[package.to_owned()], step).await? {
        bail!("apt-get: {why}");
    }
    suite.deb(package)
}

async fn libraries_of(deb: &Path) -> Result<Vec<String>> {
    let mut field = command("dpkg-deb");
    field.arg("--field").arg(deb).arg("Depends");
    Ok(libraries_in(&output_of(field).await?))
}

/// The libraries in a list such as `nginx-common (= 1), libpcre2-8-0 (>= 10.22), zlib1g`, without
/// nginx's modules, whose names look like libraries.
fn libraries_in(depends: &str) -> Vec<String> {
    let names = depends
        .split(',')
        .filter_map(|one| one.split_whitespace().next());
    names
        .map(|name| name.split(':').next().unwrap_or(name))
        .filter(|name| name.starts_with("lib") || name.starts_with("zlib"))
        .filter(|name| !name.starts_with("libnginx"))
        .map(str::to_owned)
        .collect()
}

/// Major and minor version in output such as `PgBouncer 1.24.1`.
fn version_in(text: &str) -> Option<(u32, u32)> {
    let mut words = text.split_whitespace();
    words.find_map(|word| {
        let mut numbers = word.split('.').map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    })
}

#[cfg(test)]
mod tests {
    use super::{libraries_in, version_in};

    #[test]
    fn the_version_is_read_from_what_a_program_says() {
        let text = "PgBouncer 1.24.1\nlibevent 2.1.12-stable\nadns: c-ares 1.34.5";
        assert_eq!(version_in(text), Some((1, 24)));
        assert_eq!(version_in("none"), None);
    }

    #[test]
    fn libraries_are_told_from_what_else_a_package_depends_on() {
        let depends = "libc6 (>= 2.34), libnginx-mod-http-echo, libpcre2-8-0 (>= 10.22), \
                       zlib1g:any (>= 1:1.1.4), iproute2, nginx-common (= 1.22) | other";
        assert_eq!(libraries_in(depends), ["libc6", "libpcre2-8-0", "zlib1g"]);
    }
}
