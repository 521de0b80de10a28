//! Behaviour of the HTTP API, against a new service or a running one.

mod actions;
mod batch;
mod cluster_scoped;
mod document;
mod embeddings;
mod events;
mod examples;
mod incident;
mod kinds;
mod limits;
mod list;
mod outcomes;
mod packets;
mod projection;
mod remediation;
mod routing;
mod search;
mod similar;
mod validation;
mod validation_of_kinds;
mod versions;
