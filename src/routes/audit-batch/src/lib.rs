//! `POST /api/v1/audit/batch`: stores many records at once.

use http::Method;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;
use web::{Access, Body, Endpoint, store_batch};

const ENDPOINT: Endpoint = Endpoint {
    template: "/api/v1/audit/batch",
    methods: &[Method::POST],
    access: Access::WRITE,
    body: Body::Batch,
};

#[http_component]
async fn handle(request: IncomingRequest, response: ResponseOutparam) {
    web::serve(&ENDPOINT, request, response, store_batch).await;
}
