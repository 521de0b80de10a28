//! nginx, which the tests put before two replicas: from PATH, else out of Debian's packages.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::apt::{Archive, Suite, codename, extract};
use crate::process::{command, on_path, output_of};
use crate::project::Project;
use crate::steps::Step;

/// Names the nginx to use.
pub(crate) const COMMAND_VARIABLE: &str = "NGINX_COMMAND";

const PROGRAM: &str = "nginx";

/// Libraries that are part of every machine on which a package of its release can run. The C
/// library must be that of the machine's own loader.
const EVERYWHERE: [&str; 2] = ["libc6", "libgcc-s1"];

/// The program, and where it is from.
pub(crate) async fn program(project: &Project, step: &Step) -> Result<(PathBuf, String)> {
    if let Some(program) = std::env::var_os(COMMAND_VARIABLE).filter(|path| !path.is_empty()) {
        let program = PathBuf::from(program);
        ensure!(
            program.is_file(),
            "{COMMAND_VARIABLE} names {}, which is no file",
            program.display()
        );
        return Ok((program, format!("the one {COMMAND_VARIABLE} names")));
    }
    if let Some(program) = on_path(PROGRAM) {
        return Ok((program, "nginx from PATH".to_owned()));
    }
    let _lock = project.lock(PROGRAM, step).await?;
    let folder = project.data.join("nginx");
    if !folder.is_dir() {
        // Renamed when complete: a folder of that name is always whole.
        let partial = project.data.join(".nginx.partial");
        if let Err(error) = unpack(&partial, step).await {
            bail!(
                "nginx, which the tests put before two replicas, could not be had from Debian's \
                 packages ({error:#}). Put nginx on PATH (on Debian and Ubuntu: the package \
                 nginx), or name it in {COMMAND_VARIABLE}, and repeat this command."
            );
        }
        std::fs::rename(partial.join("contents"), &folder)
            .with_context(|| format!("create {}", folder.display()))?;
        std::fs::remove_dir_all(&partial).ok();
    }
    Ok((
        folder.join(PROGRAM),
        "nginx of Debian's package, unpacked".to_owned(),
    ))
}

/// Downloads nginx and its libraries, and unpacks them into `partial`/contents, with a script
/// that runs one with the others.
async fn unpack(partial: &Path, step: &Step) -> Result<()> {
    let codename = codename();
    step.say(&format!("asking Debian's {codename} for nginx"));
    let suite = Archive::of_this_machine()?
        .suite(&codename, partial.join("debian"), step)
        .await?;
    let suite = match suite {
        Ok(suite) => suite,
        Err(why) => bail!("apt-get: {why}"),
    };
    let contents = partial.join("contents");
    std::fs::remove_dir_all(&contents).ok();
    std::fs::create_dir_all(&contents).with_context(|| format!("create {}", contents.display()))?;

    let mut wanted = vec![PROGRAM.to_owned()];
    let mut fetched: BTreeSet<String> = EVERYWHERE.map(str::to_owned).into();
    while let Some(package) = wanted.pop() {
        if fetched.insert(package.clone()) {
            let deb = fetch(&suite, &package, step).await?;
            wanted.extend(libraries_of(&deb).await?);
            extract(&deb, &contents, step).await?;
        }
    }
    let script = contents.join(PROGRAM);
    std::fs::write(&script, SCRIPT).context("write the script that runs nginx")?;
    std::fs::set_permissions(&script, Permissions::from_mode(0o755))
        .context("make the script a program")
}

/// Replaces itself by nginx, so that whoever started the script can end nginx.
const SCRIPT: &str = r#"#!/bin/sh
here="$(dirname "$0")"
for folder in "$here"/usr/lib/*-linux-* "$here"/lib/*-linux-*; do
    LD_LIBRARY_PATH="$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
done
export LD_LIBRARY_PATH
exec "$here/usr/sbin/nginx" "$@"
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
