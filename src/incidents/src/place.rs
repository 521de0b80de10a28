//! Cursors that are a number: where a page of a list that only grows ended.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Far beyond every list, and far enough from the end of the numbers to go on from.
pub(crate) const PLACE_MAX: i64 = i64::MAX / 2;

/// Writes the cursor of a list. Opaque to clients, so that it can come to mean more.
pub(crate) fn write_place(list: &str, place: i64) -> String {
    URL_SAFE_NO_PAD.encode(format!("{list} {place}"))
}

/// Reads a cursor of this list.
pub(crate) fn parse_place(list: &str, text: &str) -> Option<i64> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let place = std::str::from_utf8(&bytes).ok()?.strip_prefix(list)?;
    let place = place.strip_prefix(' ')?.parse().ok()?;
    ((0..=PLACE_MAX).contains(&place) && write_place(list, place) == text).then_some(place)
}
