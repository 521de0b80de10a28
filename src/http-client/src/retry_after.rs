//! Parses the headers with which a server asks for a wait.

use std::time::{Duration, SystemTime};

/// Parses `retry-after-ms`, possibly fractional, which the clients of OpenAI and Azure prefer.
pub(crate) fn read_retry_after_ms(value: &[u8]) -> Option<Duration> {
    let milliseconds: f64 = str::from_utf8(value).ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(milliseconds / 1000.0).ok()
}

/// Parses `Retry-After` (RFC 9110, 10.2.3), in seconds or as a date. A past date means no wait.
pub(crate) fn read_retry_after(value: &[u8], now: SystemTime) -> Option<Duration> {
    let value = str::from_utf8(value).ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too large for u64 means the longest wait.
        return Some(value.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn retry_after_is_read_in_each_of_its_forms() {
        // 1994-11-06T08:49:37Z
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, seconds) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 5 ", Some(5)),
            ("Sun, 06 Nov 1994 08:49:40 GMT", Some(3)),
            ("Sunday, 06-Nov-94 08:49:40 GMT", Some(3)),
            ("Sun Nov  6 08:49:40 1994", Some(3)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("+1", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:49:40 CET", None),
        ] {
            let delay = read_retry_after(value.as_bytes(), now);
            assert_eq!(delay, seconds.map(Duration::from_secs), "{value:?}");
        }
        let endless = read_retry_after(b"99999999999999999999999", now);
        assert_eq!(endless, Some(Duration::MAX));
        assert_eq!(read_retry_after(&[0xff], now), None);
    }

    #[test]
    fn milliseconds_are_read_with_and_without_a_fraction() {
        for (value, microseconds) in [
            ("0", Some(0)),
            (" 250 ", Some(250_000)),
            ("1500.5", Some(1_500_500)),
            ("", None),
            ("-1", None),
            ("NaN", None),
            ("inf", None),
            ("1s", None),
        ] {
            let delay = read_retry_after_ms(value.as_bytes());
            assert_eq!(delay, microseconds.map(Duration::from_micros), "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_passed_over(value in prop::collection::vec(any::<u8>(), 0..40)) {
            read_retry_after(&value, UNIX_EPOCH);
            read_retry_after_ms(&value);
        }
    }
}
