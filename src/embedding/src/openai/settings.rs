//! What is set about the server: each parsed into a type that holds only what can be used.

use std::fmt;
use std::time::Duration;

use http::Uri;

use crate::local;

/// A name of a model is stored with every vector.
const MODEL_NAME_CHARACTERS_MAX: usize = 255;

/// A write waits this long at most for its vector.
const DEADLINE_MAX: Duration = Duration::from_secs(60);

/// Where the API is.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub(crate) is_tls: bool,
    /// `host` or `host:port`.
    pub(crate) authority: String,
    /// Of the call that embeds.
    pub(crate) path: String,
}

impl Endpoint {
    /// Reads the base URL of the API, such as `https://api.openai.com/v1`: http or https,
    /// a host, a port, a path, and nothing else.
    pub fn parse(base_url: &str) -> Option<Self> {
        let base_url = base_url.trim();
        let url: Uri = base_url.parse().ok()?;
        let authority = url.authority()?;
        let has_port = authority.as_str() != authority.host();
        // No credentials: the key has a setting of its own, which is secret.
        let is_address = !authority.host().is_empty()
            && !authority.as_str().contains('@')
            && has_port == authority.port_u16().is_some();
        let has_more = base_url.contains(['?', '#']);
        if !is_address || has_more {
            return None;
        }
        Some(Self {
            is_tls: match url.scheme_str()? {
                "https" => true,
                "http" => false,
                _ => return None,
            },
            authority: authority.to_string(),
            path: format!("{}/embeddings", url.path().trim_end_matches('/')),
        })
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Endpoint")
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
    fn a_base_url_has_the_call_appended() {
        for (url, is_tls, authority, path) in [
            (
                "https://api.openai.com/v1",
                true,
                "api.openai.com",
                "/v1/embeddings",
            ),
            (
                "http://127.0.0.1:8081/v1/",
                false,
                "127.0.0.1:8081",
                "/v1/embeddings",
            ),
            ("http://[::1]:80", false, "[::1]:80", "/embeddings"),
            (" HTTPS://a.b/ \n", true, "a.b", "/embeddings"),
        ] {
            let endpoint = Endpoint::parse(url).unwrap_or_else(|| panic!("{url}"));
            assert_eq!(endpoint.is_tls, is_tls, "{url}");
            assert_eq!(endpoint.authority, authority, "{url}");
            assert_eq!(endpoint.path, path, "{url}");
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        for url in [
            "",
            "/v1",
            "api.openai.com",
            "api.openai.com/v1",
            "ftp://a.b/v1",
            "postgres://a.b/v1",
            "https://",
            "https:///v1",
            "http://:80/v1",
            "http://a.b:/v1",
            "http://a.b:99999/v1",
            "http://a.b:x/v1",
            "http://user:secret@a.b/v1",
            "https://a.b/v1?api-version=1",
            "https://a.b/v1#part",
            "https://a b/v1",
        ] {
            assert_eq!(Endpoint::parse(url), None, "{url}");
        }
    }

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
