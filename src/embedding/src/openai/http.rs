//! One request to the provider.

use std::time::Duration;

use http_client::Post;

use super::failure::Failure;
use super::settings::{ApiKey, Endpoint};
use super::wire::says_too_long;

const PATH: &str = "/embeddings";

const STATUS_OK: u16 = 200;
const STATUS_PAYLOAD_TOO_LARGE: u16 = 413;

const ERROR_BYTES_MAX: usize = 16 * 1024;

/// Posts JSON and returns the body of a response with status 200.
pub(crate) fn post(
    endpoint: &Endpoint,
    key: &ApiKey,
    body: &[u8],
    answer_bytes_max: usize,
    limit: Duration,
) -> Result<Vec<u8>, Failure> {
    let post = Post {
        address: endpoint.address(),
        path: &endpoint.below(PATH),
        credentials: key.header(endpoint),
        body,
    };
    let response = post.send(limit)?;
    let (status, retry_after) = (response.status(), response.retry_after());
    if status == STATUS_OK {
        return Ok(response.read_body(answer_bytes_max)?);
    }
    let is_too_long = status == STATUS_PAYLOAD_TOO_LARGE
        || response
            .read_body(ERROR_BYTES_MAX)
            .is_ok_and(|body| says_too_long(status, &body));
    Err(Failure::Status {
        status,
        retry_after,
        is_too_long,
    })
}
