//! Finds which of the known values of some hashes are the signed ones.

use crate::hash::Hash;

/// The values that sources give for one hash. All values of a list of them stand in the same order
/// of sources.
pub(super) type Options = Vec<Option<Hash>>;

/// Most combinations that are tried.
const COMBINATIONS_MAX: usize = 1024;

/// Returns the hashes that `is_signed` accepts: all of one source, or else a combination.
pub(super) fn solve(options: &[Options], is_signed: impl Fn(&[Hash]) -> bool) -> Option<Vec<Hash>> {
    let sources = options.iter().map(Vec::len).max().unwrap_or(0).max(1);
    for source in 0..sources {
        let hashes: Vec<Hash> = options
            .iter()
            .map(|options| of_source(options, source))
            .collect::<Option<_>>()?;
        if is_signed(&hashes) {
            return Some(hashes);
        }
    }
    let mut hashes: Vec<Hash> = Vec::new();
    let mut open: Vec<(usize, Vec<Hash>)> = Vec::new();
    let mut combinations: usize = 1;
    for (at, options) in options.iter().enumerate() {
        let mut values: Vec<Hash> = Vec::new();
        for value in options.iter().flatten() {
            if !values.contains(value) {
                values.push(*value);
            }
        }
        hashes.push(*values.first()?);
        if values.len() > 1 {
            combinations = combinations.saturating_mul(values.len());
            open.push((at, values));
        }
    }
    if combinations > COMBINATIONS_MAX {
        return None;
    }
    (0..combinations).find_map(|mut choice| {
        for (at, values) in &open {
            if let (Some(hash), Some(value)) =
                (hashes.get_mut(*at), values.get(choice % values.len()))
            {
                *hash = *value;
            }
            choice /= values.len();
        }
        is_signed(&hashes).then(|| hashes.clone())
    })
}

/// What a source gives, or another one if that does not know the hash.
fn of_source(options: &Options, source: usize) -> Option<Hash> {
    let own = options.get(source).copied().flatten();
    own.or_else(|| options.iter().flatten().next().copied())
}
