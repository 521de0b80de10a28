//! Self-contained proofs that an entry is in a log (c2sp.org/tlog-proof).

use std::fmt;

use crate::checkpoint::Checkpoint;
use crate::hash::{Hash, from_base64, hash_from_base64, hash_leaf, to_base64};
use crate::note::{NoteError, VerifierKey};
use crate::proof::verify_inclusion;
use crate::tile::parse_decimal;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// Most hashes of a proof in a tree of less than 2^64 leaves.
const HASHES_MAX: usize = 64;

/// A proof of inclusion with the checkpoint that it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofFile {
    /// The leaf's entry, which its hash can be computed from. Not authenticated by itself.
    pub entry: Vec<u8>,
    /// Index of the leaf.
    pub index: u64,
    /// Sibling hashes from the leaf up.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The checkpoint is not accepted.
    #[error("the checkpoint: {0}")]
    Checkpoint(NoteError),
    /// The hashes do not lead to the checkpoint's root.
    #[error("the proof does not lead from the entry to the checkpoint's root")]
    Inclusion,
}

impl ProofFile {
    /// Parses a proof whose extra data is the entry.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, checkpoint) = text.split_once("\n\n")?;
        let mut lines = head.split('\n');
        lines.next().filter(|line| *line == FIRST_LINE)?;
        let entry = from_base64(lines.next()?.strip_prefix("extra ")?)?;
        let index = parse_decimal(lines.next()?.strip_prefix("index ")?)?;
        let hashes: Vec<Hash> = lines.map(hash_from_base64).collect::<Option<_>>()?;
        (hashes.len() <= HASHES_MAX).then(|| Self {
            entry,
            index,
            hashes,
            checkpoint: checkpoint.to_owned(),
        })
    }

    /// Checks the proof and returns the checkpoint that it leads to.
    ///
    /// # Errors
    ///
    /// The checkpoint is not signed by the key, or the proof does not lead to it.
    pub fn verify(&self, key: &VerifierKey) -> Result<Checkpoint, ProofError> {
        let checkpoint = Checkpoint::open(&self.checkpoint, key).map_err(ProofError::Checkpoint)?;
        verify_inclusion(
            &hash_leaf(&self.entry),
            self.index,
            checkpoint.size,
            &self.hashes,
            &checkpoint.root,
        )
        .then_some(checkpoint)
        .ok_or(ProofError::Inclusion)
    }
}

impl fmt::Display for ProofFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        writeln!(f, "extra {}", to_base64(&self.entry))?;
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{}", to_base64(hash))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}
