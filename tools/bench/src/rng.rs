//! Reproducible random numbers.

/// A SplitMix64 generator: the same seed gives the same numbers.
pub(crate) struct Rng(u64);

impl Rng {
    /// A generator seeded with the hash of a text.
    pub(crate) fn new(seed: &str) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = records::sha256(seed);
        Self(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }

    /// Any number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Printable ASCII that hardly compresses.
    pub(crate) fn text(&mut self, bytes: usize) -> Vec<u8> {
        (0..bytes)
            .map(|_| b' ' + u8::try_from(self.below(95)).unwrap_or(0))
            .collect()
    }

    /// One of several choices; the default of `T` if there are none.
    pub(crate) fn pick<T: Copy + Default>(&mut self, choices: &[T]) -> T {
        usize::try_from(self.below(choices.len().max(1) as u64))
            .ok()
            .and_then(|index| choices.get(index).copied())
            .unwrap_or_default()
    }
}
