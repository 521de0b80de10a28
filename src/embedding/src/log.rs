//! Lines of the log.

use std::io::{self, Write as _};

/// Writes a line of JSON to the log, at once: the lines of requests that run beside each other
/// must not mix.
pub fn log_line(json: &str) {
    // Where it cannot be written there is nobody to tell.
    let _ = io::stderr().write_all(format!("{json}\n").as_bytes());
}
