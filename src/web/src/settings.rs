//! The application's variables, as the routes need them.

use std::time::Duration;

use auth::InvalidSetting;
use embedding::{
    ApiKey, Deadline, EmbeddingCache, EmbeddingRequest, Endpoint, Model, ModelName, OpenAi,
};
use records::{Violation, is_cluster_name};
use redis_client::Redis;
use serde_json::json;
use spin_sdk::variables;
use store::Database;

use crate::problem::Problem;

/// How long a vector is kept where the variable that says so is unusable.
const CACHE_TIME_TO_LIVE_DEFAULT: Duration = Duration::from_secs(300);

const WRITER: store::Variables = store::Variables {
    url: "database_url",
    host: "database_host",
};
const READER: store::Variables = store::Variables {
    url: "database_reader_url",
    host: "database_reader_host",
};

fn read(name: &str) -> Result<String, Problem> {
    // The host's error may quote the value of another variable.
    variables::get(name)
        .map_err(|_| Problem::internal(format!("the variable {name} cannot be read")))
}

/// The database as the role sees it that writes, named by the variable `database_url`.
///
/// # Errors
///
/// The component was not given the variable.
pub fn writer_database() -> Result<Database, Problem> {
    Ok(Database::new(&read("database_url")?, WRITER))
}

/// The database as the role sees it that only reads, named by the variable
/// `database_reader_url`.
///
/// # Errors
///
/// The component was not given the variable.
pub fn reader_database() -> Result<Database, Problem> {
    Ok(Database::new(&read("database_reader_url")?, READER))
}

/// What is wrong with the databases, that which is read if nothing is with that which is written to.
///
/// # Errors
///
/// The component was not given a variable.
pub fn check_databases() -> Result<Vec<Violation>, Problem> {
    let mut unready = writer_database()?.check_writing(&read(WRITER.host)?);
    if unready.is_empty() {
        unready = reader_database()?.check_reading(&read(READER.host)?);
    }
    let unready = unready.into_iter();
    Ok(unready
        .map(|unready| Violation::new(unready.check, "readiness", unready.message))
        .collect())
}

/// What the replicas share beside the database, named by the variable `redis_url`: nothing, where
/// that is empty.
pub(crate) fn redis() -> Redis {
    Redis::new(&variables::get("redis_url").unwrap_or_default())
}

/// Who is asked whether a caller may, as the variables `auth_...` and `kubernetes_...` say.
///
/// # Errors
///
/// Every variable that cannot be used.
pub(crate) fn access() -> Result<auth::Settings, Vec<auth::InvalidSetting>> {
    // The host's error may quote the value of another variable.
    auth::Settings::read(|name| variables::get(name).ok())
}

/// The cluster of records that name none.
///
/// # Errors
///
/// The component was not given the variable, or it is no name for a cluster.
pub fn cluster_name() -> Result<String, Problem> {
    let name = read("cluster_name")?;
    let name = name.trim();
    if is_cluster_name(name) {
        Ok(name.to_owned())
    } else {
        Err(Problem::internal(
            "the variable cluster_name is not 1 to 255 characters long",
        ))
    }
}

/// The cache of embeddings, whose entries live as many seconds as the variable
/// `embedding_cache_ttl_seconds` says; 0 keeps nothing. Where that is no number, the log says
/// so, and they live as long as by default.
pub fn embedding_cache() -> EmbeddingCache {
    let time_to_live = cache_time_to_live().unwrap_or_else(|unusable| {
        telemetry::error(
            "variable unusable, its default is used",
            json!({"variable": unusable.variable, "error": unusable.to_string()}),
        );
        CACHE_TIME_TO_LIVE_DEFAULT
    });
    EmbeddingCache::open(time_to_live)
}

fn cache_time_to_live() -> Result<Duration, InvalidSetting> {
    let must = "must be a number of seconds";
    setting("embedding_cache_ttl_seconds", must, |seconds| {
        seconds.trim().parse().ok().map(Duration::from_secs)
    })
}

/// The model that embeds, as the variables `embedding_...` say. Where they cannot be used,
/// the log says which, and the local model embeds: no record is lost for a setting.
fn embedding_model() -> Model {
    configured_model().unwrap_or_else(|unusable| {
        for unusable in unusable {
            telemetry::error(
                "variable unusable, the local model embeds",
                json!({"variable": unusable.variable, "error": unusable.to_string()}),
            );
        }
        Model::Local
    })
}

/// Asks for the embedding of a text by the model that embeds.
pub fn embedding_request(text: String) -> EmbeddingRequest {
    EmbeddingRequest::new(embedding_model(), text)
}

/// Every setting about embeddings because of which the local model embeds, or that has a default in
/// its place.
pub fn check_embedding_settings() -> Vec<Violation> {
    match (configured_model(), cache_time_to_live()) {
        (Err(unusable), _) => unready(&unusable),
        (_, Err(unusable)) => unready(&[unusable]),
        (Ok(model), Ok(_)) => {
            let fault = model.find_fault().into_iter();
            fault
                .map(|(variable, message)| Violation::new(variable, "readiness", message))
                .collect()
        }
    }
}

/// The model that embeds, if it is the configured one.
///
/// # Errors
///
/// Every variable that cannot be used.
pub fn usable_model() -> Result<Model, Problem> {
    configured_model().map_err(|unusable| {
        let detail = "the configured model cannot be used, see errors";
        Problem::unavailable(detail, unready(&unusable))
    })
}

fn unready(unusable: &[InvalidSetting]) -> Vec<Violation> {
    let unusable = unusable.iter();
    unusable
        .map(|unusable| Violation::new(unusable.variable, "readiness", unusable.to_string()))
        .collect()
}

/// The model, or every variable that cannot be used.
fn configured_model() -> Result<Model, Vec<InvalidSetting>> {
    let is_local = |provider: &str| match provider.trim() {
        "local" => Some(true),
        "openai" => Some(false),
        _ => None,
    };
    let is_local = setting("embedding_provider", "must be local or openai", is_local);
    if is_local.map_err(|unusable| vec![unusable])? {
        return Ok(Model::Local);
    }
    let endpoint = setting(
        "embedding_base_url",
        "must be http://host[:port][/path] or https://..., without credentials",
        Endpoint::parse,
    );
    let model = setting(
        "embedding_model",
        "must be a name of 1 to 255 characters, and not the built-in model's",
        ModelName::parse,
    );
    let key = setting(
        "embedding_api_key",
        "must be ASCII without spaces, or empty",
        ApiKey::parse,
    );
    let deadline = setting(
        "embedding_deadline_milliseconds",
        "must be a whole number from 1 to 60000",
        Deadline::parse,
    );
    match (endpoint, model, key, deadline) {
        (Ok(endpoint), Ok(model), Ok(key), Ok(deadline)) => Ok(Model::OpenAi(OpenAi {
            endpoint,
            model,
            key,
            deadline,
        })),
        (endpoint, model, key, deadline) => {
            Err([endpoint.err(), model.err(), key.err(), deadline.err()]
                .into_iter()
                .flatten()
                .collect())
        }
    }
}

fn setting<T>(
    variable: &'static str,
    must: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, InvalidSetting> {
    let value = variables::get(variable).ok();
    value
        .and_then(|value| parse(&value))
        .ok_or(InvalidSetting { variable, must })
}
