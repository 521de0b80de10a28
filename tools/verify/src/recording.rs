//! Reads a service and writes what it reads to a folder: an export.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use tlog::{TILE_WIDTH, TilePath};

use crate::folder::{Folder, read};
use crate::kept::write_atomically;
use crate::service::Service;
use crate::source::{Line, Source};
use crate::unverifiable::{Result, Unverifiable};
use crate::wire::join_lines;

/// A service whose answers are kept in a folder. Full bundles and tiles that the folder has are not
/// fetched again.
pub struct Recording {
    service: Service,
    folder: Folder,
    resume: Resume,
    /// Folders of partial tiles, each with the newest tile of its place.
    partial: BTreeMap<PathBuf, PathBuf>,
    /// First bundle whose records the service can still give in order.
    position: u64,
    /// First bundle that was not complete when the export began.
    begun_at: u64,
    /// Bundles whose records were taken from the folder, as it was when the export began.
    reused: u64,
}

/// How far the records were written.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Resume {
    /// First bundle that is not complete.
    bundle: u64,
    /// The page of the service with its records.
    page: Option<String>,
}

impl Recording {
    /// Begins or resumes an export.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn new(mut service: Service, folder: Folder) -> Result<Self> {
        let bytes = read(&folder.resume_file())?;
        let resume: Resume = bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        service.seek(resume.page.clone());
        Ok(Self {
            position: resume.bundle,
            begun_at: resume.bundle,
            reused: 0,
            service,
            folder,
            resume,
            partial: BTreeMap::new(),
        })
    }

    /// Begins to read the service again, for a later checkpoint.
    pub fn again(&mut self) {
        self.service.seek(self.resume.page.clone());
        self.position = self.resume.bundle;
        self.reused = 0;
    }

    /// Number of bundles whose records were in the folder already and were not read again.
    pub fn reused(&self) -> u64 {
        self.reused
    }

    /// Ends the export with its checkpoint.
    ///
    /// # Errors
    ///
    /// The checkpoint cannot be written.
    pub fn finish(&self, note: &str) -> Result<()> {
        write_atomically(&self.folder.checkpoint_file(), note.as_bytes(), true)?;
        for (folder, newest) in &self.partial {
            remove_all_but(folder, newest)
                .map_err(|error| Unverifiable::file("remove", folder, error))?;
        }
        Ok(())
    }
}

impl Source for Recording {
    fn checkpoint(&mut self) -> Result<String> {
        self.service.checkpoint()
    }

    fn wait_for(&mut self, size: u64, out: &mut dyn Write) -> Result<()> {
        self.service.wait_for(size, out)
    }

    fn tile(&mut self, path: TilePath) -> Result<Option<Vec<u8>>> {
        let file = self.folder.tile_file(path);
        if path.width == TILE_WIDTH
            && let Some(bytes) = read(&file)?
        {
            return Ok(Some(bytes));
        }
        let bytes = self.service.tile(path)?;
        let Some(bytes) = bytes else { return Ok(None) };
        // A partial tile's folder is named after the full tile.
        let mut partial = self.folder.tile_file(TilePath {
            width: TILE_WIDTH,
            ..path
        });
        partial.as_mut_os_string().push(".p");
        write_atomically(&file, &bytes, false)?;
        // The checkpoint in the folder needs the earlier ones until it is replaced.
        self.partial.insert(partial, file);
        Ok(Some(bytes))
    }

    fn records(&mut self, bundle: u64, end: u64) -> Result<Vec<Line>> {
        let file = self.folder.records_file(bundle);
        if bundle < self.resume.bundle && file.exists() {
            self.reused += u64::from(bundle < self.begun_at);
            return self.folder.records(bundle, end);
        }
        let begin = bundle * TILE_WIDTH;
        if bundle < self.position {
            self.service.seek(None);
        }
        self.position = bundle + 1;
        let mut lines = self.service.records(bundle, end)?;
        lines.retain(|line| line.evidence.iter().all(|one| one.index >= begin));
        write_atomically(&file, &join_lines(&lines), false)?;
        if end == begin + TILE_WIDTH && bundle >= self.resume.bundle {
            self.resume = Resume {
                bundle: bundle + 1,
                page: self.service.position().or(self.resume.page.take()),
            };
            let bytes = serde_json::to_vec(&self.resume)
                .map_err(|error| Unverifiable::file("write", &file, error))?;
            write_atomically(&self.folder.resume_file(), &bytes, false)?;
        }
        Ok(lines)
    }

    fn holds(&mut self) -> Result<Vec<Line>> {
        let lines = self.service.holds()?;
        write_atomically(&self.folder.holds_file(), &join_lines(&lines), false)?;
        Ok(lines)
    }

    fn record(&mut self, id: i64) -> Result<Option<Line>> {
        self.service.record(id)
    }

    fn pending(&mut self) -> Result<Option<u64>> {
        self.service.pending()
    }

    fn is_living(&self) -> bool {
        true
    }

    fn keep_late(&mut self, line: &Line) -> Result<()> {
        let Some(index) = line.evidence.first().map(|evidence| evidence.index) else {
            return Ok(());
        };
        let bundle = index / TILE_WIDTH;
        let mut lines = self.folder.records(bundle, u64::MAX)?;
        lines.push(line.clone());
        lines.sort_by_key(|line| line.evidence.first().map(|evidence| evidence.index));
        write_atomically(
            &self.folder.records_file(bundle),
            &join_lines(&lines),
            false,
        )
    }
}

/// Removes the files of a folder except one, and the folder if it is empty then.
fn remove_all_but(folder: &Path, newest: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path != newest {
            fs::remove_file(path)?;
        }
    }
    if newest.starts_with(folder) {
        return Ok(());
    }
    fs::remove_dir(folder)
}
