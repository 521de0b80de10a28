//! Which transactions a reader of the database sees.

use std::fmt;
use std::str::FromStr;

/// A snapshot as PostgreSQL writes it, `xmin:xmax:xip,...`: every transaction before `xmin`
/// is seen, none from `xmax` on, and of those between all but the listed ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    xmin: u64,
    xmax: u64,
    /// Ascending.
    in_progress: Vec<u64>,
}

impl Snapshot {
    /// A snapshot, if the numbers can be one.
    pub(crate) fn new(xmin: u64, xmax: u64, in_progress: Vec<u64>) -> Option<Self> {
        let is_ascending = in_progress.is_sorted_by(|one, next| one < next);
        let is_between = in_progress.iter().all(|xid| (xmin..xmax).contains(xid));
        // PostgreSQL refuses a snapshot that begins with 0, and numbers of 64 bits with a sign.
        let is_valid = xmin > 0 && xmin <= xmax && i64::try_from(xmax).is_ok();
        (is_ascending && is_between && is_valid).then_some(Self {
            xmin,
            xmax,
            in_progress,
        })
    }

    /// The first transaction that may not be seen.
    pub fn xmin(&self) -> u64 {
        self.xmin
    }

    pub(crate) fn xmax(&self) -> u64 {
        self.xmax
    }

    pub(crate) fn in_progress(&self) -> &[u64] {
        &self.in_progress
    }
}

/// A text that is no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a snapshot")]
pub struct NotASnapshot;

impl FromStr for Snapshot {
    type Err = NotASnapshot;

    fn from_str(text: &str) -> Result<Self, NotASnapshot> {
        let mut parts = text.split(':');
        let mut number = || parts.next()?.parse().ok();
        let (Some(xmin), Some(xmax)) = (number(), number()) else {
            return Err(NotASnapshot);
        };
        let in_progress = parts.next().ok_or(NotASnapshot)?.split(',');
        let in_progress: Result<_, _> = in_progress
            .filter(|xid| !xid.is_empty())
            .map(str::parse)
            .collect();
        Self::new(xmin, xmax, in_progress.map_err(|_| NotASnapshot)?).ok_or(NotASnapshot)
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.xmin, self.xmax)?;
        for (index, xid) in self.in_progress.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{xid}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_written_as_it_was_read() {
        for text in ["10:10:", "10:20:10,14,15", "1:9223372036854775807:"] {
            assert_eq!(text.parse::<Snapshot>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_postgresql_would_refuse_is_no_snapshot() {
        for text in [
            "",
            "10",
            "10:20",
            "0:1:",
            "20:10:",
            "10:20:9",
            "10:20:20",
            "10:20:12,12",
            "10:20:14,12",
            "10:20:x",
            "-1:1:",
            "1:9223372036854775808:",
        ] {
            assert_eq!(text.parse::<Snapshot>(), Err(NotASnapshot), "{text}");
        }
    }
}
