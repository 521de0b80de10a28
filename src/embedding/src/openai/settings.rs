//! What is set about the server: each parsed into a type that holds only what can be used.

use std::fmt;
use std::time::Duration;

use outbound::Address;

use crate::local;

/// A name of a model is stored with every vector.
const MODEL_NAME_CHARACTERS_MAX: usize = 255;

/// A write waits this long at most for its vector.
const DEADLINE_MAX: Duration = Duration::from_secs(60);

/// Where the API is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Address);

impl Endpoint {
    /// Reads the base URL of the API, such as `https://api.openai.com/v1`.
    pub fn parse(base_url: &str) -> Option<Self> {
        Address::parse(base_url).map(Self)
    }

    pub(crate) fn address(&self) -> &Address {
        &self.0
    }
}

/// The name of a model, as the server and the database know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelName(String);

impl ModelName {
    /// Takes a name of 1 to 255 characters. The local model's is refused: vectors of two
    /// models must not stand under one name.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim();
        let is_name = (1..=MODEL_NAME_CHARACTERS_MAX).contains(&name.chars().count())
            && !name.chars().any(char::is_control)
            && name != local::MODEL;
        is_name.then(|| Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the server knows the service by, if it asks for anything.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(Option<String>);

impl ApiKey {
    /// Takes a key, or an empty text where there is none. A key that no header can carry is
    /// refused; white space around it is not part of it, files often end with some.
    pub fn parse(key: &str) -> Option<Self> {
        let key = key.trim();
        let is_token = key.bytes().all(|byte| byte.is_ascii_graphic());
        is_token.then(|| Self(Some(key.to_owned()).filter(|key| !key.is_empty())))
    }

    /// The value of the header `Authorization`.
    pub(crate) fn authorization(&self) -> Option<String> {
        self.0.as_ref().map(|key| format!("Bearer {key}"))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey")
    }
}

/// How long all attempts of a call may take together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Duration);

impl Deadline {
    /// Reads a number of milliseconds, from 1 to a minute's.
    pub fn parse(milliseconds: &str) -> Option<Self> {
        let deadline = Duration::from_millis(milliseconds.trim().parse().ok()?);
        (!deadline.is_zero() && deadline <= DEADLINE_MAX).then_some(Self(deadline))
    }

    pub(crate) fn duration(self) -> Duration {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_a_name_that_is_not_the_local_models() {
        let longest = "m".repeat(255);
        for name in ["text-embedding-ada-002", "org/model:v1 (new)", &longest] {
            assert_eq!(ModelName::parse(name).unwrap().as_str(), name);
        }
        for name in ["", " ", "a\0b", "a\nb", "local-hash-v1", &"m".repeat(256)] {
            assert_eq!(ModelName::parse(name), None, "{name:?}");
        }
    }

    #[test]
    fn a_key_is_what_a_header_can_carry() {
        let header = |key| ApiKey::parse(key).map(|key| key.authorization());
        assert_eq!(header("sk-1_a.b"), Some(Some("Bearer sk-1_a.b".to_owned())));
        assert_eq!(header("sk-1\n"), Some(Some("Bearer sk-1".to_owned())));
        assert_eq!(header(""), Some(None));
        assert_eq!(header("\n"), Some(None));
        for key in ["a b", "a\nb", "a\r\nX-Header: b", "schlüssel", "a\0"] {
            assert_eq!(header(key), None, "{key:?}");
        }
    }

    #[test]
    fn a_deadline_is_a_number_of_milliseconds_up_to_a_minute() {
        for (text, milliseconds) in [("1", 1), ("2000", 2000), (" 60000\n", 60_000)] {
            let deadline = Deadline::parse(text).map(Deadline::duration);
            assert_eq!(deadline, Some(Duration::from_millis(milliseconds)));
        }
        for text in ["", "0", "-1", "1.5", "2s", "60001", "18446744073709551616"] {
            assert_eq!(Deadline::parse(text), None, "{text}");
        }
    }
}
