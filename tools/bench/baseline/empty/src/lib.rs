//! Answers every request with 200 and nothing: the least that a request can cost in this host.

use spin_sdk::http::{Fields, IncomingRequest, OutgoingResponse, ResponseOutparam};
use spin_sdk::http_component;

#[http_component]
async fn handle(_: IncomingRequest, response: ResponseOutparam) {
    // It fails when the client is gone, and then there is nobody to tell.
    let _ = response
        .set_with_body(OutgoingResponse::new(Fields::new()), Vec::new())
        .await;
}
