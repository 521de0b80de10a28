//! The counters that all metrics consist of.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Upper bounds of histogram buckets, including the service levels' 100, 250 and 500 ms.
pub(crate) const BOUNDS_MICROSECONDS: [u64; 12] = [
    2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// Upper bound of a bucket in microseconds; `None` for the last.
pub(crate) type Bucket = Option<u64>;

pub(crate) fn bucket_of(duration: Duration) -> Bucket {
    let duration = microseconds(duration);
    BOUNDS_MICROSECONDS
        .into_iter()
        .find(|bound| duration.cast_unsigned() <= *bound)
}

pub(crate) fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A monotonic counter. Its JSON names a field of a Redis hash. Buckets are named by their bounds,
/// so that the bounds can change. Durations are whole microseconds, as Redis adds integers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Counter {
    /// Method, path, status, bucket.
    Request(String, String, u16, Bucket),
    /// Method, path.
    RequestMicroseconds(String, String),
    /// Kind, whether it was a replay.
    Stored(String, bool),
    /// Kind or batch, whether the service is at fault.
    NotStored(String, bool),
    /// Kind or batch, bucket.
    Write(String, Bucket),
    /// Kind or batch.
    WriteMicroseconds(String),
    /// Whether the cache had the vector.
    Cache(bool),
    /// A vector that the database had.
    Reused,
    /// Model, bucket.
    Generation(String, Bucket),
    /// Model.
    GenerationMicroseconds(String),
    /// SQLSTATE class.
    DatabaseWriteError(String),
    /// Outcome: signed, lost or failed.
    LogRound(String),
}

impl Counter {
    pub(crate) fn field(&self) -> String {
        // Serializing strings and numbers cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Parses a field name; `None` if another version wrote it.
    pub(crate) fn read(field: &str) -> Option<Self> {
        serde_json::from_str(field).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bucket_includes_its_bound() {
        let bucket = |micros| bucket_of(Duration::from_micros(micros));
        assert_eq!(bucket(0), Some(2_500));
        assert_eq!(bucket(250_000), Some(250_000));
        assert_eq!(bucket(250_001), Some(500_000));
        assert_eq!(bucket(10_000_000), Some(10_000_000));
        assert_eq!(bucket(10_000_001), None);
        assert_eq!(bucket_of(Duration::MAX), None);
        assert!(BOUNDS_MICROSECONDS.is_sorted());
    }

    #[test]
    fn a_field_of_another_version_is_no_counter() {
        for field in ["", "{}", r#"{"other":["a"]}"#, r#"{"cache":"a"}"#, "1"] {
            assert_eq!(Counter::read(field), None, "{field}");
        }
    }

    proptest! {
        #[test]
        fn a_counter_is_read_back_as_it_was_written(
            one in ".{0,20}", two in ".{0,20}", status: u16, bucket: Option<u64>, flag: bool
        ) {
            for counter in [
                Counter::Request(one.clone(), two.clone(), status, bucket),
                Counter::RequestMicroseconds(one.clone(), two.clone()),
                Counter::Stored(one.clone(), flag),
                Counter::NotStored(one.clone(), flag),
                Counter::Write(one.clone(), bucket),
                Counter::WriteMicroseconds(one.clone()),
                Counter::Cache(flag),
                Counter::Reused,
                Counter::Generation(one.clone(), bucket),
                Counter::GenerationMicroseconds(one.clone()),
                Counter::DatabaseWriteError(two.clone()),
                Counter::LogRound(two.clone()),
            ] {
                prop_assert_eq!(Counter::read(&counter.field()), Some(counter));
            }
        }
    }
}
