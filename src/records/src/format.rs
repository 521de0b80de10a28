//! Text forms of field values.

use chrono::{DateTime, Datelike as _, FixedOffset, Timelike as _};

const NANOSECONDS: u32 = 1_000_000_000;

/// `0001-01-01T00:00:00Z` in seconds since 1970.
const ZERO_TIME: i64 = -62_135_596_800;

/// Longest correlation id, in characters.
pub const CORRELATION_ID_CHARACTERS_MAX: usize = 128;

/// Whether a text is a correlation id: 1 to 128 characters of `A-Z a-z 0-9 . _ : -`.
pub fn is_correlation_id(text: &str) -> bool {
    (1..=CORRELATION_ID_CHARACTERS_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-'))
}

/// A DNS-1123 label of any length (RFC 1123, section 2.1, as Kubernetes applies it).
pub(crate) fn is_dns_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

pub(crate) fn is_dns_subdomain(text: &str) -> bool {
    text.split('.').all(is_dns_label)
}

pub(crate) fn is_fingerprint(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Parses an RFC 3339 timestamp in the years 1 to 9999 UTC, as PostgreSQL can write back.
pub fn parse_timestamp(text: &str) -> Option<DateTime<FixedOffset>> {
    // chrono also accepts a space before the time and a minus sign beyond ASCII.
    if !text.is_ascii() || !matches!(text.as_bytes().get(10), Some(b'T' | b't')) {
        return None;
    }
    let timestamp = DateTime::parse_from_rfc3339(text).ok()?;
    // chrono counts a leap second as extra nanoseconds; like PostgreSQL, use the next minute.
    let nanoseconds = timestamp.timestamp_subsec_nanos();
    let leap = i64::from(nanoseconds / NANOSECONDS);
    let instant =
        DateTime::from_timestamp(timestamp.timestamp() + leap, nanoseconds % NANOSECONDS)?;
    // A leap second ends a month of UTC (RFC 3339, section 5.7).
    let is_allowed = leap == 0 || (instant.day() == 1 && instant.num_seconds_from_midnight() == 0);
    ((1..=9999).contains(&instant.year()) && is_allowed)
        .then(|| instant.with_timezone(timestamp.offset()))
}

/// Whether a time is Go's `time.Time{}` in any offset, which means not set.
pub fn is_zero_time(time: DateTime<FixedOffset>) -> bool {
    time.timestamp() == ZERO_TIME && time.nanosecond() == 0
}

/// Number of digits of a second's fraction, without trailing zeros.
pub(crate) fn fraction_digits(time: DateTime<FixedOffset>) -> u16 {
    let mut nanoseconds = time.nanosecond() % NANOSECONDS;
    let mut digits = 9;
    while digits > 0 && nanoseconds.is_multiple_of(10) {
        nanoseconds /= 10;
        digits -= 1;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlation_ids_are_bounded_and_have_a_fixed_alphabet() {
        assert!(is_correlation_id("req-2025-10-06-abc123"));
        assert!(is_correlation_id("A.b_c:d-9"));
        assert!(is_correlation_id(&"x".repeat(128)));
        for text in ["", "a b", "a/b", "ü", "a\n", "a\0"] {
            assert!(!is_correlation_id(text), "{text:?}");
        }
        assert!(!is_correlation_id(&"x".repeat(129)));
    }

    #[test]
    fn a_time_that_is_not_set_is_one_instant_in_any_offset() {
        for text in [
            "0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00.000Z",
            "0001-01-01T05:30:00+05:30",
        ] {
            assert!(is_zero_time(parse_timestamp(text).unwrap()), "{text}");
        }
        for text in [
            "0001-01-01T00:00:00.000000001Z",
            "0001-01-01T00:00:01Z",
            "0001-01-01T01:00:00Z",
            "2026-01-01T00:00:00Z",
        ] {
            assert!(!is_zero_time(parse_timestamp(text).unwrap()), "{text}");
        }
    }

    #[test]
    fn zeros_at_the_end_of_a_fraction_do_not_count() {
        for (fraction, digits) in [
            ("", 0),
            (".000", 0),
            (".5", 1),
            (".120", 2),
            (".123456789", 9),
        ] {
            let time = parse_timestamp(&format!("2026-11-01T10:00:00{fraction}Z")).unwrap();
            assert_eq!(fraction_digits(time), digits, "{fraction}");
        }
    }

    #[test]
    fn dns_names_follow_kubernetes() {
        for name in ["a", "0", "a-b", "a.b", "a-1.b-2.c", "1.2"] {
            assert!(is_dns_subdomain(name), "{name:?}");
        }
        for name in [
            "", ".", "a.", ".a", "a..b", "-a", "a-", "a.-b", "A", "a_b", "ä",
        ] {
            assert!(!is_dns_subdomain(name), "{name:?}");
        }
        assert!(!is_dns_label("a.b"));
    }

    #[test]
    fn timestamps_need_a_date_a_time_and_an_offset() {
        for text in [
            "2025-11-01T10:00:00Z",
            "2025-11-01t10:00:00z",
            "2025-11-01T10:00:00.123456789+05:30",
            "2025-11-01T10:00:00-00:00",
            "2016-12-31T23:59:60Z",
            "2017-01-01T01:59:60.5+02:00",
            "2024-02-29T00:00:00Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
        ] {
            assert!(parse_timestamp(text).is_some(), "{text}");
        }
        for text in [
            "",
            "2025-11-01",
            "2025-11-01T10:00:00",
            "2025-11-01 10:00:00Z",
            "2025-11-01T10:00Z",
            "2025-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-11-01T24:00:00Z",
            "0000-12-31T00:00:00Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "9999-12-31T23:59:60Z",
            "2026-11-01T10:00:60Z",
            "2026-11-01T10:00:00\u{2212}05:00",
            "20251101T100000Z",
            "+2025-11-01T10:00:00Z",
            " 2025-11-01T10:00:00Z",
        ] {
            assert!(parse_timestamp(text).is_none(), "{text}");
        }
    }
}
