//! Checkpoints: signed roots of a tree (c2sp.org/tlog-checkpoint).

use crate::hash::{Hash, hash_from_base64, to_base64};
use crate::note::{NoteError, SignerKey, VerifierKey, split_note};
use crate::tile::parse_decimal;

/// The root of a log of some size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Identity of the log.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// Root of the tree.
    pub root: Hash,
}

impl Checkpoint {
    /// Signs the checkpoint under its origin.
    pub fn sign(&self, key: &SignerKey) -> String {
        let text = format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            to_base64(&self.root)
        );
        key.named(&self.origin).sign(&text)
    }

    /// Reads a signed checkpoint without checking its signature.
    ///
    /// # Errors
    ///
    /// The text is no signed checkpoint.
    pub fn read_unverified(note: &str) -> Result<Self, NoteError> {
        let (text, _) = split_note(note)?;
        Self::parse(text).ok_or(NoteError::Form)
    }

    /// Reads a checkpoint that a key signed under the checkpoint's origin.
    ///
    /// # Errors
    ///
    /// The text is no checkpoint, or not signed by this key.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, NoteError> {
        let checkpoint = Self::read_unverified(note)?;
        key.named(&checkpoint.origin).open(note)?;
        Ok(checkpoint)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let origin = lines.next().filter(|origin| !origin.is_empty())?;
        let size = parse_decimal(lines.next()?)?;
        let root = hash_from_base64(lines.next()?)?;
        lines.all(|extension| !extension.is_empty()).then(|| Self {
            origin: origin.to_owned(),
            size,
            root,
        })
    }
}

/// Random hexadecimal digits of an origin.
const DRAW_DIGITS: usize = 8;

/// Joins the name of a log's key, the incarnation of its database and random digits to an origin.
pub fn origin_of(name: &str, incarnation: &str, draw: u32) -> String {
    format!("{name}/{incarnation}-{draw:08x}")
}

/// Whether an origin is of this name and incarnation, whatever its random digits.
pub(crate) fn is_origin_in(origin: &str, name: &str, incarnation: &str) -> bool {
    let draw = origin
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('/'))
        .and_then(|rest| rest.strip_prefix(incarnation))
        .and_then(|rest| rest.strip_prefix('-'));
    draw.is_some_and(|draw| {
        draw.len() == DRAW_DIGITS && draw.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}

/// Whether an origin is one of the log with this name.
pub fn is_origin_of(origin: &str, name: &str) -> bool {
    origin
        .strip_prefix(name)
        .is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
}
