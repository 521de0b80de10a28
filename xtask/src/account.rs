//! Who runs PostgreSQL, and where its files are.
//!
//! PostgreSQL refuses to run as root. Started as root, it runs as another user, who must be
//! able to reach the programs and the data: where that user cannot enter the checkout (it
//! lies below `/root`, say), they are kept in a folder of the system's that survives reboots.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::{User, chown, geteuid};

use crate::process::command;
use crate::project::Project;

/// Unprivileged users that systems have, the more fitting first.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// Where files go that the user cannot reach in the checkout.
const ELSEWHERE: &str = "/var/tmp";

/// The user that runs PostgreSQL in root's stead.
pub(crate) struct Account(User);

impl Account {
    /// None where this program does not run as root.
    fn needed() -> Result<Option<Self>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        for name in CANDIDATES {
            if let Some(user) = User::from_name(name).context("look up a user")? {
                return Ok(Some(Self(user)));
            }
        }
        bail!(
            "PostgreSQL does not run as root, and this system has neither a user `postgres` nor \
             a user `nobody` to run it as. Run this command as another user, or set DATABASE_URL \
             to a server of your own."
        )
    }

    fn can_enter(&self, folder: &Path) -> bool {
        // The working directory is entered as that user, so the command cannot even start
        // where it may not be.
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

/// Where the embedded PostgreSQL lives.
pub(crate) struct Home {
    /// The folder of its programs and data.
    pub(crate) folder: PathBuf,
    account: Option<Account>,
    /// What the user should know about it.
    pub(crate) note: Option<String>,
}

impl Home {
    /// The home of this checkout's server, created where it is missing.
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

    /// Lets `command` run as the user that runs PostgreSQL.
    pub(crate) fn run_as(&self, command: &mut Command) {
        if let Some(account) = &self.account {
            account.run_as(command);
        }
        command.current_dir(&self.folder);
    }

    /// Makes an empty folder that only that user can look into.
    pub(crate) fn create_private_folder(&self, folder: &Path) -> Result<()> {
        let create = || {
            if folder.exists() {
                std::fs::remove_dir_all(folder)?;
            }
            DirBuilder::new().mode(0o700).create(folder)
        };
        create().with_context(|| format!("create {}", folder.display()))?;
        self.give(folder)
    }

    /// Makes that user the owner.
    pub(crate) fn give(&self, path: &Path) -> Result<()> {
        if let Some(Account(user)) = &self.account {
            chown(path, Some(user.uid), Some(user.gid))
                .with_context(|| format!("give {} to {}", path.display(), user.name))?;
        }
        Ok(())
    }
}

/// The checkout's folder in [`ELSEWHERE`]: its path with dashes for slashes. Dashes of its own are doubled,
/// so that no two checkouts share one.
fn elsewhere(root: &Path) -> PathBuf {
    let path = root.to_string_lossy().replace('-', "--");
    let name = path.trim_start_matches('/').replace('/', "-");
    Path::new(ELSEWHERE).join(name)
}

/// Makes a folder that everybody can enter, whatever the umask is.
pub(crate) fn create_open_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::set_permissions(folder, Permissions::from_mode(0o755)))
        .with_context(|| format!("create {}", folder.display()))
}

/// Everybody may write beside this folder, so what is already there is looked at first.
fn create_for_root(folder: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o755).create(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("create {}", folder.display()));
        }
        _ => {}
    }
    let found = folder
        .symlink_metadata()
        .with_context(|| format!("look at {}", folder.display()))?;
    ensure!(
        found.is_dir() && found.uid() == 0,
        "{} is not a folder of root's: somebody else made it. Remove it.",
        folder.display()
    );
    std::fs::set_permissions(folder, Permissions::from_mode(0o755))
        .with_context(|| format!("set the mode of {}", folder.display()))
}
