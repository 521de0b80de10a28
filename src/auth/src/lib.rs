//! Authenticates and authorizes callers through the Kubernetes API server, with the service's token
//! (TokenReview, SubjectAccessReview) or the caller's (SelfSubjectReview, SelfSubjectAccessReview).
//! Only an explicit allow admits a caller. `web` maps a [`Refusal`] to a response.

mod cache_entry;
mod kubernetes;
mod review;
mod settings;
mod token;
mod user;
mod verdict;
mod wire;

pub use review::Refusal;
pub use settings::{InvalidSetting, Reviewer, Settings};
pub use token::BearerToken;
pub use user::UserName;

/// The requested access, as a Kubernetes verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Read.
    Get,
    /// Write.
    Create,
    /// Place and release holds: a verb of this service's own, which grants nothing in Kubernetes.
    Hold,
}

impl Verb {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Create => "create",
            Self::Hold => "hold",
        }
    }
}
