//! Programs that are run out of Debian's packages, which are downloaded and not installed.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::apt::{Archive, Suite, codename, extract};
use crate::process::{command, on_path, output_of};
use crate::project::Project;
use crate::steps::Step;

/// A program of a Debian package of the same name.
pub(crate) struct DebianProgram {
    /// Its name, and the package's.
    pub(crate) name: &'static str,
    /// Where it is in the package.
    path: &'static str,
    /// The environment variable that names another one.
    pub(crate) variable: &'static str,
    /// Who needs it.
    purpose: &'static str,
}

/// Stands before two replicas in a test.
pub(crate) const NGINX: DebianProgram = DebianProgram {
    name: "nginx",
    path: "usr/sbin/nginx",
    variable: "NGINX_COMMAND",
    purpose: "which the tests put before two replicas",
};

/// Loads the service.
pub(crate) const WRK: DebianProgram = DebianProgram {
    name: "wrk",
    path: "usr/bin/wrk",
    variable: "WRK_COMMAND",
    purpose: "which the benchmark loads the service with",
};

/// Libraries that are part of every machine on which a package of its release can run. The C
/// library must be that of the machine's own loader.
const EVERYWHERE: [&str; 2] = ["libc6", "libgcc-s1"];

impl DebianProgram {
    /// The program, and where it is from.
    pub(crate) async fn find(&self, project: &Project, step: &Step) -> Result<(PathBuf, String)> {
        let Self { name, variable, .. } = self;
        if let Some(program) = std::env::var_os(variable).filter(|path| !path.is_empty()) {
            let program = PathBuf::from(program);
            ensure!(
                program.is_file(),
                "{variable} names {}, which is no file",
                program.display()
            );
            return Ok((program, format!("the one {variable} names")));
        }
        if let Some(program) = on_path(name) {
            return Ok((program, format!("{name} from PATH")));
        }
        let _lock = project.lock(name, step).await?;
        let folder = project.data.join(name);
        if !folder.is_dir() {
            // Renamed when complete: a folder of that name is always whole.
            let partial = project.data.join(format!(".{name}.partial"));
            if let Err(error) = self.unpack(&partial, step).await {
                bail!(
                    "{name}, {}, could not be had from Debian's packages ({error:#}). Put {name} \
                     on PATH (on Debian and Ubuntu: the package {name}), or name it in \
                     {variable}, and repeat this command.",
                    self.purpose
                );
            }
            std::fs::rename(partial.join("contents"), &folder)
                .with_context(|| format!("create {}", folder.display()))?;
            std::fs::remove_dir_all(&partial).ok();
        }
        Ok((
            folder.join(name),
            format!("{name} of Debian's package, unpacked"),
        ))
    }

    /// Downloads the program and its libraries, and unpacks them into `partial`/contents, with a
    /// script that runs one with the others.
    async fn unpack(&self, partial: &Path, step: &Step) -> Result<()> {
        let codename = codename();
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
            .with_context(|| format!("create {}", contents.display()))?;

        let mut wanted = vec![self.name.to_owned()];
        let mut fetched: BTreeSet<String> = EVERYWHERE.map(str::to_owned).into();
        while let Some(package) = wanted.pop() {
            if fetched.insert(package.clone()) {
                let deb = fetch(&suite, &package, step).await?;
                wanted.extend(libraries_of(&deb).await?);
                extract(&deb, &contents, step).await?;
            }
        }
        let script = contents.join(self.name);
        std::fs::write(&script, SCRIPT.replace("PROGRAM", self.path))
            .context("write the script that runs the program")?;
        std::fs::set_permissions(&script, Permissions::from_mode(0o755))
            .context("make the script a program")
    }
}

/// Replaces itself by the program, so that whoever started the script can end it.
const SCRIPT: &str = r#"#!/bin/sh
here="$(dirname "$0")"
for folder in "$here"/usr/lib/*-linux-* "$here"/lib/*-linux-*; do
    LD_LIBRARY_PATH="$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
done
export LD_LIBRARY_PATH
exec "$here/PROGRAM" "$@"
"#;

/// Downloads a package; the file.
async fn fetch(suite: &Suite, package: &str, step: &Step) -> Result<PathBuf> {
    step.say(&format!("downloading {package}"));
    if let Err(why) = suite.download(&[package.to_owned()], step).await? {
        bail!("apt-get: {why}");
    }
    suite.deb(package)
}

/// The libraries that a package depends on.
async fn libraries_of(deb: &Path) -> Result<Vec<String>> {
    let mut field = command("dpkg-deb");
    field.arg("--field").arg(deb).arg("Depends");
    Ok(libraries_in(&output_of(field).await?))
}

/// The libraries in a list as `nginx-common (= 1), libpcre2-8-0 (>= 10.22), zlib1g`. Its other
/// packages are settings and helpers. nginx's own modules are named as libraries are, and not
/// needed.
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

#[cfg(test)]
mod tests {
    use super::libraries_in;

    #[test]
    fn libraries_are_told_from_what_else_a_package_depends_on() {
        let depends = "libc6 (>= 2.34), libnginx-mod-http-echo, libpcre2-8-0 (>= 10.22), \
                       zlib1g:any (>= 1:1.1.4), iproute2, nginx-common (= 1.22) | other";
        assert_eq!(libraries_in(depends), ["libc6", "libpcre2-8-0", "zlib1g"]);
    }
}
