//! Behaviour of the HTTP API, against a new service or a running one.

mod actions;
mod cluster_scoped;
mod document;
mod embeddings;
mod examples;
mod incident;
mod kinds;
mod limits;
mod list;
mod projection;
mod remediation;
mod routing;
mod search;
mod validation;
mod validation_of_kinds;
mod versions;
