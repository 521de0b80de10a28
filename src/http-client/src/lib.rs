//! An HTTP client for single requests, each within a deadline. Callers supply headers and body, and
//! interpret status and body.

mod address;
mod failure;
mod request;
mod retry_after;

pub use address::Address;
pub use failure::Failure;
pub use request::{Post, Response};
