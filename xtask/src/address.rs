//! The URL of a database.

use anyhow::{Result, anyhow, bail};
use tokio_postgres::Config;
use url::Url;

pub(crate) const URL_VARIABLE: &str = "DATABASE_URL";

/// A database's URL. It holds a password: print [`Self::shown`].
#[derive(Clone)]
pub(crate) struct Address {
    url: Url,
    host_and_port: String,
}

impl Address {
    /// The value of `DATABASE_URL`, if it is set.
    pub(crate) fn from_environment() -> Result<Option<Self>> {
        Self::from(URL_VARIABLE)
    }

    /// As [`Self::from_environment`], for another variable.
    pub(crate) fn from(variable: &str) -> Result<Option<Self>> {
        match std::env::var(variable) {
            Ok(text) if !text.trim().is_empty() => Self::parse(text.trim()).map(Some),
            Err(std::env::VarError::NotUnicode(_)) => bail!("{variable} is not valid UTF-8."),
            _ => Ok(None),
        }
    }

    /// The same database, as another user.
    pub(crate) fn of(&self, user: &str, password: &str) -> Self {
        let mut address = self.clone();
        // Cannot fail: the URL has a host.
        let _ = address.url.set_username(user);
        let _ = address.url.set_password(Some(password));
        address
    }

    /// Another database of the same server.
    pub(crate) fn with_database(&self, name: &str) -> Result<Self> {
        let mut url = self.url.clone();
        url.set_path(name);
        Self::parse(url.as_str())
    }

    /// Reads a URL such as `postgres://user:password@host:5432/database`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        // Never quotes the URL, which may hold a password.
        let malformed = |what: &str| {
            anyhow!(
                "{URL_VARIABLE} is not a valid database URL: {what}. Use \
                 postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters in the user \
                 and the password percent-encoded (@ as %40, / as %2F)."
            )
        };
        let url = Url::parse(text).map_err(|error| malformed(&error.to_string()))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(malformed("it does not begin with postgres://"));
        }
        let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
            return Err(malformed("it names no host"));
        };
        if host.contains("%2F") || host.contains("%2f") {
            return Err(malformed(
                "components reach a database over TCP, not over a Unix socket",
            ));
        }
        if url.path().trim_matches('/').is_empty() {
            return Err(malformed("it names no database"));
        }
        if text.parse::<Config>().is_err() {
            return Err(malformed("it has an unknown or malformed parameter"));
        }
        let host_and_port = format!("{host}:{}", url.port().unwrap_or(5432));
        Ok(Self { url, host_and_port })
    }

    /// The URL with its password: for connecting, not for printing.
    pub(crate) fn secret_url(&self) -> &str {
        self.url.as_str()
    }

    /// As `127.0.0.1:5432`.
    pub(crate) fn host_and_port(&self) -> &str {
        &self.host_and_port
    }

    pub(crate) fn database(&self) -> &str {
        self.url.path().trim_matches('/')
    }

    /// The URL without password and parameters.
    pub(crate) fn shown(&self) -> String {
        let user = self.url.username();
        let at = if user.is_empty() { "" } else { "@" };
        format!(
            "postgres://{user}{at}{}/{}",
            self.host_and_port,
            self.database()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() -> Result<()> {
        let address = Address::parse("postgres://me:s%40cret@db.example/audit?sslmode=disable")?;
        assert_eq!(address.shown(), "postgres://me@db.example:5432/audit");
        assert_eq!(address.host_and_port(), "db.example:5432");
        Ok(())
    }

    #[test]
    fn a_malformed_address_is_refused_without_being_repeated() {
        for text in [
            "s3cret",
            "mysql://me:s3cret@db.example/audit",
            "postgres://me:s3cret@/audit",
            "postgres://me:s3cret@db.example",
            "postgres://me:s3cret@db.example:port/audit",
            "postgres://me:s3cret@%2Fvar%2Frun/audit",
            "postgres://me:s3cret@db.example/audit?unheard=of",
        ] {
            let refused = Address::parse(text).err().map(|error| error.to_string());
            assert!(
                refused
                    .as_ref()
                    .is_some_and(|message| !message.contains("s3cret")),
                "{text}: {refused:?}"
            );
        }
    }
}
