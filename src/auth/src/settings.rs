//! Access settings, valid as a whole or refused.

use std::fmt;

use http_client::Address;

use crate::cache_entry::CacheKey;
use crate::token::BearerToken;

/// Length limit of a DNS-1123 label.
const NAMESPACE_BYTES_MAX: usize = 63;

const CACHE_KEY_CHARACTERS_MIN: usize = 32;

/// Hosts allowed without TLS, since their traffic stays on this machine.
const LOOPBACK_HOSTS: [&str; 3] = ["127.0.0.1", "[::1]", "localhost"];

/// Access control mode.
#[derive(Debug)]
pub enum Settings {
    /// Access control is disabled.
    Open,
    /// Kubernetes authenticates and authorizes callers.
    Reviewed(Box<Reviewer>),
}

/// An invalid setting, without its value, which may be secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSetting {
    /// Name of the variable.
    pub variable: &'static str,
    /// What the value must be.
    pub must: &'static str,
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the variable {} {}", self.variable, self.must)
    }
}

/// Reviews callers with Kubernetes and caches the verdicts.
pub struct Reviewer {
    pub(crate) api: Address,
    pub(crate) api_url: String,
    pub(crate) namespace: String,
    pub(crate) mode: Mode,
    pub(crate) cache_key: CacheKey,
}

/// Hides the token, the key and the address.
impl fmt::Debug for Reviewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reviewer")
    }
}

/// Whose token authenticates the reviews.
pub(crate) enum Mode {
    /// The service's own. The caller's token must have one of the audiences, unless there are none.
    TokenReview {
        own_token: BearerToken,
        audiences: Vec<String>,
    },
    /// The caller's.
    SelfReview,
}

impl Mode {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::TokenReview { .. } => "tokenreview",
            Self::SelfReview => "selfreview",
        }
    }

    pub(crate) fn audiences(&self) -> &[String] {
        match self {
            Self::TokenReview { audiences, .. } => audiences,
            Self::SelfReview => &[],
        }
    }
}

impl Settings {
    /// Parses the settings. `variable` returns `None` for a variable without a grant.
    ///
    /// # Errors
    ///
    /// Every setting that is invalid.
    pub fn read(
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Self, Vec<InvalidSetting>> {
        let variable = |name| variable(name).map(|value| value.trim().to_owned());
        let is_token_review = match variable("auth_mode").as_deref() {
            Some("none") => return Ok(Self::Open),
            Some("tokenreview") => true,
            Some("selfreview") => false,
            _ => {
                return Err(vec![InvalidSetting {
                    variable: "auth_mode",
                    must: "must be none, tokenreview or selfreview",
                }]);
            }
        };
        let mut unusable = Vec::new();
        let mut refuse = |variable, must| unusable.push(InvalidSetting { variable, must });

        let api_url = variable("kubernetes_api_url").unwrap_or_default();
        let api = parse_api_url(&api_url);
        if api.is_none() {
            refuse(
                "kubernetes_api_url",
                "must be https://host or https://host:port, without a path",
            );
        }
        let namespace = variable("kubernetes_namespace").unwrap_or_default();
        if !is_namespace(&namespace) {
            refuse("kubernetes_namespace", "must be the name of a namespace");
        }
        let cache_key = variable("auth_cache_key").filter(|key| {
            let characters = key.chars().count();
            characters >= CACHE_KEY_CHARACTERS_MIN
        });
        let cache_key = cache_key.and_then(|key| CacheKey::new(&key));
        if cache_key.is_none() {
            refuse("auth_cache_key", "must be at least 32 characters long");
        }
        let audiences = variable("auth_audiences").and_then(|list| parse_audiences(&list));
        let is_known = audiences.is_some();
        let audiences = audiences.unwrap_or_default();
        if !is_known {
            refuse("auth_audiences", "must be a comma-separated list of names");
        } else if !is_token_review && !audiences.is_empty() {
            refuse(
                "auth_audiences",
                "must be empty if auth_mode is selfreview: the API server accepts only tokens \
                 for itself",
            );
        }
        let own_token = variable("kubernetes_token").and_then(|token| BearerToken::new(&token));
        if is_token_review && own_token.is_none() {
            refuse(
                "kubernetes_token",
                "must be the service's own token if auth_mode is tokenreview",
            );
        }
        match (api, cache_key, is_token_review, own_token) {
            _ if !unusable.is_empty() => Err(unusable),
            (Some(api), Some(cache_key), true, Some(own_token)) => {
                let mode = Mode::TokenReview {
                    own_token,
                    audiences,
                };
                Ok(reviewed(api, api_url, namespace, mode, cache_key))
            }
            (Some(api), Some(cache_key), false, _) => {
                let mode = Mode::SelfReview;
                Ok(reviewed(api, api_url, namespace, mode, cache_key))
            }
            _ => Err(unusable),
        }
    }
}

fn reviewed(
    api: Address,
    api_url: String,
    namespace: String,
    mode: Mode,
    cache_key: CacheKey,
) -> Settings {
    Settings::Reviewed(Box::new(Reviewer {
        api,
        api_url,
        namespace,
        mode,
        cache_key,
    }))
}

/// The URL doubles as a grant, so it has no path. Tokens require TLS, except on loopback.
fn parse_api_url(url: &str) -> Option<Address> {
    let address = Address::parse(url)?;
    let is_safe = address.is_tls() || LOOPBACK_HOSTS.contains(&address.host());
    (is_safe && address.base_path().is_empty() && !url.ends_with('/')).then_some(address)
}

fn is_namespace(name: &str) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=NAMESPACE_BYTES_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|byte| is_alphanumeric(byte) || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Parses a comma-separated list; blank means none.
fn parse_audiences(list: &str) -> Option<Vec<String>> {
    if list.is_empty() {
        return Some(Vec::new());
    }
    list.split(',')
        .map(str::trim)
        .map(|name| (!name.is_empty()).then(|| name.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    /// Reads valid settings with some variables changed, or removed by `None`.
    fn read(mode: &str, changed: &[(&str, Option<&str>)]) -> Result<Settings, Vec<InvalidSetting>> {
        let good = [
            ("auth_mode", mode),
            ("kubernetes_api_url", "https://kubernetes.default.svc"),
            ("kubernetes_namespace", "kubernaut-system"),
            ("kubernetes_token", "own.token"),
            ("auth_audiences", ""),
            ("auth_cache_key", KEY),
        ];
        Settings::read(|name| {
            let change = changed.iter().find(|(changed, _)| *changed == name);
            match change {
                Some((_, value)) => value.map(str::to_owned),
                None => good
                    .iter()
                    .find(|(own, _)| *own == name)
                    .map(|(_, value)| (*value).to_owned()),
            }
        })
    }

    fn reviewer(mode: &str, changed: &[(&str, Option<&str>)]) -> Box<Reviewer> {
        match read(mode, changed) {
            Ok(Settings::Reviewed(reviewer)) => reviewer,
            other => panic!("{other:?}"),
        }
    }

    fn refused(mode: &str, changed: &[(&str, Option<&str>)]) -> Vec<&'static str> {
        let unusable = read(mode, changed).expect_err("refused");
        unusable.iter().map(|unusable| unusable.variable).collect()
    }

    #[test]
    fn without_a_review_nothing_else_matters() {
        let nothing = [
            ("kubernetes_api_url", None),
            ("kubernetes_token", None),
            ("auth_cache_key", Some("short")),
        ];
        assert!(matches!(read("none", &nothing), Ok(Settings::Open)));
        assert!(matches!(read(" none\n", &nothing), Ok(Settings::Open)));
    }

    #[test]
    fn an_unknown_mode_lets_nobody_in() {
        for mode in ["", "None", "tokenReview", "off", "tokenreview,selfreview"] {
            assert_eq!(refused(mode, &[]), ["auth_mode"], "{mode}");
        }
        assert_eq!(refused("none", &[("auth_mode", None)]), ["auth_mode"]);
    }

    #[test]
    fn the_modes_are_set_up_as_they_are_written() {
        let by_token = reviewer("tokenreview", &[("auth_audiences", Some("a, https://b "))]);
        assert_eq!(by_token.mode.name(), "tokenreview");
        assert_eq!(by_token.mode.audiences(), ["a", "https://b"]);
        let by_itself = reviewer("selfreview", &[("kubernetes_token", Some(""))]);
        assert_eq!(by_itself.mode.name(), "selfreview");
        assert!(by_itself.mode.audiences().is_empty());
        assert_eq!(by_itself.namespace, "kubernaut-system");
    }

    #[test]
    fn the_api_server_is_a_host_behind_tls_or_on_this_machine() {
        for url in [
            "https://kubernetes.default.svc:6443",
            "https://10.96.0.1",
            "https://[fd00::1]:443",
            "http://127.0.0.1:8001",
            "http://[::1]:8001",
            "http://localhost",
        ] {
            reviewer("selfreview", &[("kubernetes_api_url", Some(url))]);
        }
        for url in [
            "",
            "kubernetes.default.svc",
            "http://kubernetes.default.svc",
            "http://127.0.0.1.example.org",
            "https://kubernetes.default.svc/",
            "https://kubernetes.default.svc/api",
            "https://user@kubernetes.default.svc",
            "https://kubernetes.default.svc?a=b",
            "*://*:*",
        ] {
            let refused = refused("selfreview", &[("kubernetes_api_url", Some(url))]);
            assert_eq!(refused, ["kubernetes_api_url"], "{url}");
        }
    }

    #[test]
    fn each_setting_that_cannot_be_used_is_named() {
        for (variable, value) in [
            ("kubernetes_namespace", ""),
            ("kubernetes_namespace", "Kubernaut"),
            ("kubernetes_namespace", "-a"),
            ("kubernetes_namespace", "a-"),
            ("kubernetes_namespace", "a.b"),
            ("kubernetes_namespace", &"a".repeat(64)),
            ("kubernetes_token", ""),
            ("kubernetes_token", "two words"),
            ("auth_audiences", ","),
            ("auth_audiences", "a,,b"),
            ("auth_cache_key", ""),
            ("auth_cache_key", &KEY[1..]),
            ("auth_cache_key", &format!(" {} ", &KEY[1..])),
        ] {
            let refused_value = refused("tokenreview", &[(variable, Some(value))]);
            assert_eq!(refused_value, [variable], "{value:?}");
        }
        for variable in [
            "kubernetes_api_url",
            "kubernetes_namespace",
            "kubernetes_token",
            "auth_audiences",
            "auth_cache_key",
        ] {
            assert_eq!(refused("tokenreview", &[(variable, None)]), [variable]);
        }
        let longest = "a".repeat(63);
        reviewer("selfreview", &[("kubernetes_namespace", Some(&longest))]);
        let two = [("auth_cache_key", None), ("kubernetes_token", None)];
        let both = ["auth_cache_key", "kubernetes_token"];
        assert_eq!(refused("tokenreview", &two), both);
    }

    #[test]
    fn audiences_and_a_review_by_the_caller_contradict_each_other() {
        let audiences = [("auth_audiences", Some("data-storage"))];
        assert_eq!(refused("selfreview", &audiences), ["auth_audiences"]);
    }

    #[test]
    fn no_secret_is_printed() {
        let reviewer = reviewer("tokenreview", &[]);
        assert_eq!(format!("{reviewer:?}"), "Reviewer");
        let unusable = read("tokenreview", &[("auth_cache_key", Some("hidden"))]);
        assert!(!format!("{unusable:?}").contains("hidden"));
    }
}
