//! What is set about the server: each parsed into a type that holds only what can be used.

use std::fmt;
use std::time::Duration;

use http_client::Address;

use crate::local;

/// A name of a model is stored with every vector.
const MODEL_NAME_CHARACTERS_MAX: usize = 255;

/// A write waits this long at most for its vector.
const DEADLINE_MAX: Duration = Duration::from_secs(60);

/// Hosts below these serve Azure OpenAI, in the world, the United States and China. Others of Azure's
/// are of whoever rents a machine there.
const AZURE_DOMAINS: [&str; 7] = [
    ".openai.azure.com",
    ".cognitiveservices.azure.com",
    ".services.ai.azure.com",
    ".openai.azure.us",
    ".cognitiveservices.azure.us",
    ".openai.azure.cn",
    ".cognitiveservices.azure.cn",
];

/// What every address of Azure's own form of the API has in its query.
const AZURE_PARAMETER: &str = "api-version=";

/// Where the API is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    address: Address,
    /// Goes behind every path; without its question mark.
    query: Option<String>,
}

impl Endpoint {
    /// Reads the base URL of the API, such as `https://api.openai.com/v1`, or of a deployment of
    /// Azure OpenAI, `https://NAME.openai.azure.com/openai/deployments/NAME?api-version=VERSION`.
    pub fn parse(base_url: &str) -> Option<Self> {
        let (address, query) = match base_url.trim().split_once('?') {
            Some((address, query)) => (address, Some(query)),
            None => (base_url, None),
        };
        let is_query = |query: &str| {
            query
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'#')
        };
        if !query.is_none_or(is_query) {
            return None;
        }
        Some(Self {
            address: Address::parse(address)?,
            query: query.filter(|query| !query.is_empty()).map(str::to_owned),
        })
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The address as text, for its hash.
    pub(crate) fn identity(&self) -> String {
        let query = self.query.as_deref().unwrap_or_default();
        format!("{}?{query}", self.address.identity())
    }

    /// A path of the API, with the query.
    pub(crate) fn below(&self, path: &str) -> String {
        match &self.query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        }
    }

    /// Whether it is Azure's, which takes its keys in a header of its own.
    fn is_azure(&self) -> bool {
        let host = self.address.host().to_ascii_lowercase();
        AZURE_DOMAINS.iter().any(|domain| host.ends_with(domain))
            || self
                .query
                .as_deref()
                .is_some_and(|query| query.contains(AZURE_PARAMETER))
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

    /// The header that the server reads it from.
    pub(crate) fn header(&self, endpoint: &Endpoint) -> Option<(&'static str, String)> {
        let key = self.0.as_ref()?;
        Some(match endpoint.is_azure() {
            true => ("api-key", key.clone()),
            false => ("authorization", format!("Bearer {key}")),
        })
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
        let endpoint = Endpoint::parse("https://api.openai.com/v1").unwrap();
        let header = |key| ApiKey::parse(key).map(|key| key.header(&endpoint));
        let bearer = |key| Some(Some(("authorization", format!("Bearer {key}"))));
        assert_eq!(header("sk-1_a.b"), bearer("sk-1_a.b"));
        assert_eq!(header("sk-1\n"), bearer("sk-1"));
        assert_eq!(header(""), Some(None));
        assert_eq!(header("\n"), Some(None));
        for key in ["a b", "a\nb", "a\r\nX-Header: b", "schlüssel", "a\0"] {
            assert_eq!(header(key), None, "{key:?}");
        }
    }

    #[test]
    fn azure_gets_its_query_and_its_own_header() {
        let key = ApiKey::parse("k").unwrap();
        for (url, path, header) in [
            ("https://api.openai.com/v1", "/embeddings", "authorization"),
            (
                "http://e.westeurope.cloudapp.azure.com:8000/v1",
                "/embeddings",
                "authorization",
            ),
            (
                "https://azure.com.example/v1",
                "/embeddings",
                "authorization",
            ),
            ("http://a.b/v1?", "/embeddings", "authorization"),
            (
                "http://a.b/v1?tenant=1",
                "/embeddings?tenant=1",
                "authorization",
            ),
            (
                "https://n.openai.azure.com/openai/v1/",
                "/embeddings",
                "api-key",
            ),
            (
                "https://N.OPENAI.AZURE.US/openai/v1",
                "/embeddings",
                "api-key",
            ),
            (
                " https://n.openai.azure.com/openai/deployments/d?api-version=2024-10-21\n",
                "/embeddings?api-version=2024-10-21",
                "api-key",
            ),
            (
                "http://gateway.example/d?api-version=2024-10-21",
                "/embeddings?api-version=2024-10-21",
                "api-key",
            ),
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!(endpoint.below("/embeddings"), path, "{url}");
            assert_eq!(key.header(&endpoint).unwrap().0, header, "{url}");
        }
        for url in [
            "https://a.b/v1?a b",
            "https://a.b/v1?a#b",
            "https://a.b/v1#?a",
            "a.b/v1?a=1",
        ] {
            assert_eq!(Endpoint::parse(url), None, "{url}");
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
