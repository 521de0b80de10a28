//! Where a log and its records are read.

use std::io::Write;

use tlog::TilePath;
use tlog::audit::Evidence;

use crate::unverifiable::Result;

/// A line of NDJSON, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The line without its end.
    pub text: String,
    /// What it says is stored: one leaf for a record, up to two for a hold.
    pub evidence: Vec<Evidence>,
}

/// A service or an export.
pub trait Source {
    /// The signed checkpoint.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn checkpoint(&mut self) -> Result<String>;

    /// Waits until records and holds of the first `size` leaves can be read.
    ///
    /// # Errors
    ///
    /// They cannot be read in time.
    fn wait_for(&mut self, _size: u64, _out: &mut dyn Write) -> Result<()> {
        Ok(())
    }

    /// A tile or a bundle of entries, cut to the path's width; `None` if it is not there.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn tile(&mut self, path: TilePath) -> Result<Option<Vec<u8>>>;

    /// The records of a bundle whose leaves end before `end`. Bundles are asked for in order.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    fn records(&mut self, bundle: u64, end: u64) -> Result<Vec<Line>>;

    /// All holds.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    fn holds(&mut self) -> Result<Vec<Line>>;

    /// One record; `None` if it is gone.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn record(&mut self, id: i64) -> Result<Option<Line>>;

    /// Number of records that are not yet in the log, if it is known.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn pending(&mut self) -> Result<Option<u64>>;

    /// Whether the log grows and records leave while they are read.
    fn is_living(&self) -> bool;

    /// Takes the line of a record that was late.
    ///
    /// # Errors
    ///
    /// It cannot be kept.
    fn keep_late(&mut self, _line: &Line) -> Result<()> {
        Ok(())
    }
}
