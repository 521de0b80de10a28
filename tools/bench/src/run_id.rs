//! A run's name: part of the names of the records it writes.

use anyhow::{Result, ensure};
use chrono::Utc;

/// A run's name must fit into names of Kubernetes objects and SQL patterns.
pub(crate) fn parse_run_id(text: &str) -> Result<String> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    ensure!(
        (1..=40).contains(&text.len()) && text.bytes().all(is_plain),
        "a run's name is 1 to 40 lower-case letters and digits"
    );
    Ok(text.to_owned())
}

/// The run's name, if it was given none.
pub(crate) fn run_id_from_clock() -> String {
    format!("{:x}", Utc::now().timestamp_millis())
}
