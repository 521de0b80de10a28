//! The log's public key as its user has it.

use std::path::PathBuf;

use tlog::{Checkpoint, NoteError, VerifierKey, is_origin_of};

use crate::unverifiable::{Result, Unverifiable};

/// The log's public key, under the log's name or one of its origins.
#[derive(Clone, Debug)]
pub struct LogKey {
    key: VerifierKey,
}

impl LogKey {
    /// Parses `NAME+HASH+KEY`.
    ///
    /// # Errors
    ///
    /// The text is no key.
    pub fn parse(text: &str) -> Result<Self> {
        let next = "Pass the log's public key, NAME+HASH+KEY, as the operator of the service published it.";
        if text.starts_with("PRIVATE+KEY+") {
            return Err(Unverifiable::new("The key is a private key.", next));
        }
        let key = VerifierKey::parse(text)
            .map_err(|error| Unverifiable::new(format!("The key is unusable: {error}."), next))?;
        Ok(Self { key })
    }

    /// The key.
    pub fn verifier(&self) -> &VerifierKey {
        &self.key
    }

    /// The log's name, without an incarnation.
    pub fn name(&self) -> &str {
        let name = self.key.name();
        match name.rsplit_once('/') {
            Some((base, last)) if !base.is_empty() && is_incarnation(last) => base,
            _ => name,
        }
    }

    /// The default file of the kept checkpoint.
    pub fn checkpoint_file(&self) -> PathBuf {
        PathBuf::from(format!("{}.checkpoint", self.name().replace('/', "-")))
    }

    /// Opens a checkpoint of this log.
    ///
    /// # Errors
    ///
    /// It is malformed, of another log or by another key.
    pub fn open(&self, note: &str) -> Result<Checkpoint> {
        let checkpoint = Checkpoint::open(note, &self.key).map_err(|error| {
            let next = match error {
                NoteError::OtherKey => {
                    "Check that the key is this log's. After a change of the key, pass the new one."
                }
                _ => "Check that the target is a log, and that no proxy changes its answers.",
            };
            Unverifiable::new(format!("The checkpoint is not accepted: {error}."), next)
        })?;
        let (origin, name) = (&checkpoint.origin, self.name());
        if origin == self.key.name() || origin == name || is_origin_of(origin, name) {
            return Ok(checkpoint);
        }
        Err(Unverifiable::new(
            format!("The checkpoint is of the log {origin}, the key of {name}."),
            "Pass the key of this log, or the target of that one.",
        ))
    }
}

/// Whether a path element has the form `SYSTEM-TIMELINE-DATABASE-RANDOM`: three numbers and 8
/// lower-case hexadecimal digits.
fn is_incarnation(element: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let parts: Vec<&str> = element.split('-').collect();
    let &[system, timeline, database, random] = parts.as_slice() else {
        return false;
    };
    [system, timeline, database].into_iter().all(is_number)
        && random.len() == 8
        && random.bytes().all(is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlog::SignerKey;

    fn key(name: &str) -> LogKey {
        let key = SignerKey::from_seed(name, &[1; 32]).verifier();
        LogKey::parse(&key.to_string()).unwrap()
    }

    fn checkpoint(origin: &str) -> String {
        Checkpoint {
            origin: origin.to_owned(),
            size: 1,
            root: [0; 32],
        }
        .sign(&SignerKey::from_seed("any", &[1; 32]))
    }

    #[test]
    fn a_key_opens_the_origins_of_its_name() {
        for name in ["a.example/log", "a.example/log/7-1-5-0a1b2c3d"] {
            for origin in [
                "a.example/log",
                "a.example/log/7-1-5-0a1b2c3d",
                "a.example/log/8-2-5-9e8f7a6b",
            ] {
                assert!(
                    key(name).open(&checkpoint(origin)).is_ok(),
                    "{name} {origin}"
                );
            }
            for origin in [
                "a.example/logs",
                "a.example/logs/7-1-5-0a1b2c3d",
                "a.example",
            ] {
                assert!(
                    key(name).open(&checkpoint(origin)).is_err(),
                    "{name} {origin}"
                );
            }
            assert_eq!(
                key(name).checkpoint_file(),
                PathBuf::from("a.example-log.checkpoint")
            );
        }
    }

    #[test]
    fn an_incarnation_is_three_numbers_and_8_digits() {
        for element in ["7-1-5-0a1b2c3d", "7581630292640012345-1-16384-00000000"] {
            assert!(is_incarnation(element), "{element}");
        }
        for element in [
            "",
            "log",
            "7-1-5",
            "7-1-0a1b2c3d",
            "7-1-5-0a1b2c3",
            "7-1-5-0a1b2c3d4",
            "7-1-5-0A1B2C3D",
            "7-1-5-0a1b2c3g",
            "7-1-x-0a1b2c3d",
            "7--5-0a1b2c3d",
            "7-1-5-0a1b2c3d-1",
            "-7-1-5-0a1b2c3d",
        ] {
            assert!(!is_incarnation(element), "{element}");
        }
    }

    #[test]
    fn a_private_key_is_refused() {
        let secret = SignerKey::from_seed("a", &[1; 32]).to_secret_text();
        let error = LogKey::parse(&secret).unwrap_err().to_string();
        assert!(error.contains("private key") && !error.contains(&secret));
    }
}
