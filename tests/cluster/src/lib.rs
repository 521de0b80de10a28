//! A Kubernetes control plane for tests (etcd, API server, controller manager), kubectl, and
//! spin-operator or its stand-in. It has no nodes: pods are admitted but never run.

mod control_plane;
mod kinds;
mod kubectl;
mod operator;
mod tokens;

pub use control_plane::ControlPlane;
pub use kubectl::{Kubectl, Output};
pub use operator::Operator;
pub use tokens::{Claims, SigningKey};

/// Namespace of the objects in deploy/.
pub const NAMESPACE: &str = "kubernaut-system";

/// Returns the project's folder.
pub fn project() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("tests/cluster lies in the project")
        .to_owned()
}
