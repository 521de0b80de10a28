//! What all routes share: reading requests, sending responses, and mapping errors to problem
//! documents ([`problem`]). Only this crate handles HTTP requests to the service.

mod answer;
mod audit;
mod auth;
mod entity_tag;
mod health;
mod hold;
mod log;
mod problem;
mod request;
mod serve;
mod settings;

pub use answer::{Answer, Recorded};
pub use audit::{BatchItem, BatchResult, RefusedItem, StoredItem, store_batch, store_record};
pub use auth::{Access, check_access_settings};
pub use health::{Health, HealthStatus};
pub use hold::{
    HOLDS_PATH, HoldPlaced, RELEASE_SEGMENT, find_hold, list_holds, place_hold, release_hold,
};
pub use log::{
    ConsistencyProof, LogView, PendingProof, Receipt, ReceiptStatus, log_gauges, no_checkpoint,
    require_log_keys, sign_if_intact,
};
pub use problem::{Problem, ProblemDocument, ProblemType};
pub use request::{Body, Request, parse_id, path_of};
pub use serve::{Endpoint, serve};
pub use settings::{
    check_databases, check_embedding_settings, check_log_key, cluster_name, embedding_cache,
    embedding_request, log_keys, reader_database, usable_model, writer_database,
};
