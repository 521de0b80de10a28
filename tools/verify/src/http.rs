//! GET requests to a service.

use std::thread::sleep;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use crate::unverifiable::{Result, Unverifiable};

const TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a request is sent again after a failure that may pass.
const RETRIES: u32 = 3;

/// Longest wait that a service may ask for.
const RETRY_AFTER_MAX: u64 = 30;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Path and query of the next page.
    pub(crate) next: Option<String>,
    /// Seconds until it may be tried again.
    pub(crate) retry_after: Option<u64>,
}

/// Sends requests to one service.
pub(crate) struct Client {
    agent: Agent,
    url: String,
    token: Option<String>,
}

impl Client {
    pub(crate) fn new(url: &str, token: Option<String>) -> Result<Self> {
        let url = url.trim_end_matches('/');
        let host = url
            .strip_prefix("http://")
            .or_else(|| url.strip_prefix("https://"));
        if host.is_none_or(|host| host.is_empty() || host.contains(['/', '?', '#', '@'])) {
            return Err(Unverifiable::new(
                format!("{url} is no address of a service."),
                "Pass http(s)://HOST[:PORT], or a folder made by export.",
            ));
        }
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A token goes to no other host.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(TIMEOUT))
            .tls_config(tls)
            .build();
        Ok(Self {
            agent: config.new_agent(),
            url: url.to_owned(),
            token,
        })
    }

    /// Sends a request, again while the service is not available, and reads up to `limit` bytes.
    pub(crate) fn get(&self, path: &str, accept: &str, limit: usize) -> Result<Answer> {
        let mut retries = 0;
        loop {
            let answer = self.send(path, accept, limit);
            let wait = match &answer {
                Ok(answer) if answer.status == 503 => answer.retry_after.unwrap_or(1),
                Ok(_) => return answer.and_then(|answer| self.admit(path, answer)),
                Err(_) => 1,
            };
            if retries == RETRIES {
                return answer.and_then(|answer| self.admit(path, answer));
            }
            retries += 1;
            sleep(Duration::from_secs(wait.min(RETRY_AFTER_MAX)));
        }
    }

    fn send(&self, path: &str, accept: &str, limit: usize) -> Result<Answer> {
        let mut request = self
            .agent
            .get(format!("{}{path}", self.url))
            .header("accept", accept);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let unreachable = |error: ureq::Error| {
            Unverifiable::new(
                format!("{}{path} cannot be read: {error}.", self.url),
                "Check that the service runs and can be reached from here.",
            )
        };
        let mut response = request.call().map_err(unreachable)?;
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        let next = header("link").and_then(next_page);
        let retry_after = header("retry-after").and_then(|seconds| seconds.trim().parse().ok());
        let status = response.status().as_u16();
        let body = response
            .body_mut()
            .with_config()
            .limit(limit as u64)
            .read_to_vec()
            .map_err(unreachable)?;
        Ok(Answer {
            status,
            body,
            next,
            retry_after,
        })
    }

    /// Refuses answers that no caller can use.
    fn admit(&self, path: &str, answer: Answer) -> Result<Answer> {
        let (what, next) = match answer.status {
            200 | 202 | 404 | 410 => return Ok(answer),
            401 => (
                "the service does not accept the token",
                "Pass a valid bearer token with --token-file.",
            ),
            403 => (
                "the token may not read this",
                "Ask for permission to read the audit records, or pass another token with --token-file.",
            ),
            503 => (
                "the service is not available, or has no signing key",
                "Try again later; if it stays so, ask the operator about log_signing_key and the database.",
            ),
            300..=399 => (
                "the service redirects",
                "Pass the address that it redirects to.",
            ),
            _ => (
                "the service answers with an error",
                "Check that the target is this service, and ask its operator for its log.",
            ),
        };
        Err(Unverifiable::new(
            format!("{}{path}: {what} (status {}).", self.url, answer.status),
            next,
        ))
    }
}

/// Path and query of the link to the next page. A link to another host is none.
fn next_page(link: &str) -> Option<String> {
    link.split('<').skip(1).find_map(|link| {
        let (target, parameters) = link.split_once('>')?;
        let is_next = parameters
            .split([';', ','])
            .any(|parameter| matches!(parameter.trim(), "rel=\"next\"" | "rel=next"));
        let is_path = target.starts_with('/') && !target.starts_with("//");
        (is_next && is_path).then(|| target.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_the_next_page_is_a_path() {
        assert_eq!(
            next_page("</a?b=1,2>; rel=\"next\"").as_deref(),
            Some("/a?b=1,2")
        );
        assert_eq!(
            next_page("</a?b=1>; rel=\"next\"").as_deref(),
            Some("/a?b=1")
        );
        assert_eq!(
            next_page("</a>; rel=\"prev\", </b>; rel=\"next\"").as_deref(),
            Some("/b")
        );
        assert_eq!(next_page("<//other/a>; rel=\"next\""), None);
        assert_eq!(next_page("<http://other/a>; rel=\"next\""), None);
    }

    #[test]
    fn only_addresses_of_a_service_are_accepted() {
        for url in ["ftp://a", "http://", "http://a/b", "http://user@a", "a"] {
            assert!(Client::new(url, None).is_err(), "{url}");
        }
        for url in ["http://a", "https://a:1/", "http://[::1]:3000"] {
            assert!(Client::new(url, None).is_ok(), "{url}");
        }
    }
}
