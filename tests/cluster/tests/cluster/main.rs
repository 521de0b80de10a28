//! Checks deploy/ and docs/ against Kubernetes itself.

mod on_kubernetes;
