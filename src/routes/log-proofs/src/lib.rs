//! Checkpoints and proofs of the log: `GET /log/v1/checkpoint`, `GET /api/v1/log`,
//! `GET /api/v1/log/consistency`, `GET /api/v1/audit/records/{id}/proof`.

mod answers;

use http::Method;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;
use web::{Access, Body, Endpoint};

const CHECKPOINT: Endpoint = Endpoint {
    template: "/log/v1/checkpoint",
    methods: &[Method::GET, Method::HEAD],
    access: Access::READ,
    body: Body::Ignored,
};

const STATUS: Endpoint = Endpoint {
    template: "/api/v1/log",
    ..CHECKPOINT
};

const CONSISTENCY: Endpoint = Endpoint {
    template: "/api/v1/log/consistency",
    ..CHECKPOINT
};

const INCLUSION: Endpoint = Endpoint {
    template: "/api/v1/audit/records/{id}/proof",
    ..CHECKPOINT
};

#[http_component]
async fn handle(request: IncomingRequest, response: ResponseOutparam) {
    let path = web::path_of(&request);
    if path == CHECKPOINT.template {
        web::serve(&CHECKPOINT, request, response, answers::read_checkpoint).await;
    } else if path == STATUS.template {
        web::serve(&STATUS, request, response, answers::read_status).await;
    } else if path == CONSISTENCY.template {
        web::serve(&CONSISTENCY, request, response, answers::prove_consistency).await;
    } else {
        web::serve(&INCLUSION, request, response, answers::prove_inclusion).await;
    }
}
