//! The service under test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use url::Url;

use crate::answer::Answer;
use crate::database::Database;
use crate::host::{Files, Host, Serving};

const MEMORY_KEY_VALUE_STORE: &str = "[key_value_store.default]\ntype = \"spin\"\n";

/// The key that signs the log of every service under test, and its public part.
pub const LOG_SIGNING_KEY: &str =
    "PRIVATE+KEY+data-storage.test+75827acd+AQAcGj820Ekx1e8wqEzGAuvXiaZCR0xQciDGFvpxhN6R";
/// The public key of [`LOG_SIGNING_KEY`].
pub const LOG_KEY: &str = "data-storage.test+75827acd+AUJD/C/owSCp8rc4vRFvNhR2QTAlPjVss/gU/A4b1yKy";

/// Options of a service under test.
pub struct Setup {
    database: Option<Database>,
    database_host: Option<String>,
    reader: Option<Database>,
    variables: BTreeMap<String, String>,
    runtime_config: String,
    authority: Option<String>,
    serving: Serving,
    change_manifest: Box<dyn FnOnce(String) -> String + Send>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            database: None,
            database_host: None,
            reader: None,
            variables: BTreeMap::new(),
            runtime_config: MEMORY_KEY_VALUE_STORE.to_owned(),
            authority: None,
            serving: Serving::default(),
            change_manifest: Box::new(|manifest| manifest),
        }
    }
}

impl Setup {
    /// Uses an existing database instead of a new one.
    #[must_use]
    pub fn database(mut self, database: &Database) -> Self {
        self.database = Some(database.clone());
        self
    }

    /// Reaches the database at another `host:port`.
    #[must_use]
    pub fn database_host(mut self, host: impl Into<String>) -> Self {
        self.database_host = Some(host.into());
        self
    }

    /// Reads from a standby of the database.
    #[must_use]
    pub fn reader(mut self, standby: &Database) -> Self {
        self.reader = Some(standby.clone());
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    /// Keeps the key-value store in Redis.
    #[must_use]
    pub fn redis(mut self, url: &str) -> Self {
        self.runtime_config =
            format!("[key_value_store.default]\ntype = \"redis\"\nurl = \"{url}\"\n");
        self
    }

    /// Trusts a certificate authority, in PEM, for the Kubernetes API server.
    #[must_use]
    pub fn authority(mut self, pem: &str) -> Self {
        self.authority = Some(pem.to_owned());
        self
    }

    /// Listens on `address` instead of a free loopback port.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.serving.listen = Some(address);
        self
    }

    /// Keeps answering for this long after [`TestApp::stop`], on the stand-in host only.
    #[must_use]
    pub fn drain(mut self, time: Duration) -> Self {
        self.serving.drain = time;
        self
    }

    /// Changes spin.toml.
    #[must_use]
    pub fn manifest(mut self, change: impl FnOnce(String) -> String + Send + 'static) -> Self {
        self.change_manifest = Box::new(change);
        self
    }

    /// Starts the service.
    pub async fn start(self) -> TestApp {
        let database = match self.database {
            Some(database) => database,
            None => Database::create().await,
        };
        let mut variables = self.variables;
        let host = self.database_host.unwrap_or_else(|| database.host());
        let reader = self.reader.as_ref().unwrap_or(&database);
        let reader_host = match &self.reader {
            Some(standby) => standby.host(),
            None => host.clone(),
        };
        let mut default = |name: &str, value: String| {
            variables.entry(name.to_owned()).or_insert(value);
        };
        default("database_url", at_host(database.writer_url(), &host));
        default(
            "database_reader_url",
            at_host(reader.reader_url(), &reader_host),
        );
        default("database_host", host);
        default("database_reader_host", reader_host);
        default("log_signing_key", LOG_SIGNING_KEY.to_owned());
        if let Ok(url) = std::env::var("REDIS_URL") {
            default("redis_url", url);
        }
        if let Some(host) = variables.get("redis_url").and_then(|url| host_of(url)) {
            variables.entry("redis_host".to_owned()).or_insert(host);
        }
        let files = Files::write(
            self.change_manifest,
            &self.runtime_config,
            self.authority.as_deref(),
        );
        let (host, url) = Host::start(files, variables, self.serving).await;
        TestApp::new(url, database, host)
    }
}

fn at_host(mut url: Url, host: &str) -> String {
    let (name, port) = host.rsplit_once(':').expect("host:port");
    url.set_host(Some(name)).expect("a host");
    url.set_port(port.parse().ok()).expect("a port");
    url.to_string()
}

fn host_of(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    Some(format!("{}:{}", url.host_str()?, url.port()?))
}

/// A running service with a client and its database.
pub struct TestApp {
    /// Base URL of the service.
    pub url: String,
    client: Client,
    // Before its database: dropped in this order, the host has closed its connections.
    host: Host,
    /// Its database.
    pub database: Database,
}

impl TestApp {
    /// Starts the service with defaults and a new database, or uses the one at `DATA_STORAGE_URL`.
    pub async fn start() -> Self {
        match std::env::var("DATA_STORAGE_URL") {
            Ok(url) => {
                let url = url.trim_end_matches('/').to_owned();
                Self::new(url, Database::from_environment(), Host::External)
            }
            Err(_) => Setup::default().start().await,
        }
    }

    fn new(url: String, database: Database, host: Host) -> Self {
        let client = Client::builder()
            .no_proxy()
            .build()
            .expect("an HTTP client");
        Self {
            url,
            database,
            client,
            host,
        }
    }

    /// Stops the service as a restart does. Dropping it cuts off running requests.
    pub async fn stop(mut self) {
        let host = std::mem::replace(&mut self.host, Host::External);
        host.shutdown().await;
    }

    /// Returns the log of the components and the host.
    pub fn log(&self) -> String {
        self.host.log()
    }

    /// Returns a request builder for [`Self::send`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Sends a request and reads the response.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let request = request.build().expect("a request");
        let body = request.body().and_then(|body| body.as_bytes());
        let described = format!(
            "{} {} {}",
            request.method(),
            request.url(),
            String::from_utf8_lossy(body.unwrap_or_default())
        );
        match self.client.execute(request).await {
            Ok(response) => Answer::read(described, response).await,
            Err(error) => panic!("{described}\n  not answered: {error:?}"),
        }
    }

    /// Sends a GET request.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// Posts a record of a kind.
    pub async fn post_record(&self, kind: &str, record: &Value) -> Answer {
        self.post_bytes(kind, record.to_string()).await
    }

    /// Posts a body that may be invalid.
    pub async fn post_bytes(&self, kind: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self
            .request(Method::POST, &format!("/api/v1/audit/{kind}"))
            .header("content-type", "application/json")
            .body(body);
        self.send(request).await
    }

    /// Posts a record of a kind and retries until it is stored.
    pub async fn store(&self, kind: &str, record: &Value) -> Answer {
        const ATTEMPTS_MAX: usize = 100;
        for _ in 0..ATTEMPTS_MAX {
            let answer = self.post_record(kind, record).await;
            if answer.status == 201 {
                return answer;
            }
            assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
            answer.expect_problem(503, "unavailable");
        }
        panic!("not stored by {ATTEMPTS_MAX} requests: {record}");
    }

    /// Posts a batch as lines of JSON.
    pub async fn post_batch(&self, items: &[(&str, Value)]) -> Answer {
        let lines: String = items
            .iter()
            .map(|(kind, record)| format!("{}\n", json!({"kind": kind, "record": record})))
            .collect();
        let request = self
            .request(Method::POST, "/api/v1/audit/batch")
            .header("content-type", "application/x-ndjson")
            .body(lines);
        self.send(request).await
    }

    /// Posts a remediation record.
    pub async fn post_remediation(&self, record: &Value) -> Answer {
        self.post_record("remediation", record).await
    }

    /// Posts a body that may be no valid remediation record.
    pub async fn post_remediation_bytes(&self, body: impl Into<reqwest::Body>) -> Answer {
        self.post_bytes("remediation", body).await
    }

    /// Returns the incident that a write's response points to.
    pub async fn incident_of(&self, stored: &Answer) -> Value {
        self.get(stored.header("location")).await.expect(200).json()
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the service ---\n{}", self.host.log());
        }
    }
}
