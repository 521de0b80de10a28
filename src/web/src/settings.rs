//! The application's variables, as the routes need them.

use std::time::Duration;

use embedding::{
    ApiKey, Deadline, Embedding, EmbeddingCache, EmbeddingRequest, Endpoint, Model, ModelName,
    OpenAi,
};
use records::is_cluster_name;
use serde_json::json;
use shared_store::SharedStore;
use spin_sdk::variables;
use store::Database;

use crate::problem::Problem;

/// How long a vector is kept where the variable that says so is unusable, in seconds.
const CACHE_SECONDS_DEFAULT: u64 = 300;

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
    Ok(Database::new(&read("database_url")?))
}

/// The database as the role sees it that only reads, named by the variable
/// `database_reader_url`.
///
/// # Errors
///
/// The component was not given the variable.
pub fn reader_database() -> Result<Database, Problem> {
    Ok(Database::new(&read("database_reader_url")?))
}

/// What the replicas share beside the database, named by the variable `redis_url`: nothing, where
/// that is empty.
pub(crate) fn shared_store() -> SharedStore {
    SharedStore::new(&variables::get("redis_url").unwrap_or_default())
}

/// Who is asked whether a caller may, as the variables `auth_...` and `kubernetes_...` say.
///
/// # Errors
///
/// Every variable that cannot be used.
pub(crate) fn access() -> Result<access::Settings, Vec<access::Unusable>> {
    // The host's error may quote the value of another variable.
    access::Settings::read(|name| variables::get(name).ok())
}

/// The cluster of records that name none.
///
/// # Errors
///
/// The component was not given the variable, or it is no name for a cluster.
pub fn cluster_name() -> Result<String, Problem> {
    let name = read("cluster_name")?;
    if is_cluster_name(&name) {
        Ok(name)
    } else {
        Err(Problem::internal(
            "the variable cluster_name is not 1 to 255 characters long",
        ))
    }
}

/// The cache of embeddings, whose entries live as many seconds as the variable
/// `embedding_cache_ttl_seconds` says; 0 keeps nothing. Where that is no number, the log says
/// so, and they live as long as by default.
pub(crate) fn embedding_cache() -> EmbeddingCache {
    let seconds = setting("embedding_cache_ttl_seconds", |seconds| {
        seconds.trim().parse().ok()
    })
    .unwrap_or_else(|variable| {
        log_unusable(variable, "the default is used");
        CACHE_SECONDS_DEFAULT
    });
    EmbeddingCache::open(Duration::from_secs(seconds))
}

/// The model that embeds, as the variables `embedding_...` say. Where they cannot be used,
/// the log says which, and the local model embeds: no record is lost for a setting.
pub(crate) fn embedding_model() -> Model {
    configured_model().unwrap_or_else(|variable| {
        log_unusable(variable, "the local model embeds");
        Model::Local
    })
}

/// The embedding of a text by the configured model, or by the local one where that is down.
pub fn embed(text: &str) -> Embedding {
    EmbeddingRequest::new(embedding_model(), text.to_owned()).embed(embedding_cache)
}

/// The model, or the name of the first variable that cannot be used.
fn configured_model() -> Result<Model, &'static str> {
    let is_local = |provider: &str| match provider.trim() {
        "local" => Some(true),
        "openai" => Some(false),
        _ => None,
    };
    if setting("embedding_provider", is_local)? {
        return Ok(Model::Local);
    }
    Ok(Model::OpenAi(OpenAi {
        endpoint: setting("embedding_base_url", Endpoint::parse)?,
        model: setting("embedding_model", ModelName::parse)?,
        key: setting("embedding_api_key", ApiKey::parse)?,
        deadline: setting("embedding_deadline_milliseconds", Deadline::parse)?,
    }))
}

/// What a variable holds may be secret, and is not said.
fn log_unusable(variable: &str, consequence: &str) {
    telemetry::error(
        &format!("variable unusable, {consequence}"),
        json!({"variable": variable}),
    );
}

fn setting<T>(
    name: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, &'static str> {
    let value = variables::get(name).map_err(|_| name)?;
    parse(&value).ok_or(name)
}
