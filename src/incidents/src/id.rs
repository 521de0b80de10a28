//! Incident ids in paths.

/// Parses 1 to 2^63 - 1 in ASCII digits, without leading zeros: each incident has one URL.
pub fn parse_incident_id(text: &str) -> Option<i64> {
    let is_canonical = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    is_canonical.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_are_positive_and_fit_64_bits() {
        assert_eq!(parse_incident_id("1"), Some(1));
        assert_eq!(parse_incident_id("9223372036854775807"), Some(i64::MAX));
        for text in [
            "",
            "0",
            "01",
            "-1",
            "+1",
            " 1",
            "1 ",
            "1.0",
            "1e3",
            "0x1",
            "１",
            "9223372036854775808",
            "99999999999999999999999999",
            "abc",
            "1%",
        ] {
            assert_eq!(parse_incident_id(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn an_id_is_read_only_as_it_is_written(text in "[0-9+ -]{0,20}") {
            if let Some(id) = parse_incident_id(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
