//! `POST /api/v1/audit/remediation`: stores a remediation request's record.

use embedding::{EmbeddingRequest, remediation_text};
use http::Method;
use records::Remediation;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;
use web::{Answer, Endpoint, Problem, Request};

const ENDPOINT: Endpoint = Endpoint {
    template: "/api/v1/audit/remediation",
    methods: &[Method::POST],
};

#[http_component]
async fn handle(request: IncomingRequest, response: ResponseOutparam) {
    web::serve(&ENDPOINT, request, response, store_remediation).await;
}

fn store_remediation(request: &Request) -> Result<Answer, Problem> {
    request.refuse_parameters()?;
    let record = Remediation::parse(request.body(), &web::cluster_name()?)?;
    let correlation_id = &record.common.correlation_id;
    let embedding = EmbeddingRequest::new(web::embedding_model(), remediation_text(&record));
    let stored = web::database()?
        .write_remediation(&record, &embedding, web::embedding_cache)
        .map_err(|error| Problem::from(error).about(correlation_id))?;
    Answer::recorded("Remediation audit record created", &stored, correlation_id)
}
