//! What tables and indexes take on disk.

use std::fmt::Write as _;

use dataset::Size;
use serde::Serialize;

const MEBIBYTE: f64 = 1_048_576.0;

/// All of them, partitions together, the largest first.
#[derive(Debug, Serialize)]
pub(crate) struct Disk {
    /// How many incidents there are.
    pub(crate) incidents: i64,
    /// What each takes.
    pub(crate) parts: Vec<Part>,
}

/// A table or an index.
#[derive(Debug, Serialize)]
pub(crate) struct Part {
    name: String,
    is_index: bool,
    bytes: i64,
    bytes_per_million_incidents: f64,
}

impl Disk {
    /// What so many incidents take.
    pub(crate) fn new(sizes: Vec<Size>, incidents: i64) -> Self {
        let millions = incidents.max(1) as f64 / 1e6;
        let parts = sizes
            .into_iter()
            .map(|size| Part {
                bytes_per_million_incidents: size.bytes as f64 / millions,
                name: size.name,
                is_index: size.is_index,
                bytes: size.bytes,
            })
            .collect();
        Self { incidents, parts }
    }

    /// As a table of Markdown.
    pub(crate) fn to_markdown(&self) -> String {
        let mut text = format!(
            "{} incidents:\n\n| MiB on disk | MiB per million incidents | |\n|---:|---:|---|\n",
            self.incidents
        );
        let mut line = |bytes: i64, per_million: f64, what: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "| {:.1} | {:.1} | {what} |",
                bytes as f64 / MEBIBYTE,
                per_million / MEBIBYTE
            );
        };
        for part in &self.parts {
            let sort = if part.is_index { "index" } else { "table" };
            line(
                part.bytes,
                part.bytes_per_million_incidents,
                &format!("{sort} {}", part.name),
            );
        }
        line(
            self.parts.iter().map(|part| part.bytes).sum(),
            self.parts
                .iter()
                .map(|part| part.bytes_per_million_incidents)
                .sum(),
            "all of it",
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_also_told_per_million_incidents_and_added_up() {
        let size = |name: &str, is_index, bytes| Size {
            name: name.to_owned(),
            is_index,
            bytes,
        };
        let sizes = vec![
            size("incidents", false, 2 << 20),
            size("by_time", true, 1 << 20),
        ];
        let text = Disk::new(sizes, 500_000).to_markdown();
        assert!(text.contains("| 2.0 | 4.0 | table incidents |"), "{text}");
        assert!(text.contains("| 1.0 | 2.0 | index by_time |"), "{text}");
        assert!(text.contains("| 3.0 | 6.0 | all of it |"), "{text}");
    }
}
