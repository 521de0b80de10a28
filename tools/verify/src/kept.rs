//! The last checkpoint that was verified.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tlog::{Checkpoint, NoteError, VerifierKey};

use crate::unverifiable::{Result, Unverifiable};

/// The file with the last checkpoint that was verified.
#[derive(Clone, Debug)]
pub struct Kept {
    file: PathBuf,
}

impl Kept {
    /// Keeps the checkpoint in this file.
    pub fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Reads the kept checkpoint, if there is one. It may be by an earlier key.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is damaged.
    pub fn read(&self, key: &VerifierKey) -> Result<Option<Checkpoint>> {
        let note = match fs::read_to_string(&self.file) {
            Ok(note) => note,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Unverifiable::file("read", &self.file, error)),
        };
        let checkpoint = match Checkpoint::open(&note, key) {
            Err(NoteError::OtherKey) => Checkpoint::read_unverified(&note),
            checkpoint => checkpoint,
        };
        checkpoint.map(Some).map_err(|error| {
            Unverifiable::new(
                format!("The kept checkpoint {} is damaged: {error}.", self.file.display()),
                "Restore the file from a copy. Without it a check cannot tell whether the log was rolled back.",
            )
        })
    }

    /// Replaces the kept checkpoint.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, note: &str) -> Result<()> {
        write_atomically(&self.file, note.as_bytes(), true)
    }
}

/// Writes a file under another name, and renames it; waits for the disk if the file `is_last`.
pub(crate) fn write_atomically(file: &Path, bytes: &[u8], is_last: bool) -> Result<()> {
    let write = || -> io::Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".tmp");
        let temporary = file.with_file_name(name);
        let mut writer = fs::File::create(&temporary)?;
        writer.write_all(bytes)?;
        if is_last {
            writer.sync_all()?;
        }
        fs::rename(&temporary, file)
    };
    write().map_err(|error| Unverifiable::file("write", file, error))
}
