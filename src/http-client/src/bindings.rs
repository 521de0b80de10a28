//! Bindings of the world `outbound-http` in `wit/worlds.wit`.

#![allow(
    clippy::all,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "generated"
)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));

// The SDK brings several versions of these packages.
pub(crate) use self::wasi::{clocks0_2_6 as clocks, http0_2_6 as http, io0_2_6 as io};
