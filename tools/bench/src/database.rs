//! Connections to the service's database.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls};

use crate::client::is_loopback;

const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);

/// The longest time of a statement; some read whole tables.
const STATEMENT_SECONDS_MAX: u32 = 120;

/// A database on this machine.
pub(crate) struct Database {
    pub(crate) config: Config,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Database {
    /// Parses `postgres://USER:PASSWORD@127.0.0.1:PORT/DATABASE`.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        // Errors show neither the URL nor the parser's message, which contain a password.
        let Ok(mut config) = url.parse::<Config>() else {
            bail!(
                "the database's URL is not a usable address; it has the form \
                 postgres://USER:PASSWORD@127.0.0.1:5432/DATABASE"
            );
        };
        let host = match config.get_hosts() {
            [Host::Tcp(host)] => host.clone(),
            _ => bail!("the database's URL must name one host, by name or address"),
        };
        ensure!(
            is_loopback(&host),
            "the database's URL names {host:?}, which is not this machine; records are written to \
             127.0.0.1, [::1] or localhost only"
        );
        let port = config.get_ports().first().copied().unwrap_or(5432);
        config
            .application_name("bench")
            .connect_timeout(CONNECT_WAIT_MAX);
        Ok(Self { config, host, port })
    }

    /// The user, the password and the database's name.
    pub(crate) fn login(&self) -> Result<(&str, Option<&[u8]>, &str)> {
        let (user, name) = (self.config.get_user(), self.config.get_dbname());
        let user = user.context("the database's URL names no user")?;
        let name = name.context("the database's URL names no database")?;
        Ok((user, self.config.get_password(), name))
    }

    /// Connects.
    pub(crate) async fn connect(&self) -> Result<Client> {
        let mut config = self.config.clone();
        config.options(format!("-c statement_timeout={STATEMENT_SECONDS_MAX}s"));
        let connected = config.connect(NoTls).await;
        let (client, connection) =
            connected.context("connect to the database; is it running where its URL says?")?;
        // It ends with the client.
        tokio::spawn(connection);
        Ok(client)
    }
}

/// The id of the connection's server process.
pub(crate) async fn process_of(client: &Client) -> Result<u32> {
    let process: i32 = client
        .query_one("SELECT pg_backend_pid()", &[])
        .await
        .and_then(|row| row.try_get(0))
        .context("ask the database for its process")?;
    Ok(u32::try_from(process).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_database_on_this_machine_is_written_to() {
        assert!(Database::parse("postgres://u:p@127.0.0.1:5432/d").is_ok());
        for url in [
            "postgres://u:secret@10.0.0.1/d",
            "postgres://u:secret@h:x/d",
            "",
        ] {
            let error = Database::parse(url).err().unwrap();
            assert!(!format!("{error:#}").contains("secret"), "{url}");
        }
    }
}
