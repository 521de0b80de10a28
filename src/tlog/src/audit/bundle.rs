//! Bundles of entries: each entry after its length in two bytes (c2sp.org/tlog-tiles).

/// Splits a bundle into its entries; `None` if the last one is cut off.
pub fn split_bundle(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (entry, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        entries.push(entry);
        bytes = rest;
    }
    bytes.is_empty().then_some(entries)
}

/// Joins entries to a bundle; `None` if one has more than 65,535 bytes.
pub fn join_bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).ok()?;
        bytes.extend(length.to_be_bytes());
        bytes.extend(entry);
    }
    Some(bytes)
}
