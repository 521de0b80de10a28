use records::Violation;
use serde::Serialize;

/// Health of the service. If a check fails, the response is a problem document instead.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// The health status.
    pub status: HealthStatus,
    /// What works less well than it could; absent if there is nothing to say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Violation>,
}

/// The health status.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// The process responds.
    Alive,
    /// The service also reaches the database and can use it.
    Ready,
}
