//! Reads the application's settings from its variables.

use std::time::Duration;

use auth::InvalidSetting;
use embedding::{
    ApiKey, Deadline, EmbeddingCache, EmbeddingRequest, Endpoint, Model, ModelName, OpenAi,
};
use records::{Violation, is_name};
use redis_client::Redis;
use serde_json::json;
use spin_sdk::variables;
use store::{BATCH_STATEMENT_TIMEOUT, Database, STATEMENT_TIMEOUT};
use tlog::{LogKeys, SignerKey, VerifierKey};

use crate::problem::Problem;

/// Used where `embedding_cache_ttl_seconds` cannot be parsed.
const CACHE_TIME_TO_LIVE_DEFAULT: Duration = Duration::from_secs(300);

const LOG_SIGNING_KEY: &str = "log_signing_key";

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

/// The database under the writer role, at `database_url`.
///
/// # Errors
///
/// The component is not granted the variable.
pub fn writer_database() -> Result<Database, Problem> {
    Ok(Database::new(
        &read("database_url")?,
        WRITER,
        STATEMENT_TIMEOUT,
    ))
}

/// The database under the writer role, for batches.
///
/// # Errors
///
/// The component is not granted the variable.
pub(crate) fn batch_database() -> Result<Database, Problem> {
    Ok(Database::new(
        &read("database_url")?,
        WRITER,
        BATCH_STATEMENT_TIMEOUT,
    ))
}

/// The database under the reader role, at `database_reader_url`.
///
/// # Errors
///
/// The component is not granted the variable.
pub fn reader_database() -> Result<Database, Problem> {
    Ok(Database::new(
        &read("database_reader_url")?,
        READER,
        STATEMENT_TIMEOUT,
    ))
}

/// Checks the writer's database and, if that is ready, the reader's.
///
/// # Errors
///
/// The component is not granted a variable.
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

/// The Redis at `redis_url`; an empty URL disables it.
pub(crate) fn redis() -> Redis {
    Redis::new(&variables::get("redis_url").unwrap_or_default())
}

/// The access settings, from `auth_...` and `kubernetes_...`.
///
/// # Errors
///
/// Every setting that is invalid.
pub(crate) fn access() -> Result<auth::Settings, Vec<auth::InvalidSetting>> {
    auth::Settings::read(|name| variables::get(name).ok())
}

/// Whether there is a key that signs the log, which may be invalid. Costs less than reading it.
pub(crate) fn has_log_key() -> bool {
    variables::get(LOG_SIGNING_KEY).is_ok_and(|key| !key.trim().is_empty())
}

/// The keys of the log, from `log_signing_key` and `log_previous_key`; `None` if the first is empty.
///
/// # Errors
///
/// Every setting that is invalid.
pub fn log_keys() -> Result<Option<LogKeys>, Vec<InvalidSetting>> {
    if !has_log_key() {
        return Ok(None);
    }
    let signer = setting(
        LOG_SIGNING_KEY,
        "must be a private key, PRIVATE+KEY+NAME+HASH+KEY, unchanged and complete",
        |key| SignerKey::parse(key).ok(),
    );
    let previous = setting(
        "log_previous_key",
        "must be a public key, NAME+HASH+KEY, unchanged and complete, or empty",
        |key| match key.trim() {
            "" => Some(None),
            key => VerifierKey::parse(key).ok().map(Some),
        },
    );
    match (signer, previous) {
        (Ok(signer), Ok(previous)) => Ok(Some(LogKeys { signer, previous })),
        (signer, previous) => Err(signer.err().into_iter().chain(previous.err()).collect()),
    }
}

/// The settings of the log that are invalid, and whether it has no key.
pub fn check_log_key() -> (Vec<Violation>, bool) {
    match log_keys() {
        Ok(keys) => (Vec::new(), keys.is_none()),
        Err(unusable) => (unready(&unusable), false),
    }
}

/// The cluster name for records that name none.
///
/// # Errors
///
/// The component is not granted the variable, or its value is not a valid name.
pub fn cluster_name() -> Result<String, Problem> {
    let name = read("cluster_name")?;
    let name = name.trim();
    if is_name(name) {
        Ok(name.to_owned())
    } else {
        Err(Problem::internal(
            "the variable cluster_name is not 1 to 255 characters long",
        ))
    }
}

/// The embedding cache. An unparsable lifetime is logged and replaced by the default.
pub fn embedding_cache() -> EmbeddingCache {
    let time_to_live = cache_time_to_live().unwrap_or_else(|unusable| {
        telemetry::error(
            "invalid setting, using its default",
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

/// The configured model, or the local one if settings are invalid: no record may be lost.
pub(crate) fn embedding_model() -> Model {
    configured_model().unwrap_or_else(|unusable| {
        for unusable in unusable {
            telemetry::error(
                "invalid setting, embedding with the local model",
                json!({"variable": unusable.variable, "error": unusable.to_string()}),
            );
        }
        Model::Local
    })
}

/// Creates a request for the embedding of `text` with the configured model.
pub fn embedding_request(text: String) -> EmbeddingRequest {
    EmbeddingRequest::new(embedding_model(), text)
}

/// The embedding settings that are invalid and replaced by the local model or a default.
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

/// The configured model, without falling back to the local one.
///
/// # Errors
///
/// Every setting that is invalid.
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
        "must be 1 to 255 characters long and not the name of the local model",
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
