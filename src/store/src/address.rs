//! Validates database URLs.

use std::time::Duration;

use url::{Url, form_urlencoded};

/// Default URL parameters. The timeouts, in seconds, bound waits that could take minutes after a
/// node is lost.
const DEFAULTS: [(&str, &str); 5] = [
    ("connect_timeout", "5"),
    ("tcp_user_timeout", "5"),
    ("keepalives_idle", "5"),
    ("keepalives_interval", "2"),
    ("keepalives_retries", "2"),
];

/// Default isolation: a write finds what a concurrent writer has just stored. Stricter isolation
/// would fail and retry.
const ISOLATION: &str = "-c%20default_transaction_isolation%3Dread%5C%20committed";

/// Parameters of the host's client (tokio-postgres 0.7), except those that override the host.
const PARAMETERS: [&str; 16] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "password",
    "sslmode",
    "sslnegotiation",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

const PORT_DEFAULT: u16 = 5432;

/// Modes of libpq that the host's client supports.
const SSL_MODES: [&str; 3] = ["disable", "prefer", "require"];

/// Validates `postgres://user:password@host:port/database` and adds the defaults.
///
/// # Errors
///
/// What the URL must be, without quoting it: a misplaced character can expose the password.
pub(crate) fn read_url(text: &str, statement_timeout: Duration) -> Result<String, &'static str> {
    let text = text.trim();
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err("must be postgres://user:password@host:port/database");
    };
    if scheme.starts_with("jdbc:") {
        return Err("must be postgres://user:password@host:port/database, not a JDBC URL");
    }
    if !["postgres", "postgresql"].contains(&scheme) {
        return Err("must begin with postgres://");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let hosts = authority.rsplit('@').next().unwrap_or_default();
    if authority.matches('@').count() > 1 {
        return Err("must contain only one @; write an @ in the password as %40");
    }
    if hosts.contains(',') {
        return Err("must name one host; for several, name a proxy in front of them");
    }
    let Ok(url) = Url::parse(text) else {
        return Err(
            "must be postgres://user:password@host:port/database, with the user and the password \
             percent-encoded",
        );
    };
    match url.host_str().unwrap_or_default() {
        "" => return Err("must name a host"),
        // Spin mistakes its colons for a port separator.
        host if host.starts_with('[') => {
            return Err("must name the host by its DNS name or IPv4 address");
        }
        _ => {}
    }
    if url.fragment().is_some() {
        return Err("must not contain #; write a # in the password as %23");
    }
    for (name, value) in url.query_pairs() {
        if !PARAMETERS.contains(&name.as_ref()) {
            return Err(
                "has a parameter that is not supported; supported are application_name, \
                 channel_binding, connect_timeout, dbname, keepalives, keepalives_idle, \
                 keepalives_interval, keepalives_retries, load_balance_hosts, options, password, \
                 sslmode, sslnegotiation, target_session_attrs, tcp_user_timeout and user",
            );
        }
        if name == "sslmode" && !SSL_MODES.contains(&value.as_ref()) {
            return Err(
                "has an sslmode that is not supported; use disable, prefer or require (prefer and \
                 require verify the server's certificate)",
            );
        }
    }
    Ok(with_defaults(text, statement_timeout))
}

/// Whether a URL from [`read_url`] is outside a grant. Grants use Spin's syntax: `*` for any host
/// or port, `*.example.com`, `10.0.0.0/8`, `5432..5440`.
pub(crate) fn is_elsewhere(url: &str, granted: &str) -> bool {
    let granted = granted.trim().to_ascii_lowercase();
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    let port = url.port().unwrap_or(PORT_DEFAULT);
    let (granted_host, granted_port) = match granted.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (granted.as_str(), None),
    };
    let is_host = match granted_host.strip_prefix('*') {
        Some(suffix) => host.ends_with(suffix),
        // Assumes that a network contains the host: only Spin resolves names.
        None => granted_host.contains('/') || granted_host == host,
    };
    let is_port = match granted_port {
        None => port == PORT_DEFAULT,
        Some("*") => true,
        Some(granted) => match granted.split_once("..") {
            Some((first, end)) => {
                let number = |text: &str| text.parse::<u16>().ok();
                number(first).is_some_and(|first| first <= port)
                    && number(end).is_some_and(|end| port < end)
            }
            None => granted.parse() == Ok(port),
        },
    };
    !(is_host && is_port)
}

fn with_defaults(url: &str, statement_timeout: Duration) -> String {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let mut url = format!("{address}?{query}");
    let milliseconds = statement_timeout.as_millis();
    let options = format!("-c%20statement_timeout%3D{milliseconds}%20{ISOLATION}");
    for (name, value) in DEFAULTS.into_iter().chain([("options", options.as_str())]) {
        if !form_urlencoded::parse(query.as_bytes()).any(|(given, _)| given == name) {
            if !url.ends_with('?') {
                url.push('&');
            }
            url.push_str(name);
            url.push('=');
            url.push_str(value);
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<String, &'static str> {
        read_url(url, Duration::from_secs(5))
    }

    #[test]
    fn timeouts_are_added_unless_the_url_has_its_own() {
        assert_eq!(
            read(" postgres://u:p@h:1/d\n").unwrap(),
            "postgres://u:p@h:1/d?connect_timeout=5&tcp_user_timeout=5&keepalives_idle=5\
             &keepalives_interval=2&keepalives_retries=2&options=-c%20statement_timeout%3D5000\
             %20-c%20default_transaction_isolation%3Dread%5C%20committed"
        );
        assert_eq!(
            read("postgres://u:p@h:1/d?options=-c%20work_mem%3D1MB&connect_timeout=1").unwrap(),
            "postgres://u:p@h:1/d?options=-c%20work_mem%3D1MB&connect_timeout=1\
             &tcp_user_timeout=5&keepalives_idle=5&keepalives_interval=2&keepalives_retries=2"
        );
    }

    #[test]
    fn another_host_than_the_one_that_is_granted_is_noticed() {
        for (url, granted, is_elsewhere_) in [
            ("postgres://u@h:1/d", "h:1", false),
            ("postgres://u@H:1/d", " h:1\n", false),
            ("postgres://u@h/d", "h:5432", false),
            ("postgres://u@h/d", "h", false),
            ("postgres://u@h:1/d", "*:*", false),
            ("postgres://u@h:5433/d", "h:5432..5440", false),
            ("postgres://u@h:5440/d", "h:5432..5440", true),
            ("postgres://u@h:1/d", "h", true),
            ("postgres://u@h:1/d", "*.example.com:1", true),
            ("postgres://u@db.example.com:2/d", "*.example.com:1", true),
            ("postgres://u@db.example.com/d", "*.example.com:5432", false),
            ("postgres://u@10.1.2.3/d", "10.0.0.0/8:5432", false),
            ("postgres://u@h:1/d", "h:2", true),
            ("postgres://u@h:1/d", "i:1", true),
            ("postgres://u@h:1/d", "127.0.0.1:5432", true),
            ("postgres://u@h:1/d", "", true),
        ] {
            assert_eq!(is_elsewhere(url, granted), is_elsewhere_, "{url} {granted}");
        }
    }

    #[test]
    fn a_url_that_cannot_be_used_says_what_it_must_be_and_nothing_of_itself() {
        for url in [
            "postgres://h/d",
            "postgresql://u:p%40%2C%23@h.example:5432/d?sslmode=require",
            "postgres://u:p@10.1.2.3:5432/d?application_name=x&load_balance_hosts=random",
            "postgres://h:5432/d?user=u&password=p",
        ] {
            assert!(read(url).is_ok(), "{url}");
        }
        for (url, must) in [
            ("", "must be postgres://user"),
            ("secret", "must be postgres://user"),
            ("host=h password=secret", "must be postgres://user"),
            ("jdbc:postgresql://h/d?password=secret", "JDBC"),
            ("mysql://u:secret@h/d", "begin with postgres://"),
            ("postgres://u:secret@a:1,b:2/d", "one host"),
            ("postgres://u:se@cret@h/d", "%40"),
            ("postgres://u:secret@[::1]:5432/d", "IPv4"),
            ("postgres://u:secret@/d", "host"),
            ("postgres:///d?host=secret", "host"),
            ("postgres://u:secret@h:x/d", "percent-encoded"),
            ("postgres://u:se/cret@h:1/d", "percent-encoded"),
            ("postgres://u@h/d#secret", "%23"),
            ("postgres://u@h/d?sslrootcert=secret", "a parameter"),
            ("postgres://u@h/d?currentSchema=secret", "a parameter"),
            ("postgres://u@h/d?sslmode=verify-full", "an sslmode"),
        ] {
            let refused = read(url).unwrap_err();
            assert!(refused.contains(must), "{url}: {refused}");
            assert!(!refused.contains("secret"), "{url}: {refused}");
        }
    }
}
