//! `GET /metrics`: returns the metrics of all replicas in the Prometheus format.

use http::Method;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;
use web::{Access, Answer, Body, Endpoint, Problem, Request};

const ENDPOINT: Endpoint = Endpoint {
    template: "/metrics",
    methods: &[Method::GET, Method::HEAD],
    access: Access::READ,
    body: Body::Ignored,
};

#[http_component]
async fn handle(request: IncomingRequest, response: ResponseOutparam) {
    web::serve(&ENDPOINT, request, response, read_metrics).await;
}

fn read_metrics(request: &Request) -> Result<Answer, Problem> {
    let fields = request.redis().read_all(telemetry::METRICS_HASH)?;
    let fields = fields.iter().map(|(field, count)| (field.as_str(), *count));
    let text = telemetry::exposition(fields, web::log_gauges());
    Ok(Answer::text(telemetry::CONTENT_TYPE, text))
}
