use std::fmt;

use url::Url;

/// A server and a base path.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub(crate) is_tls: bool,
    /// `host` or `host:port`.
    pub(crate) authority: String,
    /// No trailing slash; empty for the root.
    pub(crate) base_path: String,
}

impl Address {
    /// Parses an http or https URL such as `https://api.openai.com/v1`, without credentials.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        // `Url` repairs what is more likely a mistake: white space, additional slashes, an empty port.
        let (scheme, rest) = text.split_once("://")?;
        let authority = rest.split(['/', '\\', '?', '#']).next()?;
        let is_plain = ["http", "https"]
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known))
            && !authority.is_empty()
            && !authority.contains('@')
            && !authority.ends_with(':')
            && !text.contains(char::is_whitespace);
        if !is_plain {
            return None;
        }
        let url = Url::parse(text).ok()?;
        if url.query().is_some() || url.fragment().is_some() {
            return None;
        }
        let host = url.host_str()?;
        Some(Self {
            is_tls: url.scheme() == "https",
            authority: match url.port() {
                Some(port) => format!("{host}:{port}"),
                None => host.to_owned(),
            },
            base_path: url.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Whether the connection uses TLS.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The host name or IP address, without the port.
    pub fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => &self.authority,
        }
    }

    /// Text for hashing only, since addresses must not be shown.
    pub fn identity(&self) -> String {
        format!("{}{}{}", self.is_tls, self.authority, self.base_path)
    }

    /// The base path; empty for the root.
    pub fn base_path(&self) -> &str {
        &self.base_path
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_scheme_a_host_and_perhaps_a_port_and_a_path() {
        for (url, is_tls, host, authority, base_path) in [
            (
                "https://api.openai.com/v1",
                true,
                "api.openai.com",
                "api.openai.com",
                "/v1",
            ),
            (
                "http://127.0.0.1:8081/v1/",
                false,
                "127.0.0.1",
                "127.0.0.1:8081",
                "/v1",
            ),
            ("http://[::1]:81", false, "[::1]", "[::1]:81", ""),
            // The scheme's own port is no part of it.
            ("http://a.b:80", false, "a.b", "a.b", ""),
            ("http://[::1]", false, "[::1]", "[::1]", ""),
            (" HTTPS://a.b/ \n", true, "a.b", "a.b", ""),
        ] {
            let address = Address::parse(url).unwrap_or_else(|| panic!("{url}"));
            assert_eq!(address.is_tls(), is_tls, "{url}");
            assert_eq!(address.host(), host, "{url}");
            assert_eq!(address.authority, authority, "{url}");
            assert_eq!(address.base_path(), base_path, "{url}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for url in [
            "",
            "/v1",
            "api.openai.com",
            "api.openai.com/v1",
            "ftp://a.b/v1",
            "postgres://a.b/v1",
            "https://",
            "https:///v1",
            "https:a.b/v1",
            "http:/x://a.b",
            "https://@a.b/v1",
            "http://a.b:/v1",
            "http://:80/v1",
            "http://a.b:99999/v1",
            "http://a.b:x/v1",
            "http://user:secret@a.b/v1",
            "https://a.b/v1?api-version=1",
            "https://a.b/v1#part",
            "https://a b/v1",
        ] {
            assert_eq!(Address::parse(url), None, "{url}");
        }
    }

    #[test]
    fn an_address_is_not_printed() {
        let address = Address::parse("https://embedder.internal/v1").unwrap();
        assert_eq!(format!("{address:?}"), "Address");
    }
}
