//! What package registries offer a machine that has not installed it: PostgreSQL and Redis out of
//! Python wheels, other programs out of Debian's packages, and the standard library for WebAssembly
//! where rustup cannot download it. Everything lies in `.data/`; nothing is installed.

pub(crate) mod apt;
pub(crate) mod debian;
pub(crate) mod debian_program;
pub(crate) mod wasi_std;
pub(crate) mod wheel;
