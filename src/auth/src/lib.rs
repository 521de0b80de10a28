//! Who may: whether a caller's token is one that Kubernetes knows, and whether its user may
//! read or write here.
//!
//! Both questions are asked of the Kubernetes API server, either with the service's own token
//! (TokenReview and SubjectAccessReview) or with the caller's (SelfSubjectReview and
//! SelfSubjectAccessReview). What it answered is remembered for a short while in the store that
//! the replicas share. Nobody is let in for want of an answer.
//!
//! It knows nothing of HTTP requests and answers: `web` gives it the header's value, and makes
//! of a [`Refusal`] what the caller is told.

mod cache;
mod kubernetes;
mod review;
mod settings;
mod token;
mod user;
mod wire;

pub use review::Refusal;
pub use settings::{InvalidSetting, Reviewer, Settings};
pub use token::BearerToken;
pub use user::UserName;

/// What a caller wants to do with the service, as Kubernetes names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// To read.
    Get,
    /// To write.
    Create,
}

impl Verb {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Create => "create",
        }
    }
}
