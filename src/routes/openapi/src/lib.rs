//! `GET /openapi.json`: returns the checked-in OpenAPI document.

use http::Method;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;
use web::{Access, Answer, Body, Endpoint, Problem, Request};

const ENDPOINT: Endpoint = Endpoint {
    template: "/openapi.json",
    methods: &[Method::GET, Method::HEAD],
    access: Access::OPEN,
    body: Body::Ignored,
};

const DOCUMENT: &str = include_str!("../../../../openapi.json");

#[http_component]
async fn handle(request: IncomingRequest, response: ResponseOutparam) {
    web::serve(&ENDPOINT, request, response, read_openapi_document).await;
}

fn read_openapi_document(_: &Request) -> Result<Answer, Problem> {
    Ok(Answer::file("application/json", DOCUMENT.as_bytes()))
}
