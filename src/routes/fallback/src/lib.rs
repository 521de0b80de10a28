//! Returns status 404 for every path without a route.

use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;
use web::{Access, Body, Endpoint, Problem};

const ENDPOINT: Endpoint = Endpoint {
    template: "/...",
    methods: &[],
    access: Access::OPEN,
    body: Body::Ignored,
};

#[http_component]
async fn handle(request: IncomingRequest, response: ResponseOutparam) {
    web::serve(&ENDPOINT, request, response, |_| {
        Err(Problem::no_such_path())
    })
    .await;
}
