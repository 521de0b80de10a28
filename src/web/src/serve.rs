//! Serves a request of the host.

use std::time::Instant;

use http::{Method, StatusCode};
use records::is_correlation_id;
use serde_json::json;
use spin_sdk::http::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};
use telemetry::{Exchange, METRICS_HASH, Trace};
use uuid::Uuid;

use crate::answer::{AfterResponse, Answer};
use crate::auth::Access;
use crate::problem::Problem;
use crate::request::{Body, Request};

const CORRELATION_ID_HEADER: &str = "x-correlation-id";

/// How a route is served.
#[derive(Debug)]
pub struct Endpoint {
    /// Path of the route with parameter names: `route` in the log, `path` in metrics; never a raw path.
    pub template: &'static str,
    /// The supported methods; empty accepts any method, for the fallback route.
    pub methods: &'static [Method],
    /// Who may use the route.
    pub access: Access,
    /// The body that the route reads.
    pub body: Body,
}

impl Endpoint {
    /// Rejects trailing and repeated slashes, which the host's router accepts.
    fn check(&self, path: &str, method: &Method) -> Result<(), Problem> {
        if path.ends_with('/') || path.contains("//") {
            return Err(Problem::no_such_path());
        }
        if self.methods.is_empty() || self.methods.contains(method) {
            Ok(())
        } else {
            Err(Problem::method_not_allowed(self.methods))
        }
    }
}

/// Serves one request: checks the caller, runs the route's function, sends the response, and logs
/// it. Does what the answer leaves for later, then updates the metrics, so that neither delays the
/// response.
pub async fn serve(
    endpoint: &Endpoint,
    incoming: IncomingRequest,
    response: ResponseOutparam,
    answer: impl FnOnce(&Request) -> Result<Answer, Problem>,
) {
    let begun = Instant::now();
    let mut request = Request::head(&incoming);
    telemetry::begin(read_trace(&request));
    let own_id = request
        .header(CORRELATION_ID_HEADER)
        .filter(|id| is_correlation_id(id))
        .map(str::to_owned);
    if let Some(id) = &own_id {
        telemetry::name(id);
    }
    let result = receive(endpoint, &mut request, incoming)
        .await
        .and_then(|()| answer(&request));

    let about = match &result {
        Ok(answer) => answer.correlation_id.clone(),
        Err(problem) => problem.correlation_id.clone(),
    };
    let correlation_id = own_id
        .or(about)
        .unwrap_or_else(|| Uuid::new_v4().to_string());
    telemetry::name(&correlation_id);
    let (mut answer, error) = match result {
        Ok(answer) => (
            answer.unless_known(request.list("if-none-match").as_deref()),
            None,
        ),
        Err(mut problem) => {
            let cause = problem.cause.take();
            (problem.into_answer(request.path(), &correlation_id), cause)
        }
    };
    let status = answer.status.as_u16();
    let response_bytes = match request.method {
        Method::HEAD => 0,
        _ => answer.body.len(),
    };
    let after = answer.after.take();
    let is_sent = send(answer, &request.method, &correlation_id, response);
    let mut increments = telemetry::end(&Exchange {
        route: endpoint.template,
        method: request.known_method(),
        status,
        duration: begun.elapsed(),
        request_bytes: request.body().len(),
        response_bytes,
        error: error.as_deref().or(is_sent.err()),
    });
    if let Some(AfterResponse(after)) = after {
        after();
        increments.extend(telemetry::end_after_response());
    }
    record_metrics(&request, &increments);
}

/// Checks path, caller and body in this order, so that strangers learn only that the route exists.
async fn receive(
    endpoint: &Endpoint,
    request: &mut Request,
    incoming: IncomingRequest,
) -> Result<(), Problem> {
    endpoint.check(request.path(), &request.method)?;
    match endpoint.access.admit(request) {
        Ok(user) => request.user = user,
        Err(problem) => {
            request.discard_body(&incoming);
            return Err(problem);
        }
    }
    match endpoint.body {
        Body::Ignored => Ok(()),
        Body::Json | Body::Batch => request.read_body(incoming, endpoint.body).await,
    }
}

fn read_trace(request: &Request) -> Option<Trace> {
    Trace::read(
        request.header("traceparent")?,
        request.list("tracestate").as_deref(),
    )
}

fn record_metrics(request: &Request, increments: &[(String, i64)]) {
    let store = request.redis();
    if !store.is_configured() {
        return;
    }
    if let Err(error) = store.increment_all(METRICS_HASH, increments) {
        telemetry::warn(
            "the request is not counted in the metrics",
            json!({"error": error.to_string()}),
        );
    }
}

fn send(
    answer: Answer,
    method: &Method,
    correlation_id: &str,
    response: ResponseOutparam,
) -> Result<(), &'static str> {
    let headers = Fields::new();
    let is_unmodified = answer.status == StatusCode::NOT_MODIFIED;
    // Clients may store a response with a tag if they revalidate it.
    let cache_control = match answer.entity_tag {
        _ if answer.is_immutable => "private, max-age=31536000, immutable",
        Some(_) => "private, no-cache",
        None => "no-store",
    };
    let own = [
        ("cache-control", cache_control),
        (CORRELATION_ID_HEADER, correlation_id),
    ];
    let content_type = Some(("content-type", answer.content_type)).filter(|_| !is_unmodified);
    let entity_tag = answer.entity_tag.as_deref().map(|tag| ("etag", tag));
    // HEAD responses omit the length: the host requires a body of the announced length.
    let length = Some(("content-length", answer.body.len().to_string()))
        .filter(|_| method != Method::HEAD && !is_unmodified);
    let more = answer
        .headers
        .iter()
        .chain(&length)
        .map(|(name, value)| (*name, value.as_str()));
    for (name, value) in own
        .into_iter()
        .chain(content_type)
        .chain(entity_tag)
        .chain(more)
    {
        headers
            .append(name, value.as_bytes())
            .map_err(|_| "the host refused a header of the response")?;
    }
    let outgoing = OutgoingResponse::new(headers);
    outgoing
        .set_status_code(answer.status.as_u16())
        .map_err(|()| "the host refused the status of the response")?;
    let body = if method == Method::HEAD {
        &[]
    } else {
        answer.body.as_slice()
    };
    set_with_body(response, outgoing, body)
}

/// Sends a response. Writes the body first, as far as the host takes it: a host that has only the
/// head may send it at once, and TCP then holds the body back until the client acknowledges the head,
/// for up to 40 ms (Nagle's algorithm and delayed acknowledgements).
fn set_with_body(
    response: ResponseOutparam,
    outgoing: OutgoingResponse,
    body: &[u8],
) -> Result<(), &'static str> {
    const REFUSED: &str = "the host refused the body of the response";
    const DISCONNECTED: &str = "the caller disconnected before the response was sent";

    let outgoing_body = outgoing.body().map_err(|()| REFUSED)?;
    if body.is_empty() {
        OutgoingBody::finish(outgoing_body, None).map_err(|_| REFUSED)?;
        response.set(outgoing);
        return Ok(());
    }
    let stream = outgoing_body.write().map_err(|()| REFUSED)?;
    let mut head = Some((response, outgoing));
    let mut rest = body;
    while !rest.is_empty() {
        let count = stream.check_write().map_err(|_| DISCONNECTED)?;
        if count == 0 {
            // The host takes no more before it has the head, and sends what it has.
            if let Some((response, outgoing)) = head.take() {
                response.set(outgoing);
            }
            stream.subscribe().block();
            continue;
        }
        let count = usize::try_from(count).map_or(rest.len(), |count| count.min(rest.len()));
        let (part, later) = rest.split_at(count);
        stream.write(part).map_err(|_| DISCONNECTED)?;
        rest = later;
    }
    if let Some((response, outgoing)) = head {
        response.set(outgoing);
    }
    drop(stream);
    // The host may be done already: it knows the length.
    let _ = OutgoingBody::finish(outgoing_body, None);
    Ok(())
}
