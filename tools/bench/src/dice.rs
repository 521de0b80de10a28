//! Chance that is the same again.

/// Numbers that look random and are the same again for the same start (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    /// The numbers that belong to a text.
    pub(crate) fn of(text: &str) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = records::sha256(text);
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

    /// A number below a limit.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Printable characters, hard to compress.
    pub(crate) fn text(&mut self, bytes: usize) -> Vec<u8> {
        (0..bytes)
            .map(|_| b' ' + u8::try_from(self.below(95)).unwrap_or(0))
            .collect()
    }

    /// One of some.
    pub(crate) fn pick(&mut self, choices: &[&'static str]) -> &'static str {
        let index = self.below(choices.len() as u64);
        usize::try_from(index)
            .ok()
            .and_then(|index| choices.get(index).copied())
            .unwrap_or_default()
    }

    /// One of some pairs.
    pub(crate) fn pick_pair(
        &mut self,
        choices: &[(&'static str, &'static str)],
    ) -> (&'static str, &'static str) {
        let index = self.below(choices.len() as u64);
        usize::try_from(index)
            .ok()
            .and_then(|index| choices.get(index).copied())
            .unwrap_or_default()
    }
}
