//! `GET /api/v1/audit/records`: lists records in the order of the log,
//! `GET /api/v1/audit/records/{id}`: returns one record, and
//! `GET /api/v1/incidents/{id}/records`: lists an incident's records, as they were sent.

use http::Method;
use incidents::{RecordsQuery, StoredRecordView, TimelineQuery};
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;
use web::{Access, Answer, Body, Endpoint, Problem, ProblemType, Request};

const LIST: Endpoint = Endpoint {
    template: "/api/v1/audit/records",
    methods: &[Method::GET, Method::HEAD],
    access: Access::READ,
    body: Body::Ignored,
};

const ONE: Endpoint = Endpoint {
    template: "/api/v1/audit/records/{id}",
    ..LIST
};

const TIMELINE: Endpoint = Endpoint {
    template: "/api/v1/incidents/{id}/records",
    ..LIST
};

#[http_component]
async fn handle(request: IncomingRequest, response: ResponseOutparam) {
    let path = web::path_of(&request);
    if path == LIST.template {
        web::serve(&LIST, request, response, list_records).await;
    } else if path.starts_with(LIST.template) {
        web::serve(&ONE, request, response, find_record).await;
    } else {
        web::serve(&TIMELINE, request, response, list_incident_records).await;
    }
}

fn list_records(request: &Request) -> Result<Answer, Problem> {
    let query = RecordsQuery::parse(request.query()).map_err(Problem::validation)?;
    let page = query.answer(web::reader_database()?.list_records(&query)?);
    let answer = Answer::page(request, &page, &page.data)?;
    let position = page.pagination;
    Ok(match position.next_cursor {
        Some(cursor) => answer.linked_to_next(LIST.template, &query.parameters_after(Some(cursor))),
        None => {
            let parameters = query.parameters_after(position.resume_cursor);
            answer.linked_to_updates(LIST.template, &parameters)
        }
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

fn list_incident_records(request: &Request) -> Result<Answer, Problem> {
    let id = web::parse_id(request.path().rsplit('/').nth(1).unwrap_or_default())?;
    let query = TimelineQuery::parse(id, request.query()).map_err(Problem::validation)?;
    let found = web::reader_database()?
        .list_incident_records(&query)?
        .ok_or_else(|| Problem::new(ProblemType::NotFound, format!("there is no incident {id}")))?;
    let correlation_id = found.correlation_id.clone();
    let page = query.answer(found);
    let answer = Answer::page(request, &page, &page.data)?
        .tagged()
        .about(&correlation_id);
    Ok(match page.pagination.next_cursor {
        Some(cursor) => answer.linked_to_next(request.path(), &query.parameters_after(cursor)),
        None => answer,
    })
}
