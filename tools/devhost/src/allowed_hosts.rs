//! `allowed_outbound_hosts`: where a component may connect to.
//!
//! An entry is `scheme://host[:port]`. The scheme is a name or `*`. The host is a name, an address,
//! a network (`10.0.0.0/8`), `*.suffix`, `*` or `self`. The port is a number, a half-open range
//! (`8000..9000`) or `*`, and may be absent if the scheme has a default port.

use crate::variables::{Values, expand};
use anyhow::{Context, Result, bail, ensure};
use std::net::IpAddr;
use std::ops::Range;
use url::{Host, Url};

pub(crate) const SELF_HOST: &str = "self.alt";

#[derive(Debug, Default)]
pub(crate) struct AllowedHosts(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    /// `None` matches every scheme.
    scheme: Option<String>,
    host: HostRule,
    /// `None` matches every port.
    ports: Option<Range<u32>>,
}

#[derive(Debug)]
enum HostRule {
    Any,
    Itself,
    Exact(Host),
    /// Suffix with its leading dot.
    Subdomains(String),
    Network(IpAddr, u32),
}

impl AllowedHosts {
    /// Parses a component's entries after expanding their templates.
    pub(crate) fn parse(entries: &[String], application: &Values) -> Result<Self> {
        let mut rules = Vec::new();
        for entry in entries {
            let text = expand(entry, application)?;
            // Omit the expanded text from the error: it may hold a secret.
            let rule = Rule::parse(text.trim())
                .with_context(|| format!("allowed_outbound_hosts: {entry:?}"))?;
            rules.push(rule);
        }
        Ok(Self(rules))
    }

    /// Returns whether the component may connect to `address`: a URL, or a URL without `scheme`.
    pub(crate) fn permit(&self, address: &str, scheme: &str) -> bool {
        let url = match Url::parse(address) {
            Ok(url) if url.has_host() => Ok(url),
            // `localhost:5432` also parses, as a URL with the scheme `localhost`.
            _ => Url::parse(&format!("{scheme}://{address}")),
        };
        // `Url` recognises addresses only in http URLs, so parse the host again as one.
        let Some((url, host)) = url.ok().and_then(|url| {
            let host = Host::parse(url.host_str()?).ok()?;
            Some((url, host))
        }) else {
            return false;
        };
        let port = url.port().or_else(|| usual_port(url.scheme()));
        self.0.iter().any(|rule| {
            rule.has_scheme(url.scheme()) && rule.host.contains(&host) && rule.has_port(port)
        })
    }

    pub(crate) fn permit_self(&self) -> bool {
        let itself = |rule: &Rule| matches!(rule.host, HostRule::Any | HostRule::Itself);
        let http = |rule: &Rule| rule.has_scheme("http") || rule.has_scheme("https");
        self.0.iter().any(|rule| itself(rule) && http(rule))
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self> {
        let (scheme, rest) = text
            .split_once("://")
            .context("must be scheme://host[:port]")?;
        let (host, port) = rest.rsplit_once(':').unwrap_or((rest, ""));
        let (port, path) = port.split_once('/').unwrap_or((port, ""));
        ensure!(path.is_empty(), "must not have a path");
        let any_scheme = scheme == "*";
        ensure!(
            any_scheme || scheme.chars().all(char::is_alphabetic),
            "the scheme must be a name or '*'"
        );
        Ok(Self {
            ports: parse_ports(port, scheme)?,
            host: HostRule::parse(host.trim())?,
            scheme: (!any_scheme).then(|| scheme.to_owned()),
        })
    }

    fn has_scheme(&self, scheme: &str) -> bool {
        self.scheme.as_deref().is_none_or(|own| own == scheme)
    }

    fn has_port(&self, port: Option<u16>) -> bool {
        let Some(ports) = &self.ports else {
            return true;
        };
        port.is_some_and(|port| ports.contains(&u32::from(port)))
    }
}

impl HostRule {
    fn parse(text: &str) -> Result<Self> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if text == "self" || text == SELF_HOST {
            return Ok(Self::Itself);
        }
        if let Some((address, bits)) = text.split_once('/')
            && let (Ok(address), Ok(bits)) = (address.parse::<IpAddr>(), bits.parse())
        {
            let width = if address.is_ipv4() { 32 } else { 128 };
            ensure!(bits <= width, "no such network");
            return Ok(Self::Network(address, bits));
        }
        let text = text.trim_end_matches('/');
        ensure!(!text.contains('/'), "must not have a path");
        let (name, subdomains) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        ensure!(!name.contains('*'), "'*' may only stand for subdomains");
        if name == "spin.internal" || name.ends_with(".spin.internal") {
            bail!("devhost does not offer Spin's local service chaining");
        }
        Ok(if subdomains {
            Self::Subdomains(format!(".{name}"))
        } else {
            Self::Exact(Host::parse(name)?)
        })
    }

    fn contains(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Exact(own), host) => own == host,
            (Self::Subdomains(suffix), Host::Domain(name)) => name.ends_with(suffix),
            (Self::Network(IpAddr::V4(base), bits), Host::Ipv4(address)) => {
                let shift = 32 - bits;
                base.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
            }
            (Self::Network(IpAddr::V6(base), bits), Host::Ipv6(address)) => {
                let shift = 128 - bits;
                base.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

fn parse_ports(text: &str, scheme: &str) -> Result<Option<Range<u32>>> {
    let number = |text: &str| -> Result<u32> {
        let port: u16 = text
            .parse()
            .with_context(|| format!("{text:?} is not a port"))?;
        Ok(port.into())
    };
    if text == "*" {
        return Ok(None);
    }
    if text.is_empty() {
        let port = usual_port(scheme)
            .with_context(|| format!("the scheme {scheme:?} has no usual port: name one"))?;
        return Ok(Some(port.into()..u32::from(port) + 1));
    }
    Ok(Some(match text.split_once("..") {
        Some((start, end)) => number(start)?..number(end)?,
        None => number(text)?..number(text)? + 1,
    }))
}

fn usual_port(scheme: &str) -> Option<u16> {
    Some(match scheme {
        "http" => 80,
        "https" => 443,
        "postgres" => 5432,
        "redis" => 6379,
        "mysql" => 3306,
        "mqtt" => 1883,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(entry: &str) -> AllowedHosts {
        AllowedHosts::parse(&[entry.to_owned()], &Values::new()).unwrap()
    }

    #[test]
    fn an_entry_permits_its_scheme_host_and_port_only() {
        let hosts = allowed("postgres://db.example:5433");
        assert!(hosts.permit("db.example:5433", "postgres"));
        assert!(hosts.permit("postgres://u:p@db.example:5433/x", "postgres"));
        assert!(!hosts.permit("db.example:5432", "postgres"));
        assert!(!hosts.permit("db.example", "postgres"));
        assert!(!hosts.permit("other.example:5433", "postgres"));
        assert!(!hosts.permit("http://db.example:5433", "postgres"));
    }

    #[test]
    fn a_port_left_out_is_the_usual_one() {
        assert!(allowed("postgres://127.0.0.1").permit("127.0.0.1", "postgres"));
        assert!(allowed("postgres://127.0.0.1").permit("127.0.0.1:5432", "postgres"));
        assert!(allowed("https://a.example").permit("https://a.example/path", "https"));
        assert!(AllowedHosts::parse(&["*://a".to_owned()], &Values::new()).is_err());
    }

    #[test]
    fn wildcards_networks_and_ranges() {
        assert!(allowed("*://*:*").permit("http://x.example:1", "http"));
        assert!(allowed("https://*.example").permit("https://a.example", "https"));
        assert!(!allowed("https://*.example").permit("https://example", "https"));
        assert!(allowed("http://10.0.0.0/8:80").permit("http://10.1.2.3", "http"));
        assert!(!allowed("http://10.0.0.0/8:80").permit("http://11.1.2.3", "http"));
        assert!(allowed("http://0.0.0.0/0:80").permit("http://11.1.2.3", "http"));
        assert!(allowed("http://a:8000..8002").permit("http://a:8001", "http"));
        assert!(!allowed("http://a:8000..8002").permit("http://a:8002", "http"));
    }

    #[test]
    fn the_application_itself_is_a_host_of_its_own() {
        assert!(allowed("http://self").permit_self());
        assert!(!allowed("http://self").permit("http://self", "http"));
        assert!(!allowed("http://a").permit_self());
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for entry in [
            "a.example",
            "http://a/path",
            "http://a:1/path",
            "http://a*",
            "http://a:x",
        ] {
            let parsed = AllowedHosts::parse(&[entry.to_owned()], &Values::new());
            assert!(parsed.is_err(), "{entry}");
        }
    }
}
