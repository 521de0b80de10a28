//! A Kubernetes API server as far as it says who may: TokenReview, SubjectAccessReview,
//! SelfSubjectReview and SelfSubjectAccessReview, as their documentation has them, behind TLS
//! with a certificate authority of its own. It holds requests to what is documented, answers
//! errors as the real one does (a `Status`), counts what it is asked, and fails as it is told.

mod answer;
mod cluster;
mod reviews;
mod server;
mod tls;

pub use cluster::{API_AUDIENCE, Rule, Token};
pub use server::{Fault, KubeApi, ReceivedRequest};
pub use tls::Identity;
