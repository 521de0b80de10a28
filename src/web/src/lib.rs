//! What all routes share: reading requests, sending responses, and mapping errors to problem
//! documents ([`problem`]). Only this crate handles HTTP requests to the service.

mod answer;
mod audit;
mod auth;
mod entity_tag;
mod health;
mod problem;
mod request;
mod serve;
mod settings;

pub use answer::{Answer, Recorded};
pub use audit::store_record;
pub use auth::{Access, check_access_settings};
pub use health::{Health, HealthStatus};
pub use problem::{Problem, ProblemDocument, ProblemType};
pub use request::Request;
pub use serve::{Endpoint, serve};
pub use settings::{
    check_databases, check_embedding_settings, cluster_name, embedding_cache, embedding_request,
    reader_database, usable_model, writer_database,
};
