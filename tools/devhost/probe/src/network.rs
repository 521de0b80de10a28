//! Outbound HTTP.

use crate::{Outcome, debug, text};
use serde_json::{Value, json};
use spin_sdk::wit::wasi::http0_2_0::outgoing_handler;
use spin_sdk::wit::wasi::http0_2_0::types::{
    Fields, IncomingResponse, OutgoingRequest, RequestOptions, Scheme,
};

/// Sends `GET scheme://authority/path` with the timeout `first_byte_milliseconds`, and returns
/// status and body.
pub(crate) fn send(arguments: &Value) -> Outcome {
    let request = OutgoingRequest::new(Fields::new());
    let scheme = match text(arguments, "scheme") {
        "https" => Scheme::Https,
        _ => Scheme::Http,
    };
    let ready = request
        .set_scheme(Some(&scheme))
        .and_then(|()| request.set_authority(Some(text(arguments, "authority"))))
        .and_then(|()| request.set_path_with_query(Some(text(arguments, "path"))));
    ready.map_err(|()| "not a URL".to_owned())?;

    let options = RequestOptions::new();
    if let Some(time) = arguments["first_byte_milliseconds"].as_u64() {
        let set = options.set_first_byte_timeout(Some(time * 1_000_000));
        set.map_err(|()| "no such option".to_owned())?;
    }
    let sent = outgoing_handler::handle(request, Some(options)).map_err(debug)?;
    sent.subscribe().block();
    let response = match sent.get() {
        Some(Ok(response)) => response.map_err(debug)?,
        other => return Err(format!("no response: {other:?}")),
    };
    let body = read(&response)?;
    Ok(json!([response.status(), body]))
}

fn read(response: &IncomingResponse) -> Result<String, String> {
    let body = response.consume().map_err(debug)?;
    let stream = body.stream().map_err(debug)?;
    let mut bytes = Vec::new();
    while let Ok(chunk) = stream.blocking_read(64 * 1024) {
        bytes.extend(chunk);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
