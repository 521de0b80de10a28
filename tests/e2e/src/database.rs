//! A database of a test's own.

use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};
use url::Url;

use crate::unique;

/// The password of the roles that tests log in with.
const PASSWORD: &str = "of-a-test";

/// Users that are members of the service's roles, for whole servers: made where they are
/// missing, also by two tests at once.
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

/// The template that this process clones its databases from.
static TEMPLATE: OnceCell<String> = OnceCell::const_new();

/// A database, and where it is.
#[derive(Clone, Debug)]
pub struct Database {
    /// Its URL.
    pub url: Url,
}

impl Database {
    /// The database or server that `DATABASE_URL` names.
    pub fn from_environment() -> Self {
        let url = std::env::var("DATABASE_URL")
            .expect("DATABASE_URL is not set: run the tests with `cargo xtask test`");
        Self {
            url: Url::parse(&url).expect("DATABASE_URL is a URL"),
        }
    }

    /// A new database with all migrations applied.
    pub async fn create() -> Self {
        let server = Self::from_environment();
        let template = TEMPLATE.get_or_init(|| server.create_template()).await;
        server.create_from(template).await
    }

    /// A new database without any migration.
    pub async fn create_empty() -> Self {
        Self::from_environment().create_from("template0").await
    }

    /// A new database in another encoding.
    pub async fn create_empty_in(encoding: &str) -> Self {
        let template = format!("template0 ENCODING '{encoding}' LOCALE 'C'");
        Self::from_environment().create_from(&template).await
    }

    async fn create_template(&self) -> String {
        let template = self.create_from("template0").await;
        migrations::apply(template.url.as_str())
            .await
            .expect("the migrations apply to an empty database");
        template.name().to_owned()
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
        Self { url }
    }

    /// Its URL for a user with no more rights than the service's role that writes.
    pub fn writer_url(&self) -> Url {
        self.url_of("e2e_writer")
    }

    /// Its URL for a user with no more rights than the service's role that reads.
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

    /// `host:port`.
    pub fn host(&self) -> String {
        let host = self.url.host_str().expect("a database URL with a host");
        format!("{host}:{}", self.url.port().unwrap_or(5432))
    }

    /// A connection of the test's own.
    pub async fn connect(&self) -> Client {
        connect(&self.url).await
    }

    /// Runs statements that answer nothing.
    pub async fn execute(&self, statements: &str) {
        self.connect()
            .await
            .batch_execute(statements)
            .await
            .unwrap_or_else(|error| panic!("{statements}: {error:?}"));
    }

    /// The number that a query answers.
    pub async fn count(&self, query: &str) -> i64 {
        let row = self.connect().await.query_one(query, &[]).await;
        row.unwrap_or_else(|error| panic!("{query}: {error:?}"))
            .get(0)
    }
}

/// Makes the users that the service logs in as.
pub async fn make_users(client: &Client) {
    client
        .batch_execute(MAKE_USERS)
        .await
        .expect("the database's role may create roles");
}

/// A connection to the database at a URL.
pub async fn connect(url: &Url) -> Client {
    let (client, connection) = tokio_postgres::connect(url.as_str(), NoTls)
        .await
        .expect("the database answers");
    tokio::spawn(connection);
    client
}
