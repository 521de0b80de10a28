use std::fmt;

/// Why a connection failed. Leaves out the host's texts, which contain addresses and users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The host cannot use the URL, which must be as this text says.
    Url(&'static str),
    /// The component is not granted the address.
    NotGranted,
    /// Wrong user or password, or refused by `pg_hba.conf`.
    Login,
    NoDatabase,
    Tls,
    Full,
    /// No response, or the server is starting or stopping.
    Unreachable,
}

impl Fault {
    /// Classifies a text of the host, its client (tokio-postgres) or the server, if in English.
    pub(crate) fn read(text: &str) -> Self {
        let has = |words: &[&str]| words.iter().any(|words| text.contains(words));
        if text.starts_with("address ") && text.ends_with(" is not permitted") {
            Self::NotGranted
        } else if has(&[
            "invalid connection string",
            "invalid configuration",
            "parsing Postgres connection string",
            "Unix sockets",
        ]) {
            Self::Url("is not a URL that Spin's client can parse")
        } else if has(&[
            "unrecognized configuration parameter",
            "invalid value for parameter",
        ]) {
            Self::Url("has options that the server refuses")
        } else if has(&[
            "error performing TLS handshake",
            "root certificates",
            // A server that requires TLS says: "no pg_hba.conf entry for ..., no encryption".
            "no encryption",
            "SSL off",
            "SSL connection is required",
        ]) {
            Self::Tls
        } else if has(&[
            "password authentication failed",
            "authentication error",
            "authentication failed",
            "password missing",
            "no pg_hba.conf entry",
            "pg_hba.conf rejects",
            "not permitted to log in",
            "permission denied for database",
        ]) || is_absent(text, "role")
        {
            Self::Login
        } else if is_absent(text, "database") || has(&["no such database"]) {
            Self::NoDatabase
        } else if has(&["too many", "remaining connection slots"]) {
            Self::Full
        } else {
            Self::Unreachable
        }
    }

    /// Whether the fault may pass without a change of configuration.
    pub(crate) fn may_pass(self) -> bool {
        matches!(self, Self::Full | Self::Unreachable)
    }
}

/// Matches messages such as `role "x" does not exist`.
fn is_absent(text: &str, sort: &str) -> bool {
    text.match_indices(sort).any(|(at, _)| {
        let rest = text.get(at + sort.len()..).unwrap_or_default();
        let name_and_rest = rest
            .strip_prefix(" \"")
            .and_then(|rest| rest.split_once('"'));
        name_and_rest.is_some_and(|(_, rest)| rest.starts_with(" does not exist"))
    })
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url(must) => must,
            Self::NotGranted => {
                "names a server that the component may not connect to; database_host (or \
                 database_reader_host) must name the same host:port"
            }
            Self::Login => {
                "names a server that refuses the login; check the user, password and pg_hba.conf"
            }
            Self::NoDatabase => "names a database that the server does not have",
            Self::Tls => {
                "names a server with which TLS failed: it does not support TLS, or it requires TLS \
                 but sslmode is disable, or its certificate is not trusted or is for another name"
            }
            Self::Full => "names a server that accepts no more connections",
            Self::Unreachable => {
                "names a server that cannot be reached; it may be down or starting"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_words_are_told_apart() {
        for (text, fault) in [
            ("address postgres://h:1 is not permitted", Fault::NotGranted),
            (
                "Error occurred while creating a new object: db error: FATAL: password \
                 authentication failed for user \"u\"",
                Fault::Login,
            ),
            ("db error: FATAL: role \"u\" does not exist", Fault::Login),
            (
                "db error: FATAL: role \"u\" is not permitted to log in",
                Fault::Login,
            ),
            (
                "db error: FATAL: permission denied for database \"d\"",
                Fault::Login,
            ),
            (
                "db error: FATAL: unrecognized configuration parameter \"x\"",
                Fault::Url("has options that the server refuses"),
            ),
            (
                "FATAL: no pg_hba.conf entry for host \"h\", user \"u\", database \"d\", no encryption",
                Fault::Tls,
            ),
            (
                "FATAL: no pg_hba.conf entry for host \"h\", user \"u\", database \"d\"",
                Fault::Login,
            ),
            (
                "FATAL: SSL connection is required. Please specify SSL options",
                Fault::Tls,
            ),
            ("FATAL: no such database: d", Fault::NoDatabase),
            (
                "invalid configuration: password missing",
                Fault::Url("is not a URL that Spin's client can parse"),
            ),
            (
                "db error: FATAL: database \"d\" does not exist",
                Fault::NoDatabase,
            ),
            (
                "error performing TLS handshake: certificate verify failed",
                Fault::Tls,
            ),
            ("FATAL: sorry, too many clients already", Fault::Full),
            (
                "error connecting to server: Connection refused",
                Fault::Unreachable,
            ),
            (
                "FATAL: the database system is starting up",
                Fault::Unreachable,
            ),
            ("database \"role \" does not exist", Fault::NoDatabase),
            ("role \"", Fault::Unreachable),
            ("", Fault::Unreachable),
        ] {
            assert_eq!(Fault::read(text), fault, "{text}");
        }
    }
}
