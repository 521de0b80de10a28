//! Reads an export.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tlog::audit::{join_bundle, split_bundle};
use tlog::{HASH_BYTES, TILE_WIDTH, TilePath};

use crate::source::{Line, Source};
use crate::unverifiable::{Result, Unverifiable};
use crate::wire::{hold_line, lines, record_line};

/// A folder made by `export`.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Reads this folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub(crate) fn checkpoint_file(&self) -> PathBuf {
        self.path.join("checkpoint")
    }

    pub(crate) fn holds_file(&self) -> PathBuf {
        self.path.join("holds.ndjson")
    }

    pub(crate) fn resume_file(&self) -> PathBuf {
        self.path.join("resume")
    }

    pub(crate) fn tile_file(&self, path: TilePath) -> PathBuf {
        self.path.join("tile").join(path.to_string())
    }

    pub(crate) fn records_file(&self, bundle: u64) -> PathBuf {
        let path = TilePath {
            level: None,
            index: bundle,
            width: TILE_WIDTH,
        };
        let path = path.to_string();
        let index = path.strip_prefix("entries/").unwrap_or(&path);
        self.path.join("records").join(format!("{index}.ndjson"))
    }
}

impl Source for Folder {
    fn checkpoint(&mut self) -> Result<String> {
        let file = self.checkpoint_file();
        fs::read_to_string(&file).map_err(|error| {
            Unverifiable::new(
                format!("Cannot read {}: {error}.", file.display()),
                "Pass a folder that export completed; it writes the checkpoint last.",
            )
        })
    }

    fn tile(&mut self, path: TilePath) -> Result<Option<Vec<u8>>> {
        let bytes = read(&self.tile_file(path))?;
        if bytes.is_some() || path.width == TILE_WIDTH {
            return Ok(bytes);
        }
        let full = TilePath {
            width: TILE_WIDTH,
            ..path
        };
        Ok(read(&self.tile_file(full))?.and_then(|bytes| cut(path, bytes)))
    }

    fn records(&mut self, bundle: u64, end: u64) -> Result<Vec<Line>> {
        let file = self.records_file(bundle);
        let bytes = read(&file)?.unwrap_or_default();
        let mut lines = lines(&file.display().to_string(), &bytes, record_line)?;
        lines.retain(|line| line.evidence.iter().all(|one| one.index < end));
        Ok(lines)
    }

    fn holds(&mut self) -> Result<Vec<Line>> {
        let file = self.holds_file();
        let bytes = read(&file)?.unwrap_or_default();
        lines(&file.display().to_string(), &bytes, hold_line)
    }

    fn record(&mut self, _id: i64) -> Result<Option<Line>> {
        Ok(None)
    }

    fn pending(&mut self) -> Result<Option<u64>> {
        Ok(None)
    }

    fn is_living(&self) -> bool {
        false
    }
}

/// Reads a file, if it is there.
pub(crate) fn read(file: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(Unverifiable::file("read", file, error)),
    }
}

/// Cuts a full tile or bundle to the width of a path.
pub(crate) fn cut(path: TilePath, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let width = path.width as usize;
    if path.level.is_some() {
        bytes.truncate(width * HASH_BYTES);
        return Some(bytes);
    }
    join_bundle(split_bundle(&bytes)?.into_iter().take(width))
}
