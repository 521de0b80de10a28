//! The application's variables, as the routes need them.

use std::time::Duration;

use embedding::{EmbeddingCache, EmbeddingRequest};
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

/// What embeds a text: the model that is built in.
pub(crate) fn embedding_request(text: String) -> EmbeddingRequest {
    EmbeddingRequest::local(text)
}
