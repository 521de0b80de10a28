//! Entity tags (RFC 9110, section 8.8.3).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

const HASH_BYTES: usize = 16;

/// Returns the strong tag of a body.
pub(crate) fn entity_tag(body: &[u8]) -> String {
    let hash = Sha256::digest(body);
    let hash: Vec<u8> = hash.into_iter().take(HASH_BYTES).collect();
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(hash))
}

/// Whether `If-None-Match` matches, by weak comparison (RFC 9110, section 13.1.2).
pub(crate) fn names_tag(if_none_match: &str, tag: &str) -> bool {
    if_none_match.trim() == "*"
        || if_none_match
            .split(',')
            .map(str::trim)
            .any(|named| named.strip_prefix("W/").unwrap_or(named) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_named_alone_in_a_list_weakly_or_by_a_star() {
        let tag = entity_tag(b"body");
        for header in [
            tag.clone(),
            format!("W/{tag}"),
            format!("\"other\" , {tag}"),
            " * ".to_owned(),
        ] {
            assert!(names_tag(&header, &tag), "{header}");
        }
        for header in ["", "\"other\"", "W/\"other\"", tag.trim_matches('"')] {
            assert!(!names_tag(header, &tag), "{header}");
        }
        assert_ne!(tag, entity_tag(b"bodz"));
    }
}
