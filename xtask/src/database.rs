//! The database of a run: from `DATABASE_URL`, or embedded.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use crate::address::{Address, URL_VARIABLE};
use crate::postgres::Server;
use crate::project::Project;
use crate::steps::Step;

/// Address for components that only read, if not that of [`URL_VARIABLE`].
const READER_URL_VARIABLE: &str = "DATABASE_READER_URL";

/// The oldest major version of PostgreSQL that serves.
pub(crate) const MAJOR_VERSION_MIN: u32 = 16;

/// Oldest supported pgvector: with older ones, vacuum can corrupt indexes.
pub(crate) const PGVECTOR_VERSION_MIN: [u32; 3] = [0, 8, 4];

const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);

pub(crate) struct Database {
    address: Address,
    /// The embedded server, stopped with the run; None with `DATABASE_URL`.
    embedded: Option<Server>,
}

impl Database {
    /// Checks the database of `DATABASE_URL`; without it, starts an embedded one that is kept.
    pub(crate) async fn open(project: &Project, step: &Step) -> Result<(Self, String)> {
        if let Some(given) = Self::given(step).await? {
            return Ok(given);
        }
        Self::embedded(Server::start(project, step).await?)
    }

    /// As [`Self::open`], but an embedded database is not durable and is removed afterwards.
    pub(crate) async fn open_for_tests(project: &Project, step: &Step) -> Result<(Self, String)> {
        if let Some(given) = Self::given(step).await? {
            return Ok(given);
        }
        Self::embedded(Server::start_throwaway(project, step).await?)
    }

    async fn given(step: &Step) -> Result<Option<(Self, String)>> {
        let Some(address) = Address::from_environment()? else {
            return Ok(None);
        };
        step.say(&format!("connecting to {}", address.shown()));
        let versions = check(&address).await?;
        let result = format!("{versions} at {}", address.shown());
        let database = Self {
            address,
            embedded: None,
        };
        Ok(Some((database, result)))
    }

    fn embedded(server: Server) -> Result<(Self, String)> {
        let result = server.description();
        let database = Self {
            address: Address::parse(&server.url())?,
            embedded: Some(server),
        };
        Ok((database, result))
    }

    /// The users that the service connects as.
    pub(crate) async fn users(&self) -> Result<Users> {
        match Address::from(READER_URL_VARIABLE)? {
            Some(reader) if self.embedded.is_none() => Ok(Users {
                writer: self.address.clone(),
                reader,
            }),
            _ => self.users_of(&self.address).await,
        }
    }

    /// As [`Self::users`], for another database of this server. In the embedded server, creates
    /// the users with new passwords, as members of the roles that the migrations created.
    pub(crate) async fn users_of(&self, address: &Address) -> Result<Users> {
        if self.embedded.is_none() {
            return Ok(Users {
                writer: address.clone(),
                reader: address.clone(),
            });
        }
        let client = connect(address).await?;
        let make = async |user: &str, role: &str| {
            let password = uuid::Uuid::new_v4().simple().to_string();
            client
                .batch_execute(&format!(
                    "DO $$ BEGIN
                         IF to_regrole('{user}') IS NULL THEN CREATE ROLE {user} LOGIN; END IF;
                     END $$;
                     ALTER ROLE {user} PASSWORD '{password}';
                     GRANT {role} TO {user};"
                ))
                .await
                .with_context(|| format!("cannot create the database user {user}"))?;
            anyhow::Ok(address.of(user, &password))
        };
        Ok(Users {
            writer: make("service_writer", "data_storage_writer").await?,
            reader: make("service_reader", "data_storage_reader").await?,
        })
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// Address of the database `name` on the same server, if it exists.
    pub(crate) async fn find(&self, name: &str) -> Result<Option<Address>> {
        let found = connect(&self.address)
            .await?
            .query_opt("SELECT FROM pg_database WHERE datname = $1", &[&name])
            .await
            .with_context(|| format!("cannot look for the database {name}"))?;
        found.map(|_| self.address.with_database(name)).transpose()
    }

    /// Drops the database `name` on the same server, if it exists.
    pub(crate) async fn remove(&self, name: &str) -> Result<()> {
        connect(&self.address)
            .await?
            .batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
            .await
            .with_context(|| format!("cannot drop the database {name}"))
    }

    /// Copies the database `from`, to which nobody may be connected.
    pub(crate) async fn copy(&self, from: &str, name: &str) -> Result<Address> {
        connect(&self.address)
            .await?
            .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {from}"))
            .await
            .with_context(|| format!("cannot copy the database {from}"))?;
        self.address.with_database(name)
    }

    pub(crate) async fn comment_on(&self, name: &str) -> Result<Option<String>> {
        connect(&self.address)
            .await?
            .query_one(
                "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1",
                &[&name],
            )
            .await
            .and_then(|row| row.try_get(0))
            .with_context(|| format!("cannot read the comment on the database {name}"))
    }

    pub(crate) async fn set_comment(&self, name: &str, comment: &str) -> Result<()> {
        connect(&self.address)
            .await?
            .batch_execute(&format!("COMMENT ON DATABASE {name} IS '{comment}'"))
            .await
            .with_context(|| format!("cannot set the comment on the database {name}"))
    }

    /// Creates an empty database on the same server.
    pub(crate) async fn create(&self, name: &str) -> Result<Address> {
        let client = connect(&self.address).await?;
        let statement = format!("CREATE DATABASE {name}");
        client.batch_execute(&statement).await.map_err(|error| {
            anyhow!(
                "Cannot create the database {name} on the server of {}: {error}. Check that its \
                 user may create databases.",
                self.address.shown()
            )
        })?;
        self.address.with_database(name)
    }

    /// An error if the embedded server has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        if let Some(server) = &mut self.embedded
            && server.has_ended()
        {
            bail!(
                "The embedded PostgreSQL ended unexpectedly.\n{}",
                server.last_log_lines()
            );
        }
        Ok(())
    }
}

pub(crate) struct Users {
    pub(crate) writer: Address,
    /// For the components that only read.
    pub(crate) reader: Address,
}

/// Connects; an error says what to do.
pub(crate) async fn connect(address: &Address) -> Result<Client> {
    let mut config: Config = address
        .secret_url()
        .parse()
        .map_err(|_| anyhow!("{URL_VARIABLE} is not a valid database URL."))?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_WAIT_MAX);
    }
    match tokio::time::timeout(CONNECT_WAIT_MAX, config.connect(NoTls)).await {
        Ok(Ok((client, connection))) => {
            tokio::spawn(connection);
            Ok(client)
        }
        Ok(Err(error)) => Err(explain(address, &error)),
        Err(_) => Err(anyhow!(
            "The database {} did not answer within {} s. Check the host and the port in \
             {URL_VARIABLE}, and that no firewall is in between.",
            address.shown(),
            CONNECT_WAIT_MAX.as_secs()
        )),
    }
}

/// Says why a connection failed and what to do.
fn explain(address: &Address, error: &tokio_postgres::Error) -> anyhow::Error {
    let shown = address.shown();
    if let Some(refusal) = error.as_db_error() {
        let code = refusal.code();
        let message = refusal.message();
        let what = if *code == SqlState::INVALID_PASSWORD
            || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION
        {
            format!("Check the user and the password in {URL_VARIABLE}.")
        } else if *code == SqlState::INVALID_CATALOG_NAME {
            format!(
                "Create it (CREATE DATABASE \"{}\"), or name another one in {URL_VARIABLE}.",
                address.database()
            )
        } else if *code == SqlState::TOO_MANY_CONNECTIONS {
            "Raise its max_connections, or close other connections.".to_owned()
        } else {
            format!("Check {URL_VARIABLE}.")
        };
        return anyhow!("The database {shown} refused the connection: {message}. {what}");
    }
    let mut reasons = Vec::new();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        reasons.push(error.to_string());
        cause = error.source();
    }
    let reason = reasons.join(": ");
    if reason.contains("password missing") {
        return anyhow!(
            "The database {shown} requires a password, and {URL_VARIABLE} has none. Add it, as in \
             postgres://USER:PASSWORD@HOST:PORT/DATABASE."
        );
    }
    if reason.to_lowercase().contains("tls") {
        return anyhow!(
            "The database {shown} requires TLS ({reason}), which the service supports but this \
             command does not. Set {URL_VARIABLE} to an address without sslmode=require, for \
             example through a tunnel."
        );
    }
    anyhow!(
        "The database {shown} cannot be reached ({reason}). Start it, or correct the host and \
         the port in {URL_VARIABLE}; `cargo xtask up` without {URL_VARIABLE} runs an embedded one."
    )
}

/// Checks the versions of PostgreSQL and pgvector, and returns them.
pub(crate) async fn check(address: &Address) -> Result<String> {
    let client = connect(address).await?;
    let shown = address.shown();
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::int4, \
                    current_setting('server_version'), \
                    (SELECT coalesce(installed_version, default_version) \
                       FROM pg_available_extensions WHERE name = 'vector'), \
                    (SELECT default_version \
                       FROM pg_available_extensions WHERE name = 'vector')",
            &[],
        )
        .await
        .map_err(|error| anyhow!("Cannot read the versions of the database {shown}: {error}."))?;
    let number: i32 = row.try_get(0)?;
    let version: String = row.try_get(1)?;
    let version = version.split(' ').next().unwrap_or_default();
    let vector: Option<String> = row.try_get(2)?;
    let installable: Option<String> = row.try_get(3)?;
    let needed = PGVECTOR_VERSION_MIN.map(|part| part.to_string()).join(".");
    if number / 10_000 < MAJOR_VERSION_MIN.cast_signed() {
        bail!(
            "The database {shown} is PostgreSQL {version}; version {} or newer is needed. Use a \
             newer server, or unset {URL_VARIABLE} for the embedded one.",
            MAJOR_VERSION_MIN
        );
    }
    let Some(vector) = vector else {
        bail!(
            "The server of the database {shown} has no pgvector (the extension `vector`). Install \
             version {needed} or newer there, or unset {URL_VARIABLE} for the embedded one."
        );
    };
    if !is_new_enough(&vector) {
        let what = match installable {
            Some(newer) if is_new_enough(&newer) => {
                format!("Its server has {newer}: run ALTER EXTENSION vector UPDATE there.")
            }
            _ => format!("Install pgvector {needed} or newer on its server."),
        };
        bail!(
            "The database {shown} has pgvector {vector}; {needed} or newer is needed, as older \
             ones can corrupt indexes. {what}"
        );
    }
    Ok(format!("PostgreSQL {version}, pgvector {vector}"))
}

fn is_new_enough(pgvector: &str) -> bool {
    let parts: Vec<u32> = pgvector
        .split('.')
        .map(|part| part.parse().unwrap_or(0))
        .collect();
    parts.as_slice() >= PGVECTOR_VERSION_MIN.as_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pgvector_is_compared_by_number() {
        assert!(is_new_enough("0.8.4"));
        assert!(is_new_enough("0.8.10"));
        assert!(is_new_enough("0.10"));
        assert!(is_new_enough("1.0"));
        assert!(!is_new_enough("0.8.3"));
        assert!(!is_new_enough("0.8"));
    }
}
