//! The user that runs PostgreSQL, and the folder of its programs and data. PostgreSQL refuses to
//! run as root, so root runs it as another user; if that user cannot enter the checkout (below
//! `/root`, say), the files are in `/var/tmp`.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::{User, chown, geteuid};

use crate::process::command;
use crate::project::Project;

/// Unprivileged users to try, in order.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// Holds the files if the user cannot enter the checkout. Survives reboots.
const ELSEWHERE: &str = "/var/tmp";

/// The user that runs PostgreSQL instead of root.
pub(crate) struct Account(User);

impl Account {
    /// None if this program does not run as root.
    fn needed() -> Result<Option<Self>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        for name in CANDIDATES {
            if let Some(user) = User::from_name(name).context("cannot look up a user")? {
                return Ok(Some(Self(user)));
            }
        }
        bail!(
            "PostgreSQL refuses to run as root, and this system has neither a user `postgres` nor \
             a user `nobody`. Run this command as another user, or set DATABASE_URL to your own \
             server."
        )
    }

    fn can_enter(&self, folder: &Path) -> bool {
        // The child enters the folder as that user, so it does not start if that is forbidden.
        let mut probe = command("true");
        self.run_as(&mut probe);
        probe
            .current_dir(folder)
            .status()
            .is_ok_and(|status| status.success())
    }

    fn run_as(&self, command: &mut Command) {
        command
            .uid(self.0.uid.as_raw())
            .gid(self.0.gid.as_raw())
            .env("HOME", "/");
    }
}

/// The folder and user of the embedded PostgreSQL.
pub(crate) struct Home {
    /// Holds the programs and data.
    pub(crate) folder: PathBuf,
    account: Option<Account>,
    /// Where the files are, if not in the checkout.
    pub(crate) note: Option<String>,
}

impl Home {
    /// The home of this checkout's server, created if missing.
    pub(crate) fn of(project: &Project) -> Result<Self> {
        let Some(account) = Account::needed()? else {
            return Ok(Self {
                folder: project.data.clone(),
                account: None,
                note: None,
            });
        };
        if account.can_enter(&project.data) {
            return Ok(Self {
                folder: project.data.clone(),
                account: Some(account),
                note: None,
            });
        }
        let folder = elsewhere(&project.root);
        create_for_root(&folder)?;
        let note = format!(
            "PostgreSQL runs as the user {}, who cannot enter {}: its programs and data are in {}",
            account.0.name,
            project.data.display(),
            folder.display()
        );
        Ok(Self {
            folder,
            account: Some(account),
            note: Some(note),
        })
    }

    /// Makes `command` run as PostgreSQL's user.
    pub(crate) fn run_as(&self, command: &mut Command) {
        if let Some(account) = &self.account {
            account.run_as(command);
        }
        command.current_dir(&self.folder);
    }

    /// Creates an empty folder that only that user can read.
    pub(crate) fn create_private_folder(&self, folder: &Path) -> Result<()> {
        let create = || {
            if folder.exists() {
                std::fs::remove_dir_all(folder)?;
            }
            DirBuilder::new().mode(0o700).create(folder)
        };
        create().with_context(|| format!("cannot create {}", folder.display()))?;
        self.give(folder)
    }

    /// Makes that user the owner of `path`.
    pub(crate) fn give(&self, path: &Path) -> Result<()> {
        if let Some(Account(user)) = &self.account {
            chown(path, Some(user.uid), Some(user.gid))
                .with_context(|| format!("cannot chown {} to {}", path.display(), user.name))?;
        }
        Ok(())
    }
}

/// The checkout's folder in [`ELSEWHERE`]: its path with `/` as `-`, and `-` as `--`, so that no
/// two checkouts share one.
fn elsewhere(root: &Path) -> PathBuf {
    let path = root.to_string_lossy().replace('-', "--");
    let name = path.trim_start_matches('/').replace('/', "-");
    Path::new(ELSEWHERE).join(name)
}

/// Creates a folder that everyone can enter, whatever the umask is.
pub(crate) fn create_open_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::set_permissions(folder, Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot create {}", folder.display()))
}

/// Creates root's folder in [`ELSEWHERE`]; an error if another user created it first.
fn create_for_root(folder: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o755).create(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("cannot create {}", folder.display()));
        }
        _ => {}
    }
    let found = folder
        .symlink_metadata()
        .with_context(|| format!("cannot read the owner of {}", folder.display()))?;
    ensure!(
        found.is_dir() && found.uid() == 0,
        "{} is not a folder that root owns. Remove it and repeat this command.",
        folder.display()
    );
    std::fs::set_permissions(folder, Permissions::from_mode(0o755))
        .with_context(|| format!("cannot set the mode of {}", folder.display()))
}
