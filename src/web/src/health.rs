use serde::Serialize;

/// Health of the service. If a check fails, the response is a problem document instead.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// The health status.
    pub status: HealthStatus,
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
