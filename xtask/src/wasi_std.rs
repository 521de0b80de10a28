//! Builds the standard library for WASI from Debian's packages and puts it where rustup
//! would have put it.
//!
//! All is made in the project's `.data` folder. The compiler's folder is touched twice: for
//! the time of the build a link shows cargo the library's source (which can look for it
//! nowhere else), and at the end the finished target comes in by renaming a folder. Whatever
//! an interrupted attempt left there is replaced by the next.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::debian::Debs;
use crate::process::{command, on_path, output_of, run};
use crate::project::Project;
use crate::steps::Step;
use crate::toolchain::{Compiler, TARGET};

/// The package that is built for its dependency on the standard library alone.
const EMPTY: &str = "empty";

/// Builds and installs the target.
pub(crate) async fn install(
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
    // The compiler's own source, nine tenths of the package, is not needed.
    let library = format!("usr/src/rustc-{}/library", compiler.version);
    let libc = format!("usr/lib/{TARGET}");
    unpack(&debs.rust_src, &library, &work, step).await?;
    unpack(&debs.wasi_libc, &libc, &work, step).await?;

    let library = work.join(library);
    let source = SourceLink::put(compiler, &library)?;
    let libraries = build(project, &work, step).await?;
    drop(source);

    let staged = work.join("staged");
    let lib = staged.join("lib");
    copy_files(&work.join(libc), &lib.join("self-contained"), |_| true)?;
    copy_files(&libraries, &lib, |name| {
        name.ends_with(".rlib") && !name.starts_with(&format!("lib{EMPTY}-"))
    })?;
    put_in_place(&staged, &compiler.rustlib)?;
    remove(&work)
}

/// A library of another compiler version would fail later with messages nobody understands.
async fn check_version(compiler: &Compiler, debs: &Debs) -> Result<()> {
    let mut ask = command("dpkg-deb");
    ask.arg("--field").arg(&debs.rust_src).arg("Version");
    let version = output_of(ask)
        .await
        .with_context(|| format!("read the version of {}", debs.rust_src.display()))?;
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

/// Unpacks the folder `part` of a package.
async fn unpack(deb: &Path, part: &str, folder: &Path, step: &Step) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
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

/// The source's place in the compiler's folder, for as long as the build lasts.
struct SourceLink(Option<PathBuf>);

impl SourceLink {
    fn put(compiler: &Compiler, library: &Path) -> Result<Self> {
        let place = compiler.rustlib.join("src/rust/library");
        if place.join("Cargo.lock").is_file() && !place.is_symlink() {
            // rustup's own component rust-src, of the same version.
            return Ok(Self(None));
        }
        let put = || {
            if place.is_symlink() {
                std::fs::remove_file(&place)?;
            }
            std::fs::create_dir_all(place.parent().unwrap_or(&compiler.rustlib))?;
            std::os::unix::fs::symlink(library, &place)
        };
        put().with_context(|| {
            format!(
                "write into the compiler's folder {} (it must be writable for you)",
                compiler.rustlib.display()
            )
        })?;
        Ok(Self(Some(place)))
    }
}

impl Drop for SourceLink {
    fn drop(&mut self) {
        let Some(place) = &self.0 else { return };
        std::fs::remove_file(place).ok();
        // The folders that were made for it; one that holds something else stays.
        for folder in place.ancestors().skip(1).take(2) {
            std::fs::remove_dir(folder).ok();
        }
    }
}

/// Builds the standard library; the folder with what was built.
async fn build(project: &Project, work: &Path, step: &Step) -> Result<PathBuf> {
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
    write().with_context(|| format!("write {}", package.display()))?;

    let mut build = project.cargo();
    build
        .current_dir(&package)
        // Building the standard library is a nightly feature of cargo; this is the
        // documented way to it with a stable compiler.
        .env("RUSTC_BOOTSTRAP", "1")
        // Without bitcode in it, the components could not be optimised as a whole (LTO).
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
    let copied = copy().with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    ensure!(copied > 0, "{} holds nothing to copy", from.display());
    Ok(())
}

/// Brings the finished target into the compiler's folder, all at once.
fn put_in_place(staged: &Path, rustlib: &Path) -> Result<()> {
    // `.data` may lie on another file system, so it is copied beside its place first.
    let partial = rustlib.join(format!(".{TARGET}.partial"));
    remove(&partial)?;
    copy_files(&staged.join("lib"), &partial.join("lib"), |_| true)?;
    copy_files(
        &staged.join("lib/self-contained"),
        &partial.join("lib/self-contained"),
        |_| true,
    )?;
    let place = rustlib.join(TARGET);
    remove(&place)?;
    std::fs::rename(&partial, &place)
        .with_context(|| format!("rename {} to {}", partial.display(), place.display()))
}

fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
