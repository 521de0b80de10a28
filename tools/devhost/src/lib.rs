//! Runs a Spin application on wasmtime, for machines without the `spin` command.
//!
//! It reads the same `spin.toml` and runtime configuration, and behaves as Spin 4.0 in routes,
//! headers, instances, allowed hosts, grants, pools, types and errors. It offers WASI 0.2,
//! `wasi:http` 0.2, `spin:postgres@4.0.0`, `fermyon:spin` key-value, redis and variables 2.0.0, and
//! `wasi:keyvalue@0.2.0-draft2`. It refuses unknown manifest keys and imports at the start.
//!
//! Known differences from Spin:
//!
//! - At shutdown, running requests have 10 s to end, and the host can drain before that
//!   ([`Host::shutdown`]). Spin cuts them off.
//! - A duplicate route is an error; Spin warns.
//! - A query without rows is an error; Spin 4.0.2 waits for its columns forever.
//! - A key-value store of the type `spin` is always in memory.
//! - A key-value operation fails after 10 s without Redis; Spin's client retries for minutes.
//! - Redis is not reachable over Unix sockets; Spin 4.0.2 permits them to a guest that may reach
//!   any host.
//! - Variables come only from the environment or [`HostOptions`], read once.
//! - An invalid `allowed_outbound_hosts` is an error at the start, not on use.
//! - Outbound HTTP is HTTP/1.1 with a new connection per request. Without an entry in
//!   `[[client_tls]]`, it trusts Mozilla's certificates, not the system's.
//! - Raw sockets and local service chaining do not exist.
//! - Components write to one log, without a prefix.
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

mod bindings {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::restriction)]
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

/// Locks a mutex even if it is poisoned: no value here is left half updated.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Returns an error with its causes in debug form, as Spin shows it to guests, but without the
/// host's backtrace.
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
