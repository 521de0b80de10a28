//! `POST /api/v1/embeddings/backfill`: embeds stored texts again with the configured model.

mod backfill;

use http::Method;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;
use web::{Access, Body, Endpoint};

const ENDPOINT: Endpoint = Endpoint {
    template: "/api/v1/embeddings/backfill",
    methods: &[Method::POST],
    access: Access::WRITE,
    body: Body::Ignored,
};

#[http_component]
async fn handle(request: IncomingRequest, response: ResponseOutparam) {
    web::serve(&ENDPOINT, request, response, backfill::backfill).await;
}
