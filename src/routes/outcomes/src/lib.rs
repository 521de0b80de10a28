//! `GET /api/v1/outcomes`: returns how the executions of incidents ended, and
//! `GET /api/v1/incidents/{id}/similar`: finds the incidents like one, and how they ended.

use http::Method;
use incidents::{NearestQuery, OutcomesQuery};
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;
use web::{Access, Answer, Body, Endpoint, Problem, ProblemType, Request};

const OUTCOMES: Endpoint = Endpoint {
    template: "/api/v1/outcomes",
    methods: &[Method::GET, Method::HEAD],
    access: Access::READ,
    body: Body::Ignored,
};

const SIMILAR: Endpoint = Endpoint {
    template: "/api/v1/incidents/{id}/similar",
    ..OUTCOMES
};

#[http_component]
async fn handle(request: IncomingRequest, response: ResponseOutparam) {
    if web::path_of(&request) == OUTCOMES.template {
        web::serve(&OUTCOMES, request, response, find_outcomes).await;
    } else {
        web::serve(&SIMILAR, request, response, find_similar_incidents).await;
    }
}

fn find_outcomes(request: &Request) -> Result<Answer, Problem> {
    let query = OutcomesQuery::parse(request.query()).map_err(Problem::validation)?;
    let found = web::reader_database()?.find_outcomes(&query)?;
    Ok(Answer::ok(&query.answer(found))?.tagged())
}

fn find_similar_incidents(request: &Request) -> Result<Answer, Problem> {
    let id = request.path().rsplit('/').nth(1).unwrap_or_default();
    let id = web::parse_id(id)?;
    let nearest = NearestQuery::parse(request.query()).map_err(Problem::validation)?;
    let similar = web::reader_database()?
        .find_similar_incidents(id, &nearest)?
        .ok_or_else(|| Problem::new(ProblemType::NotFound, format!("there is no incident {id}")))?;
    Ok(Answer::ok(&similar)?.tagged())
}
