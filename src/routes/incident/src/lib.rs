//! `GET /api/v1/incidents/{id}`: returns one incident with its records.

use http::Method;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;
use web::{Access, Answer, Body, Endpoint, Problem, ProblemType, Request};

const ENDPOINT: Endpoint = Endpoint {
    template: "/api/v1/incidents/{id}",
    methods: &[Method::GET, Method::HEAD],
    access: Access::READ,
    body: Body::Ignored,
};

#[http_component]
async fn handle(request: IncomingRequest, response: ResponseOutparam) {
    web::serve(&ENDPOINT, request, response, find_incident).await;
}

fn find_incident(request: &Request) -> Result<Answer, Problem> {
    request.refuse_parameters()?;
    let id = web::parse_id(request.last_segment())?;
    let incident = web::reader_database()?
        .find_incident(id)?
        .ok_or_else(|| Problem::new(ProblemType::NotFound, format!("there is no incident {id}")))?;
    Ok(Answer::ok(&incident)?
        .tagged()
        .about(&incident.summary.correlation_id))
}
