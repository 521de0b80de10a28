//! One request to the server.

use std::time::Duration;

use outbound::Post;

use super::failure::Failure;
use super::settings::{ApiKey, Endpoint};
use super::wire::ANSWER_BYTES_MAX;

/// Below the API's base URL.
const PATH: &str = "/embeddings";

const STATUS_OK: u16 = 200;

/// Posts JSON and answers the body of the answer, which has the status 200.
pub(crate) fn post(
    endpoint: &Endpoint,
    key: &ApiKey,
    body: &[u8],
    limit: Duration,
) -> Result<Vec<u8>, Failure> {
    let post = Post {
        address: endpoint.address(),
        path: PATH,
        authorization: key.authorization(),
        body,
    };
    let response = post.send(limit)?;
    if response.status() == STATUS_OK {
        Ok(response.read_body(ANSWER_BYTES_MAX)?)
    } else {
        Err(Failure::Status {
            status: response.status(),
            retry_after: response.retry_after(),
        })
    }
}
