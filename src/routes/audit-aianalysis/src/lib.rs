//! `POST /api/v1/audit/aianalysis`: stores AI analysis records.

use http::Method;
use records::AiAnalysis;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;
use web::{Access, Body, Endpoint, store_record};

const ENDPOINT: Endpoint = Endpoint {
    template: "/api/v1/audit/aianalysis",
    methods: &[Method::POST],
    access: Access::WRITE,
    body: Body::Json,
};

#[http_component]
async fn handle(request: IncomingRequest, response: ResponseOutparam) {
    web::serve(&ENDPOINT, request, response, store_record::<AiAnalysis>).await;
}
