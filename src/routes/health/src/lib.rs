//! `GET /health`, `/health/live` (`/healthz`) and `/health/ready` (`/readyz`).
//!
//! Liveness ignores the database: Kubernetes would otherwise restart all replicas in an outage.

use http::Method;
use records::Violation;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;
use web::{Access, Answer, Body, Endpoint, Health, HealthStatus, Problem, Request};

const ENDPOINT: Endpoint = Endpoint {
    template: "/health",
    methods: &[Method::GET, Method::HEAD],
    access: Access::OPEN,
    body: Body::Ignored,
};

#[http_component]
async fn handle(request: IncomingRequest, response: ResponseOutparam) {
    web::serve(&ENDPOINT, request, response, check_health).await;
}

fn check_health(request: &Request) -> Result<Answer, Problem> {
    match request.path() {
        "/health/live" | "/healthz" => Ok(Answer::ok(&Health {
            status: HealthStatus::Alive,
            warnings: Vec::new(),
        })?),
        "/health" | "/health/ready" | "/readyz" => check_readiness(),
        _ => Err(Problem::no_such_path()),
    }
}

fn check_readiness() -> Result<Answer, Problem> {
    let mut errors = web::check_databases()?;
    if web::cluster_name().is_err() {
        let message = "the variable cluster_name must be 1 to 255 characters long";
        errors.push(Violation::new("cluster_name", "readiness", message));
    }
    errors.extend(web::check_embedding_settings());
    errors.extend(web::check_access_settings());
    let (invalid_keys, is_unsigned) = web::check_log_key();
    errors.extend(invalid_keys);
    if errors.is_empty() {
        return Ok(Answer::ok(&Health {
            status: HealthStatus::Ready,
            warnings: is_unsigned.then(unsigned).into_iter().collect(),
        })?);
    }
    Err(Problem::unavailable(
        "the service is not ready, see errors",
        errors,
    ))
}

fn unsigned() -> Violation {
    let message = "there is no key: records are stored and wait to be added to the log, and there \
                   are no checkpoints and proofs";
    Violation::new("log_signing_key", "readiness", message)
}
