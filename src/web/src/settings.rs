//! The application's variables, as the routes need them.

use std::time::Duration;

use embedding::{ApiKey, Deadline, EmbeddingCache, Endpoint, Model, ModelName, OpenAi};
use records::is_cluster_name;
use spin_sdk::variables;
use store::Database;

use crate::problem::Problem;

fn read(name: &str) -> Result<String, Problem> {
    // The host's error may quote the value of another variable.
    variables::get(name)
        .map_err(|_| Problem::internal(format!("the variable {name} cannot be read")))
}

/// The database that the variable `database_url` names.
///
/// # Errors
///
/// The component was not given the variable.
pub fn database() -> Result<Database, Problem> {
    Ok(Database::new(&read("database_url")?))
}

/// The cluster of records that name none.
///
/// # Errors
///
/// The component was not given the variable, or it is no name for a cluster.
pub(crate) fn cluster_name() -> Result<String, Problem> {
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
/// `embedding_cache_ttl_seconds` says; one that is no number keeps nothing.
pub(crate) fn embedding_cache() -> EmbeddingCache {
    let seconds = read("embedding_cache_ttl_seconds")
        .ok()
        .and_then(|seconds| seconds.parse().ok())
        .unwrap_or(0);
    EmbeddingCache::open(Duration::from_secs(seconds))
}

/// The model that embeds, as the variables `embedding_...` say. Where they cannot be used,
/// the log says which, and the local model embeds: no record is lost for a setting.
pub(crate) fn embedding_model() -> Model {
    configured_model().unwrap_or_else(|variable| {
        eprintln!(
            r#"{{"level":"error","message":"variable unusable, the local model embeds","variable":"{variable}"}}"#
        );
        Model::Local
    })
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

fn setting<T>(
    name: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, &'static str> {
    let value = variables::get(name).map_err(|_| name)?;
    parse(&value).ok_or(name)
}
