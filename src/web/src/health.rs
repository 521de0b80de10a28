//! What is answered of the service's health.

use serde::Serialize;

/// The service's health, where it is good; else a problem says what is wrong.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// What it is fit for.
    pub status: HealthStatus,
}

/// What the service is fit for.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// The process answers.
    Alive,
    /// The database can be worked with, too.
    Ready,
}
