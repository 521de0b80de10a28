//! Runs a Spin application on wasmtime where the `spin` command cannot be had.
//!
//! It reads the same `spin.toml` and runtime configuration, and does what Spin 4.0 does where
//! a guest, a client or a database can tell: routes and headers, one fresh instance per
//! request, allowed hosts, grants, pools, types and errors. It offers WASI 0.2,
//! `wasi:http` 0.2, `spin:postgres@4.0.0`, `fermyon:spin` key-value, redis and variables 2.0.0
//! and `wasi:keyvalue@0.2.0-draft2`, and nothing else; what it does not know, in a manifest or a
//! component, it refuses at the start.
//!
//! Where it differs from Spin knowingly:
//!
//! - Told to end, it lets running requests end, for 10 s; before that it can go on answering
//!   for a while, as not ready ([`Host::shutdown`]). Spin cuts off what runs.
//! - A route that is there twice is an error; Spin warns.
//! - A result without rows is an error; Spin 4.0.2 waits for its columns for ever.
//! - The key-value store of the type `spin` is in memory always.
//! - A key-value store in a Redis that is down is given up after ten seconds; Spin's client
//!   tries for minutes.
//! - Redis is not reached over Unix sockets; Spin 4.0.2 lets a guest that may reach any host
//!   connect to those of its machine.
//! - Variables come from the environment or [`HostOptions`] only, once; a wrong
//!   `allowed_outbound_hosts` is an error at the start, not on use.
//! - Outbound HTTP is HTTP/1.1, with a new connection for each request; without an entry in
//!   `[[client_tls]]`, the system's certificates do not count for it, Mozilla's do. Raw sockets and local
//!   service chaining do not exist.
//! - What components write goes to one log, as it was written.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! let host = devhost::Host::start(devhost::HostOptions::new("spin.toml")).await?;
//! println!("http://{}", host.address());
//! host.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod allowed_hosts;
mod app;
mod client_tls;
mod engine;
mod host;
mod https;
mod key_value;
mod log;
mod manifest;
mod outbound;
mod postgres;
mod redis_client;
mod routes;
mod runtime_config;
mod server;
mod state;
mod variables;

pub use host::{Host, HostOptions, READINESS_PATHS};
pub use log::LogSink;
pub use manifest::Route;

/// What `bindgen!` makes of the interfaces that `build.rs` lists.
mod bindings {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::restriction)]
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

/// Locks a mutex, whether or not a thread panicked with it: no value here is left half made.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// An error with its causes, as guests are shown it by Spin: the debug form, but without a
/// backtrace of the host, which `RUST_BACKTRACE` would put into it.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    let causes: Vec<_> = error.chain().skip(1).collect();
    if !causes.is_empty() {
        text += "\n\nCaused by:";
    }
    for (index, cause) in causes.iter().enumerate() {
        text += &match causes.len() {
            1 => format!("\n    {cause}"),
            _ => format!("\n{index:5}: {cause}"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::with_causes;
    use anyhow::anyhow;

    #[test]
    fn causes_are_told_in_the_form_that_spin_tells_them() {
        let error = anyhow!("a");
        assert_eq!(with_causes(&error), "a");
        let error = error.context("b");
        assert_eq!(with_causes(&error), "b\n\nCaused by:\n    a");
        let error = error.context("c");
        assert_eq!(with_causes(&error), "c\n\nCaused by:\n    0: b\n    1: a");
    }
}
