//! `GET /api/v1/incidents/search`: finds the incidents most similar to a text.

use http::Method;
use incidents::{SearchQuery, SearchResult};
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;
use web::{Access, Answer, Body, Endpoint, Problem, Request};

const ENDPOINT: Endpoint = Endpoint {
    template: "/api/v1/incidents/search",
    methods: &[Method::GET, Method::HEAD],
    access: Access::READ,
    body: Body::Ignored,
};

#[http_component]
async fn handle(request: IncomingRequest, response: ResponseOutparam) {
    web::serve(&ENDPOINT, request, response, search_incidents).await;
}

fn search_incidents(request: &Request) -> Result<Answer, Problem> {
    let query = SearchQuery::parse(request.query()).map_err(Problem::validation)?;
    let embedding = web::embedding_request(query.text.clone());
    let found =
        web::reader_database()?.search_incidents(&query, &embedding, web::embedding_cache)?;
    Ok(Answer::ok(&SearchResult {
        data: found.incidents,
        embedding_model: found.model,
        unknown_texts: found.unknown_texts,
    })?)
}
