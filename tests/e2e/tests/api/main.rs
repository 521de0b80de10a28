//! What the service does on the wire. Runs against any service, its own or one that is up.

mod document;
mod incident;
mod kinds;
mod limits;
mod projection;
mod remediation;
mod routing;
mod validation;
mod validation_of_kinds;
