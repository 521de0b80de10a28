//! The database of a run: the one that `DATABASE_URL` names, or an embedded one.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use crate::address::{Address, URL_VARIABLE};
use crate::postgres::Server;
use crate::project::Project;
use crate::steps::Step;

/// Where the service reads, if not as the user of [`URL_VARIABLE`].
const READER_URL_VARIABLE: &str = "DATABASE_READER_URL";

/// The oldest PostgreSQL that serves, as `server_version_num` has it.
const SERVER_VERSION_MIN: i32 = 160_000;

/// The oldest pgvector that serves: before it, indexes could be corrupted by vacuum.
const PGVECTOR_VERSION_MIN: [u32; 3] = [0, 8, 4];

/// How long a connection may take to come about.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);

/// A database that a run uses.
pub(crate) struct Database {
    address: Address,
    /// Our own server, stopped with the run. None for somebody else's.
    embedded: Option<Server>,
}

impl Database {
    /// The database of `DATABASE_URL`, checked, or where that is not set an embedded one
    /// whose data is kept.
    pub(crate) async fn open(project: &Project, step: &Step) -> Result<(Self, String)> {
        if let Some(given) = Self::given(step).await? {
            return Ok(given);
        }
        Self::embedded(Server::start(project, step).await?)
    }

    /// As [`Self::open`], with an embedded one that is fast, not durable and removed
    /// afterwards.
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

    /// The users that the service connects as to a database of this server. In the embedded
    /// server they are made, with new passwords, as members of the service's two roles, which
    /// the migrations have made.
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
                .with_context(|| format!("make the database's user {user}"))?;
            anyhow::Ok(address.of(user, &password))
        };
        Ok(Users {
            writer: make("service_writer", "data_storage_writer").await?,
            reader: make("service_reader", "data_storage_reader").await?,
        })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Whether the server is the embedded one.
    pub(crate) fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// The database of a name on the same server, if there is one.
    pub(crate) async fn find(&self, name: &str) -> Result<Option<Address>> {
        let found = connect(&self.address)
            .await?
            .query_opt("SELECT FROM pg_database WHERE datname = $1", &[&name])
            .await
            .with_context(|| format!("look for the database {name}"))?;
        found.map(|_| self.address.with_database(name)).transpose()
    }

    /// Removes the database of a name on the same server, if there is one.
    pub(crate) async fn remove(&self, name: &str) -> Result<()> {
        connect(&self.address)
            .await?
            .batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
            .await
            .with_context(|| format!("remove the database {name}"))
    }

    /// A new database on the same server, with all that another one has, to which nobody may be
    /// connected.
    pub(crate) async fn copy(&self, from: &str, name: &str) -> Result<Address> {
        connect(&self.address)
            .await?
            .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {from}"))
            .await
            .with_context(|| format!("copy the database {from}"))?;
        self.address.with_database(name)
    }

    /// What is said of the database of a name.
    pub(crate) async fn comment_on(&self, name: &str) -> Result<Option<String>> {
        connect(&self.address)
            .await?
            .query_one(
                "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1",
                &[&name],
            )
            .await
            .and_then(|row| row.try_get(0))
            .with_context(|| format!("read what is said of the database {name}"))
    }

    /// Says something of the database of a name.
    pub(crate) async fn set_comment(&self, name: &str, comment: &str) -> Result<()> {
        connect(&self.address)
            .await?
            .batch_execute(&format!("COMMENT ON DATABASE {name} IS '{comment}'"))
            .await
            .with_context(|| format!("say something of the database {name}"))
    }

    /// A new database on the same server, without any migration.
    pub(crate) async fn create(&self, name: &str) -> Result<Address> {
        let client = connect(&self.address).await?;
        let statement = format!("CREATE DATABASE {name}");
        client.batch_execute(&statement).await.map_err(|error| {
            anyhow!(
                "The database {name} could not be made beside {}: {error}.",
                self.address.shown()
            )
        })?;
        self.address.with_database(name)
    }

    /// An error when an embedded server that this run started has ended by itself.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        if let Some(server) = &mut self.embedded
            && server.has_ended()
        {
            bail!(
                "The embedded PostgreSQL ended by itself.\n{}",
                server.last_log_lines()
            );
        }
        Ok(())
    }
}

/// Whom the service connects as.
pub(crate) struct Users {
    /// For the components that write.
    pub(crate) writer: Address,
    /// For those that only read.
    pub(crate) reader: Address,
}

/// Connects, or explains why that does not work.
pub(crate) async fn connect(address: &Address) -> Result<Client> {
    let mut config: Config = address
        .secret_url()
        .parse()
        .map_err(|_| anyhow!("{URL_VARIABLE} is not a usable address."))?;
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

/// What a failed connection means and what to do about it.
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
        return anyhow!("The database {shown} wants a password, and {URL_VARIABLE} has none.");
    }
    if reason.to_lowercase().contains("tls") {
        return anyhow!(
            "The database {shown} wants TLS ({reason}), which the service speaks but this \
             command does not. Set {URL_VARIABLE} to an address without sslmode=require, for \
             example through a tunnel."
        );
    }
    anyhow!(
        "The database {shown} cannot be reached ({reason}). Start it, or correct the host and \
         the port in {URL_VARIABLE}; `cargo xtask up` without {URL_VARIABLE} runs an embedded one."
    )
}

/// Whether the server serves; says its versions.
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
        .map_err(|error| anyhow!("The database {shown} could not be asked: {error}."))?;
    let number: i32 = row.try_get(0)?;
    let version: String = row.try_get(1)?;
    let version = version.split(' ').next().unwrap_or_default();
    let vector: Option<String> = row.try_get(2)?;
    let installable: Option<String> = row.try_get(3)?;
    let needed = PGVECTOR_VERSION_MIN.map(|part| part.to_string()).join(".");
    if number < SERVER_VERSION_MIN {
        bail!(
            "The database {shown} is PostgreSQL {version}; version {} or newer is needed. Use a \
             newer server, or unset {URL_VARIABLE} for the embedded one.",
            SERVER_VERSION_MIN / 10_000
        );
    }
    let Some(vector) = vector else {
        bail!(
            "The database {shown} has no pgvector to install (the extension `vector`). Install \
             pgvector {needed} or newer on its server, or unset {URL_VARIABLE} for the embedded \
             one."
        );
    };
    if !is_new_enough(&vector) {
        let what = match installable {
            Some(newer) if is_new_enough(&newer) => {
                format!("Version {newer} is at hand: run ALTER EXTENSION vector UPDATE there.")
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
