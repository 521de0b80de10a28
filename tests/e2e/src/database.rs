//! A database of a test's own.

use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};
use url::Url;

use crate::unique;

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
        let mut url = self.url.clone();
        url.set_path(&name);
        Self { url }
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
        let (client, connection) = tokio_postgres::connect(self.url.as_str(), NoTls)
            .await
            .expect("the database answers");
        tokio::spawn(connection);
        client
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
