//! `GET /api/v1/audit/records`: lists records in the order of the log, and
//! `GET /api/v1/audit/records/{id}`: returns one record, as they were sent.

use http::Method;
use incidents::{RecordsQuery, StoredRecordView};
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;
use web::{Access, Answer, Endpoint, Problem, ProblemType, Request};

const LIST: Endpoint = Endpoint {
    template: "/api/v1/audit/records",
    methods: &[Method::GET, Method::HEAD],
    access: Access::READ,
    reads_body: false,
};

const ONE: Endpoint = Endpoint {
    template: "/api/v1/audit/records/{id}",
    ..LIST
};

#[http_component]
async fn handle(request: IncomingRequest, response: ResponseOutparam) {
    if web::path_of(&request) == LIST.template {
        web::serve(&LIST, request, response, list_records).await;
    } else {
        web::serve(&ONE, request, response, find_record).await;
    }
}

fn list_records(request: &Request) -> Result<Answer, Problem> {
    let query = RecordsQuery::parse(request.query()).map_err(Problem::validation)?;
    let page = query.answer(web::reader_database()?.list_records(&query)?);
    let answer = if request.prefers_lines() {
        Answer::lines(&page.data)?
    } else {
        Answer::ok(&page)?
    };
    Ok(match page.pagination.next_cursor {
        Some(cursor) => answer.linked_to_next(LIST.template, &query.parameters_after(cursor)),
        None => answer,
    })
}

fn find_record(request: &Request) -> Result<Answer, Problem> {
    request.refuse_parameters()?;
    let id = web::parse_id(request.last_segment())?;
    let record = web::reader_database()?
        .find_record(id)?
        .ok_or_else(|| Problem::new(ProblemType::NotFound, format!("there is no record {id}")))?;
    let correlation_id = record.correlation_id().to_owned();
    Ok(Answer::ok(&StoredRecordView::from(record))?
        .tagged()
        .about(&correlation_id))
}
