//! A database for one test.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};
use url::Url;

use crate::unique;

const PASSWORD: &str = "of-a-test";

/// Creates the users, members of the service's roles, if they are missing. Concurrent tests may run
/// it.
const MAKE_USERS: &str = "
    DO $$
    DECLARE
        statement text;
    BEGIN
        FOREACH statement IN ARRAY ARRAY[
            'CREATE ROLE data_storage_writer NOLOGIN',
            'CREATE ROLE data_storage_reader NOLOGIN',
            'CREATE ROLE e2e_writer LOGIN PASSWORD ''of-a-test'' IN ROLE data_storage_writer',
            'CREATE ROLE e2e_reader LOGIN PASSWORD ''of-a-test'' IN ROLE data_storage_reader']
        LOOP
            CONTINUE WHEN to_regrole(split_part(statement, ' ', 3)) IS NOT NULL;
            BEGIN
                EXECUTE statement;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END LOOP;
    END
    $$";

static TEMPLATE: OnceCell<String> = OnceCell::const_new();

/// A database. Dropping the last clone drops a database that the test created.
#[derive(Clone, Debug)]
pub struct Database {
    /// Its URL.
    pub url: Url,
    _created: Option<Arc<Created>>,
}

#[derive(Debug)]
struct Created {
    server: Url,
    name: String,
}

impl Drop for Created {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let server = self.server.clone();
        // Use another thread: this one may already run a runtime.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.map(|runtime| {
                runtime.block_on(async {
                    if let Err(error) = connect(&server).await.batch_execute(&statement).await {
                        eprintln!("{statement}: {error:?}");
                    }
                });
            })
        });
        dropped.join().ok();
    }
}

impl Database {
    /// Returns the database that `DATABASE_URL` names.
    pub fn from_environment() -> Self {
        let url = std::env::var("DATABASE_URL")
            .expect("DATABASE_URL is not set: run the tests with `cargo xtask test`");
        Self::at(Url::parse(&url).expect("DATABASE_URL is a URL"))
    }

    /// Returns the existing database at `url`, which is never dropped.
    pub fn at(url: Url) -> Self {
        Self {
            url,
            _created: None,
        }
    }

    /// Creates a database with all migrations applied.
    pub async fn create() -> Self {
        let server = Self::from_environment();
        let template = TEMPLATE.get_or_init(|| server.create_template()).await;
        server.create_from(template).await
    }

    /// Creates a database without a schema.
    pub async fn create_empty() -> Self {
        Self::from_environment().create_from("template0").await
    }

    /// Creates a database without a schema in another encoding.
    pub async fn create_empty_in(encoding: &str) -> Self {
        let template = format!("template0 ENCODING '{encoding}' LOCALE 'C'");
        Self::from_environment().create_from(&template).await
    }

    /// Returns the migrated template that all test processes of this schema share; creates it if
    /// missing.
    async fn create_template(&self) -> String {
        let schema = migrations::psql_script().expect("the migrations have names");
        let hash = Sha256::digest(schema);
        let hash: String = hash
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let name = format!("e2e_template_{hash}");
        let client = self.connect().await;
        client
            .execute("SELECT pg_advisory_lock(hashtext($1))", &[&name])
            .await
            .expect("a lock");
        let exists = client
            .query_opt("SELECT FROM pg_database WHERE datname = $1", &[&name])
            .await
            .expect("the databases are listed");
        if exists.is_none() {
            self.drop_templates(&client).await;
            // Rename last, so that a database of that name is always complete.
            let partial = self.create_from("template0").await;
            migrations::apply(partial.url.as_str())
                .await
                .expect("the migrations apply to an empty database");
            let rename = format!("ALTER DATABASE {} RENAME TO {name}", partial.name());
            client.batch_execute(&rename).await.expect("a template");
        }
        name
    }

    /// Drops the templates of other schemas.
    async fn drop_templates(&self, client: &Client) {
        let query = "SELECT datname FROM pg_database WHERE datname LIKE 'e2e\\_template\\_%'";
        let templates = client.query(query, &[]).await.expect("names of databases");
        for template in templates {
            let name: &str = template.get(0);
            // One that another process clones stays.
            let statement = format!("DROP DATABASE {name}");
            client.batch_execute(&statement).await.ok();
        }
    }

    async fn create_from(&self, template: &str) -> Self {
        let name = unique("e2e").replace('-', "_");
        let client = self.connect().await;
        client
            .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}"))
            .await
            .expect("DATABASE_URL's role may create databases");
        make_users(&client).await;
        let mut url = self.url.clone();
        url.set_path(&name);
        let created = Created {
            server: self.url.clone(),
            name,
        };
        Self {
            url,
            _created: Some(Arc::new(created)),
        }
    }

    /// Returns its URL for a user with only the writer role.
    pub fn writer_url(&self) -> Url {
        self.url_of("e2e_writer")
    }

    /// Returns its URL for a user with only the reader role.
    pub fn reader_url(&self) -> Url {
        self.url_of("e2e_reader")
    }

    fn url_of(&self, user: &str) -> Url {
        let mut url = self.url.clone();
        url.set_username(user).expect("a database URL with a host");
        url.set_password(Some(PASSWORD))
            .expect("a database URL with a host");
        url
    }

    fn name(&self) -> &str {
        self.url.path().trim_start_matches('/')
    }

    /// Returns its `host:port`.
    pub fn host(&self) -> String {
        let host = self.url.host_str().expect("a database URL with a host");
        format!("{host}:{}", self.url.port().unwrap_or(5432))
    }

    /// Opens a connection for the test.
    pub async fn connect(&self) -> Client {
        connect(&self.url).await
    }

    /// Runs statements without results.
    pub async fn execute(&self, statements: &str) {
        self.connect()
            .await
            .batch_execute(statements)
            .await
            .unwrap_or_else(|error| panic!("{statements}: {error:?}"));
    }

    /// Returns the number that a query selects.
    pub async fn count(&self, query: &str) -> i64 {
        let row = self.connect().await.query_one(query, &[]).await;
        row.unwrap_or_else(|error| panic!("{query}: {error:?}"))
            .get(0)
    }
}

/// Creates the users that the service logs in as.
pub async fn make_users(client: &Client) {
    client
        .batch_execute(MAKE_USERS)
        .await
        .expect("the database's role may create roles");
}

/// Connects to the database at `url`.
pub async fn connect(url: &Url) -> Client {
    let (client, connection) = tokio_postgres::connect(url.as_str(), NoTls)
        .await
        .expect("the database answers");
    tokio::spawn(connection);
    client
}
