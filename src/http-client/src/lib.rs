//! An HTTP client for single requests, each within a deadline.

mod address;
mod bindings;
mod failure;
mod request;
mod retry_after;

pub use address::Address;
pub use failure::Failure;
pub use request::{Post, Response};
