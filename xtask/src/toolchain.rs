//! Installs the components' target with `rustup target add`. Where rustup cannot download, builds
//! the target's standard library from Debian's packages ([`crate::packages::wasi_std`]).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::packages::{debian, wasi_std};
use crate::process::{command, on_path, output_of, run};
use crate::project::Project;
use crate::steps::Step;

pub(crate) const TARGET: &str = "wasm32-wasip2";

/// Names a folder with Debian's `rust-src_*.deb` and `wasi-libc_*.deb`.
pub(crate) const DEBS_VARIABLE: &str = "WASI_DEBS_DIR";

/// How long rustup may take. Without a network it would retry for minutes.
const RUSTUP_WAIT_MAX: Duration = Duration::from_secs(90);

pub(crate) fn compiler_program() -> OsString {
    std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}

/// The compiler that cargo uses in this checkout.
pub(crate) struct Compiler {
    /// As `1.95.0`.
    pub(crate) version: String,
    pub(crate) rustlib: PathBuf,
}

impl Compiler {
    async fn ask(project: &Project) -> Result<Self> {
        let rustc = || {
            let mut rustc = command(compiler_program());
            rustc.current_dir(&project.root);
            rustc
        };
        let mut version = rustc();
        version.arg("--version");
        let version = output_of(version).await.context(
            "rustc does not run, and the components are built with it. Install Rust, for example \
             with rustup, so that `rustc --version` works",
        )?;
        let mut sysroot = rustc();
        sysroot.args(["--print", "sysroot"]);
        let sysroot = output_of(sysroot)
            .await
            .context("cannot read rustc's folder")?;
        Ok(Self {
            version: version_in(&version)
                .with_context(|| format!("cannot read rustc's version from `{version}`"))?
                .to_owned(),
            rustlib: Path::new(&sysroot).join("lib/rustlib"),
        })
    }

    /// Whether the target's standard library is there; it is installed last, or all at once.
    fn has_target(&self) -> bool {
        std::fs::read_dir(self.rustlib.join(TARGET).join("lib")).is_ok_and(|mut files| {
            files.any(|file| {
                file.is_ok_and(|file| {
                    let name = file.file_name();
                    let name = name.to_string_lossy();
                    name.starts_with("libstd-") && name.ends_with(".rlib")
                })
            })
        })
    }
}

/// Where the target's standard library is; None if it is missing.
pub(crate) async fn describe_target(project: &Project) -> Result<Option<String>> {
    let compiler = Compiler::ask(project).await?;
    let version = &compiler.version;
    Ok(if compiler.has_target() {
        Some(format!("in the compiler's folder (rustc {version})"))
    } else {
        wasi_std::is_built(project, &compiler).then(|| format!("in .data/ (rustc {version})"))
    })
}

/// Installs the target if it is missing; returns where it is from.
pub(crate) async fn ensure(project: &Project, step: &Step) -> Result<String> {
    let compiler = Compiler::ask(project).await?;
    let _lock = project.lock("toolchain", step).await?;
    if compiler.has_target() {
        wasi_std::remove_sysroot(project)?;
        return Ok(format!("{TARGET} found (rustc {})", compiler.version));
    }
    if wasi_std::is_built(project, &compiler) {
        return Ok(format!(
            "{TARGET} found in .data/ (rustc {})",
            compiler.version
        ));
    }
    // It is of another compiler.
    wasi_std::remove_sysroot(project)?;

    if let Some(folder) = std::env::var_os(DEBS_VARIABLE).filter(|folder| !folder.is_empty()) {
        let folder = PathBuf::from(folder);
        let debs = debian::find(&folder)
            .with_context(|| format!("cannot use {DEBS_VARIABLE} ({})", folder.display()))?;
        wasi_std::build_sysroot(project, &compiler, &debs, step).await?;
        return Ok(format!(
            "{TARGET} built into .data/ from the packages in {DEBS_VARIABLE}"
        ));
    }

    let rustup = match add_with_rustup(project, step).await? {
        None if compiler.has_target() => return Ok(format!("{TARGET} added by rustup")),
        None => "`rustup target add` reported success, but for another toolchain".to_owned(),
        Some(reason) => reason,
    };
    step.say("rustup failed; asking Debian's archive");
    let from_debian = async {
        let debs = debian::download(project, &compiler.version, step).await?;
        wasi_std::build_sysroot(project, &compiler, &debs, step).await
    };
    match from_debian.await {
        Ok(()) => {
            debian::clean(project);
            step.note(format!("rustup failed: {rustup}"));
            Ok(format!("{TARGET} built into .data/ from Debian's packages"))
        }
        Err(debian) => bail!(
            "The components need the target {TARGET}, which Rust {version} on this machine lacks. \
             rustup failed: {rustup}. Debian's packages failed: {debian:#}. Run `rustup target add \
             {TARGET}` where rustup can download, or put Debian's packages rust-src (of version \
             {version}) and wasi-libc into a folder and set {DEBS_VARIABLE} to it; then repeat \
             this command.",
            version = compiler.version,
        ),
    }
}

/// Points a cargo command to the sysroot in `.data/`, if there is one.
pub(crate) fn use_sysroot(project: &Project, cargo: &mut Command) {
    let sysroot = wasi_std::sysroot(project);
    if !sysroot.is_dir() {
        return;
    }
    let flag = format!("--sysroot={}", sysroot.display());
    // Flags in the environment take the place of those in the configuration.
    for (variable, separator) in [("CARGO_ENCODED_RUSTFLAGS", "\u{1f}"), ("RUSTFLAGS", " ")] {
        if let Ok(flags) = std::env::var(variable) {
            cargo.env(variable, format!("{flags}{separator}{flag}"));
            return;
        }
    }
    cargo.arg("--config");
    cargo.arg(format!("target.{TARGET}.rustflags=[{flag:?}]"));
}

/// Runs `rustup target add`; returns the reason if it failed.
async fn add_with_rustup(project: &Project, step: &Step) -> Result<Option<String>> {
    let Some(rustup) = on_path("rustup") else {
        return Ok(Some("no `rustup` on PATH".to_owned()));
    };
    step.say("rustup target add");
    let mut add = command(rustup);
    add.current_dir(&project.root)
        .args(["target", "add", TARGET]);
    let finished = run(add, step, Some(RUSTUP_WAIT_MAX)).await?;
    Ok((!finished.success).then(|| finished.last(2)))
}

/// The version in `rustc 1.95.0 (59807616e 2026-04-14)`.
fn version_in(text: &str) -> Option<&str> {
    text.split_whitespace().nth(1)
}
