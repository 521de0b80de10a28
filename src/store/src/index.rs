//! Keeping the index of the incidents up to date.

use crate::connection::Database;
use crate::error::StoreError;

impl Database {
    /// Brings the bitmaps of the incidents' values up to date with what was written. Lists are
    /// exact without it, but slower the more was written since.
    ///
    /// # Errors
    ///
    /// The database could not be asked; the next one does what this one left.
    pub fn index_incident_changes(&self) -> Result<(), StoreError> {
        self.run("index the incidents' latest changes", |session| {
            session
                .query("SELECT index_incident_changes()", &[])
                .map(|_| ())
        })
    }
}
