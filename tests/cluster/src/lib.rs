//! A Kubernetes control plane of a test's own (etcd, the API server, the controller manager), kubectl
//! for it, and spin-operator or what stands in for it.
//!
//! There are no nodes: pods are made and admitted, and never run.

mod control_plane;
mod kinds;
mod kubectl;
mod operator;
mod tokens;

pub use control_plane::ControlPlane;
pub use kubectl::{Kubectl, Output};
pub use operator::Operator;
pub use tokens::{Claims, SigningKey};

/// The namespace that deploy/ is for.
pub const NAMESPACE: &str = "kubernaut-system";

/// The project's folder.
pub fn project() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("tests/cluster lies in the project")
        .to_owned()
}
