//! What the service does on the wire. Runs against any service, its own or one that is up.

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
