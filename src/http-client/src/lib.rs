//! One request to another server over the host's HTTP, which waits no longer than it is told.
//!
//! It knows nothing of what is asked: whoever asks gives the headers and the body, and makes
//! of the status and the body what they mean.

mod address;
mod failure;
mod request;
mod retry_after;

pub use address::Address;
pub use failure::Failure;
pub use request::{Post, Response};
