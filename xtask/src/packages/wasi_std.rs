//! Builds WASI's standard library from Debian's packages where rustup cannot download it: a sysroot
//! in `.data/toolchain` that links to the compiler's folder, which stays unchanged.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::packages::debian::Debs;
use crate::process::{command, on_path, output_of, run};
use crate::project::Project;
use crate::steps::Step;
use crate::toolchain::{Compiler, TARGET, compiler_program};

/// An empty package, built only for its dependency on the standard library.
const EMPTY: &str = "empty";

pub(crate) fn sysroot(project: &Project) -> PathBuf {
    project.data.join("toolchain/sysroot")
}

/// File in the sysroot with its compiler's version.
const VERSION_FILE: &str = "version";

pub(crate) fn is_built(project: &Project, compiler: &Compiler) -> bool {
    std::fs::read_to_string(sysroot(project).join(VERSION_FILE))
        .is_ok_and(|version| version == compiler.version)
}

/// Removes the sysroot, if there is one.
pub(crate) fn remove_sysroot(project: &Project) -> Result<()> {
    let folder = sysroot(project);
    // First: without a version, a sysroot that is partly removed is not used.
    std::fs::remove_file(folder.join(VERSION_FILE)).ok();
    remove(&folder)
}

pub(crate) async fn build_sysroot(
    project: &Project,
    compiler: &Compiler,
    debs: &Debs,
    step: &Step,
) -> Result<()> {
    ensure!(
        on_path("dpkg-deb").is_some(),
        "unpacking Debian's packages needs dpkg-deb, which is not on PATH"
    );
    check_version(compiler, debs).await?;
    let work = project.data.join("toolchain/build");
    remove(&work)?;
    // Only the library: nine tenths of the package are the compiler's source.
    let library = format!("usr/src/rustc-{}/library", compiler.version);
    let libc = format!("usr/lib/{TARGET}");
    unpack(&debs.rust_src, &library, &work, step).await?;
    unpack(&debs.wasi_libc, &libc, &work, step).await?;

    let library = work.join(library);
    let partial = work.join("sysroot");
    let rustlib = partial.join("lib/rustlib");
    link_compiler(compiler, &rustlib, &library)?;
    let libraries = build(project, &work, &partial, step).await?;

    let lib = rustlib.join(TARGET).join("lib");
    copy_files(&work.join(libc), &lib.join("self-contained"), |_| true)?;
    copy_files(&libraries, &lib, |name| {
        name.ends_with(".rlib") && !name.starts_with(&format!("lib{EMPTY}-"))
    })?;
    remove(&rustlib.join("src"))?;
    std::fs::write(partial.join(VERSION_FILE), &compiler.version)
        .context("cannot write the sysroot's version")?;
    let place = sysroot(project);
    remove_sysroot(project)?;
    // Renamed when complete, so the sysroot is never partial.
    std::fs::rename(&partial, &place)
        .with_context(|| format!("cannot rename {} to {}", partial.display(), place.display()))?;
    remove(&work)
}

/// Links a sysroot to the compiler's files for this machine and to the standard library's source,
/// which cargo expects in the sysroot.
fn link_compiler(compiler: &Compiler, rustlib: &Path, library: &Path) -> Result<()> {
    let link = || -> std::io::Result<()> {
        std::fs::create_dir_all(rustlib.join("src/rust"))?;
        symlink(library, rustlib.join("src/rust/library"))?;
        for entry in std::fs::read_dir(&compiler.rustlib)? {
            let entry = entry?;
            let name = entry.file_name();
            if name != "src" && name != TARGET && entry.path().is_dir() {
                symlink(entry.path(), rustlib.join(name))?;
            }
        }
        Ok(())
    };
    link().with_context(|| format!("cannot fill {}", rustlib.display()))
}

/// Refuses a library of another compiler version, which would fail later with obscure errors.
async fn check_version(compiler: &Compiler, debs: &Debs) -> Result<()> {
    let mut ask = command("dpkg-deb");
    ask.arg("--field").arg(&debs.rust_src).arg("Version");
    let version = output_of(ask)
        .await
        .with_context(|| format!("cannot read the version of {}", debs.rust_src.display()))?;
    let upstream = version.split(['+', '-', '~']).next().unwrap_or_default();
    if upstream != compiler.version {
        bail!(
            "{} holds the standard library of Rust {upstream}, but `rustc --version` is {}. \
             The two must be the same: get the package rust-src of version {}, or switch to \
             that Rust.",
            debs.rust_src.display(),
            compiler.version,
            compiler.version
        );
    }
    Ok(())
}

/// Unpacks a package's folder `part` into `folder`.
async fn unpack(deb: &Path, part: &str, folder: &Path, step: &Step) -> Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    step.say(&format!("unpacking {}", deb.display()));
    let mut unpack = command("sh");
    unpack
        .args([
            "-c",
            "dpkg-deb --fsys-tarfile \"$1\" | tar -x -C \"$2\" \"./$3\"",
            "sh",
        ])
        .arg(deb)
        .arg(folder)
        .arg(part);
    let unpacked = run(unpack, step, None).await?;
    ensure!(
        unpacked.success,
        "unpacking {part} from {} failed: {}",
        deb.display(),
        unpacked.last(2)
    );
    Ok(())
}

/// Builds the standard library; returns the folder with its files.
async fn build(project: &Project, work: &Path, sysroot: &Path, step: &Step) -> Result<PathBuf> {
    let package = work.join(EMPTY);
    let write = || {
        std::fs::create_dir_all(package.join("src"))?;
        std::fs::write(package.join("src/lib.rs"), "#![no_std]\n")?;
        std::fs::write(
            package.join("Cargo.toml"),
            // A workspace of its own: it lies inside the project's.
            format!(
                "[package]\nname = \"{EMPTY}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
                 [workspace]\n"
            ),
        )
    };
    write().with_context(|| format!("cannot write {}", package.display()))?;
    let rustc = rustc_with_sysroot(work)?;

    let mut build = project.cargo();
    build
        .current_dir(&package)
        .env("REAL_RUSTC", compiler_program())
        .env("SYSROOT", sysroot)
        .env("RUSTC", rustc)
        // Enables cargo's nightly feature build-std with a stable compiler.
        .env("RUSTC_BOOTSTRAP", "1")
        // LTO of the components needs bitcode in the library.
        .env("RUSTFLAGS", "-Cembed-bitcode=yes")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .args(["build", "--release", "-Z", "build-std=std,panic_abort"])
        .args(["--target", TARGET, "--target-dir", "target"]);
    let built = run(build, step, None).await?;
    ensure!(
        built.success,
        "building the standard library failed: {}",
        built.last(6)
    );
    Ok(package.join("target").join(TARGET).join("release/deps"))
}

/// Writes a script that runs rustc with another sysroot: cargo has no setting for the host's.
fn rustc_with_sysroot(work: &Path) -> Result<PathBuf> {
    let program = work.join("rustc");
    let script = "#!/bin/sh\nexec \"${REAL_RUSTC:-rustc}\" --sysroot \"$SYSROOT\" \"$@\"\n";
    let write = || {
        std::fs::write(&program, script)?;
        std::fs::set_permissions(&program, Permissions::from_mode(0o755))
    };
    write().with_context(|| format!("cannot write {}", program.display()))?;
    Ok(program)
}

fn copy_files(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) -> Result<()> {
    let copy = || -> std::io::Result<usize> {
        std::fs::create_dir_all(to)?;
        let mut copied = 0;
        for entry in std::fs::read_dir(from)? {
            let entry = entry?;
            if entry.file_type()?.is_file() && wanted(&entry.file_name().to_string_lossy()) {
                std::fs::copy(entry.path(), to.join(entry.file_name()))?;
                copied += 1;
            }
        }
        Ok(copied)
    };
    let copied =
        copy().with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    ensure!(copied > 0, "{} has no file to copy", from.display());
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
