//! Cursors that are a number: where a page of a list that only grows ended.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Far beyond every list, and far enough from the end of the numbers to go on from.
pub(crate) const PLACE_MAX: i64 = i64::MAX / 2;

/// Writes the cursor of a list, whose name may be followed by the mark of its filter. Opaque to
/// clients, so that it can come to mean more.
pub(crate) fn write_place(list: &str, place: i64) -> String {
    URL_SAFE_NO_PAD.encode(format!("{list} {place}"))
}

/// Reads a cursor: its list and place.
pub(crate) fn parse_place(text: &str) -> Option<(String, i64)> {
    let written = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let (list, place) = written.rsplit_once(' ')?;
    let place = place.parse().ok()?;
    ((0..=PLACE_MAX).contains(&place) && write_place(list, place) == text)
        .then(|| (list.to_owned(), place))
}
