//! `GET /api/v1/incidents`: lists incidents, filtered and paged.

use http::Method;
use incidents::ListQuery;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;
use web::{Access, Answer, Body, Endpoint, Problem, Request};

const ENDPOINT: Endpoint = Endpoint {
    template: "/api/v1/incidents",
    methods: &[Method::GET, Method::HEAD],
    access: Access::READ,
    body: Body::Ignored,
};

#[http_component]
async fn handle(request: IncomingRequest, response: ResponseOutparam) {
    web::serve(&ENDPOINT, request, response, list_incidents).await;
}

fn list_incidents(request: &Request) -> Result<Answer, Problem> {
    let query = ListQuery::parse(request.query()).map_err(Problem::validation)?;
    let page = query.answer(web::reader_database()?.list_incidents(&query)?);
    let answer = Answer::ok(&page)?;
    Ok(match page.pagination.next_cursor {
        Some(cursor) => answer.linked_to_next(ENDPOINT.template, &query.parameters_after(cursor)),
        None => answer,
    })
}
