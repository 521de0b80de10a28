//! A stand-in for the Kubernetes API server: TokenReview, SubjectAccessReview, SelfSubjectReview
//! and SelfSubjectAccessReview behind TLS. It rejects undocumented requests, answers errors with a
//! `Status`, counts requests and fails on demand.

mod answer;
mod cluster;
mod reviews;
mod server;
mod tls;

pub use cluster::{API_AUDIENCE, Rule, Token};
pub use server::{Fault, KubeApi, ReceivedRequest};
pub use tls::Identity;
