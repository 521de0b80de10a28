//! Signed notes and their Ed25519 keys (c2sp.org/signed-note), in Go's text forms
//! (golang.org/x/mod/sumdb/note).

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::hash::{from_base64, to_base64};

/// Signature type of plain Ed25519.
const ED25519: u8 = 1;

/// Longest note that is read.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;

const SIGNATURE_START: &str = "\u{2014} ";

/// Why a key cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It does not have the parts of a key.
    #[error("the key does not have the form {0}")]
    Form(&'static str),
    /// Its hash is not that of its name and public key.
    #[error("the key's hash does not match its name and key: it was changed or cut off")]
    Hash,
}

/// Why a note is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is no signed note.
    #[error("it is not a signed note")]
    Form,
    /// No signature is by the expected key.
    #[error("it is not signed by this key")]
    OtherKey,
    /// A signature by the expected key is wrong.
    #[error("the signature is wrong")]
    Signature,
}

/// A public key of a log, under a name.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

/// A private key of a log, under a name.
pub struct SignerKey {
    name: String,
    key: SigningKey,
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SignerKey {
    /// Shows the name only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SignerKey").field(&self.name).finish()
    }
}

/// Whether a text may name a key: not empty, without spaces, control characters and plus signs.
pub fn is_key_name(name: &str) -> bool {
    !name.is_empty()
        && !name.chars().any(|character| {
            character.is_whitespace() || character.is_control() || character == '+'
        })
}

impl fmt::Display for VerifierKey {
    /// Writes `NAME+HASH+KEY`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut material = vec![ED25519];
        material.extend(self.key.as_bytes());
        write!(
            f,
            "{}+{:08x}+{}",
            self.name,
            u32::from_be_bytes(self.id),
            to_base64(&material)
        )
    }
}

impl VerifierKey {
    const FORM: &str = "NAME+HASH+KEY";

    /// Parses `NAME+HASH+KEY`.
    ///
    /// # Errors
    ///
    /// The text has another form, or was changed.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, hash, material) = split_key(text.trim()).ok_or(KeyError::Form(Self::FORM))?;
        if u32::from_be_bytes(key_id(name, &material)) != hash {
            return Err(KeyError::Hash);
        }
        let key = VerifyingKey::from_bytes(&material).map_err(|_| KeyError::Form(Self::FORM))?;
        Ok(Self::new(name, key))
    }

    fn new(name: &str, key: VerifyingKey) -> Self {
        Self {
            name: name.to_owned(),
            id: key_id(name, key.as_bytes()),
            key,
        }
    }

    /// Name of the key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same key under another name.
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        Self::new(name, self.key)
    }

    /// Checks a note's signature by this key and returns its text, including the final newline.
    ///
    /// # Errors
    ///
    /// The text is no signed note, or not signed by this key.
    pub fn open<'a>(&self, note: &'a str) -> Result<&'a str, NoteError> {
        let (text, signatures) = split_note(note)?;
        let mut is_signed = false;
        for line in signatures.lines() {
            let signature = line.strip_prefix(SIGNATURE_START).ok_or(NoteError::Form)?;
            let (name, signature) = signature.split_once(' ').ok_or(NoteError::Form)?;
            let signature = from_base64(signature).ok_or(NoteError::Form)?;
            let (id, signature) = signature.split_first_chunk().ok_or(NoteError::Form)?;
            if name != self.name || *id != self.id {
                continue;
            }
            let signature = Signature::from_slice(signature).map_err(|_| NoteError::Signature)?;
            self.key
                .verify_strict(text.as_bytes(), &signature)
                .map_err(|_| NoteError::Signature)?;
            is_signed = true;
        }
        is_signed.then_some(text).ok_or(NoteError::OtherKey)
    }
}

impl SignerKey {
    const FORM: &str = "PRIVATE+KEY+NAME+HASH+KEY";

    /// Makes a key of 32 random bytes.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Self {
        Self {
            name: name.to_owned(),
            key: SigningKey::from_bytes(seed),
        }
    }

    /// Parses `PRIVATE+KEY+NAME+HASH+KEY`.
    ///
    /// # Errors
    ///
    /// The text has another form, or was changed.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let form = KeyError::Form(Self::FORM);
        let rest = text.trim().strip_prefix("PRIVATE+KEY+").ok_or(form)?;
        let (name, hash, seed) = split_key(rest).ok_or(form)?;
        let parsed = Self::from_seed(name, &seed);
        if u32::from_be_bytes(parsed.verifier().id) != hash {
            return Err(KeyError::Hash);
        }
        Ok(parsed)
    }

    /// Writes `PRIVATE+KEY+NAME+HASH+KEY`: a secret.
    pub fn to_secret_text(&self) -> String {
        let mut material = vec![ED25519];
        material.extend(self.key.to_bytes());
        format!(
            "PRIVATE+KEY+{}+{:08x}+{}",
            self.name,
            u32::from_be_bytes(self.verifier().id),
            to_base64(&material)
        )
    }

    /// Name of the key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same key under another name.
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            key: self.key.clone(),
        }
    }

    /// The public key.
    pub fn verifier(&self) -> VerifierKey {
        VerifierKey::new(&self.name, self.key.verifying_key())
    }

    /// Signs a text, which must end with a newline.
    pub fn sign(&self, text: &str) -> String {
        let mut signature = self.verifier().id.to_vec();
        signature.extend(self.key.sign(text.as_bytes()).to_bytes());
        format!(
            "{text}\n{SIGNATURE_START}{} {}\n",
            self.name,
            to_base64(&signature)
        )
    }
}

/// What names a key in a signature line.
fn key_id(name: &str, key: &[u8; 32]) -> [u8; 4] {
    let hash: [u8; 32] = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', ED25519])
        .chain_update(key)
        .finalize()
        .into();
    let [a, b, c, d, ..] = hash;
    [a, b, c, d]
}

/// Splits a note into its text and its signature lines, without checking them.
pub(crate) fn split_note(note: &str) -> Result<(&str, &str), NoteError> {
    let has_control = note
        .chars()
        .any(|character| character < ' ' && character != '\n');
    if note.len() > NOTE_BYTES_MAX || has_control || !note.ends_with('\n') {
        return Err(NoteError::Form);
    }
    let blank = note.rfind("\n\n").ok_or(NoteError::Form)?;
    match (note.get(..=blank), note.get(blank + 2..)) {
        (Some(text), Some(signatures)) if !signatures.is_empty() => Ok((text, signatures)),
        _ => Err(NoteError::Form),
    }
}

/// Splits `NAME+HASH+KEY`, with 32 bytes of an Ed25519 key.
fn split_key(text: &str) -> Option<(&str, u32, [u8; 32])> {
    let mut parts = text.splitn(3, '+');
    let name = parts.next().filter(|name| is_key_name(name))?;
    let hash = parts.next().filter(|hash| hash.len() == 8)?;
    let hash = u32::from_str_radix(hash, 16).ok()?;
    let material = from_base64(parts.next()?)?;
    let (algorithm, key) = material.split_first()?;
    let key = key.try_into().ok().filter(|_| *algorithm == ED25519)?;
    Some((name, hash, key))
}
