//! Settings of the provider, each parsed into a type that holds only valid values.

use std::fmt;
use std::time::Duration;

use http_client::Address;

const MODEL_NAME_CHARACTERS_MAX: usize = 255;

/// Longest time that a write waits for its vector.
const DEADLINE_MAX: Duration = Duration::from_secs(60);

/// Domains of Azure OpenAI. Customers' own machines use the other Azure domains.
const AZURE_DOMAINS: [&str; 7] = [
    ".openai.azure.com",
    ".cognitiveservices.azure.com",
    ".services.ai.azure.com",
    ".openai.azure.us",
    ".cognitiveservices.azure.us",
    ".openai.azure.cn",
    ".cognitiveservices.azure.cn",
];

/// Query parameter that every address of Azure's own form of the API has.
const AZURE_PARAMETER: &str = "api-version=";

/// Base URL of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    address: Address,
    /// Appended to every path, without the question mark.
    query: Option<String>,
}

impl Endpoint {
    /// Parses a base URL such as `https://api.openai.com/v1`, or an Azure OpenAI deployment:
    /// `https://NAME.openai.azure.com/openai/deployments/NAME?api-version=VERSION`.
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

    pub(crate) fn identity(&self) -> String {
        let query = self.query.as_deref().unwrap_or_default();
        format!("{}?{query}", self.address.identity())
    }

    pub(crate) fn below(&self, path: &str) -> String {
        match &self.query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        }
    }

    /// Whether Azure serves the API; Azure takes keys in a header of its own.
    fn is_azure(&self) -> bool {
        let host = self.address.host().to_ascii_lowercase();
        AZURE_DOMAINS.iter().any(|domain| host.ends_with(domain))
            || self
                .query
                .as_deref()
                .is_some_and(|query| query.contains(AZURE_PARAMETER))
    }
}

/// Name of a model, as the provider and the database know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelName(String);

impl ModelName {
    /// Parses 1 to 255 characters, except the local model's name: one name must mean one model.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim();
        let is_name = (1..=MODEL_NAME_CHARACTERS_MAX).contains(&name.chars().count())
            && !name.chars().any(char::is_control)
            && name != static_embedding::MODEL;
        is_name.then(|| Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// API key of the provider, if it needs one.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(Option<String>);

impl ApiKey {
    /// Trims a key (empty means none) and refuses characters that no header can carry.
    pub fn parse(key: &str) -> Option<Self> {
        let key = key.trim();
        let is_token = key.bytes().all(|byte| byte.is_ascii_graphic());
        is_token.then(|| Self(Some(key.to_owned()).filter(|key| !key.is_empty())))
    }

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

/// Time limit for all attempts of a call together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Duration);

impl Deadline {
    /// Parses a number of milliseconds, 1 to 60,000.
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
        for name in [
            "",
            " ",
            "a\0b",
            "a\nb",
            static_embedding::MODEL,
            &"m".repeat(256),
        ] {
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
