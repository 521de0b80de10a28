//! Random numbers that are the same on every machine.

use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

pub(crate) struct Random(ChaCha8Rng);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number below `limit`, which is not 0. The bias is negligible.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.0.next_u64()) * limit as u128) >> 64) as usize
    }

    /// A text of some of the characters, of which there is at least one.
    pub(crate) fn text(&mut self, characters: &[u8], length: usize) -> String {
        let chosen = (0..length).filter_map(|_| characters.get(self.below(characters.len())));
        chosen.map(|character| char::from(*character)).collect()
    }

    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }

    /// Numbers with mean 0 and variance 1, nearly normally distributed: the sum of 12 uniform ones.
    pub(crate) fn normal(&mut self, rows: usize, columns: usize) -> Array2<f32> {
        Array2::from_shape_simple_fn((rows, columns), || {
            let uniform = (0..12).map(|_| self.0.next_u32() as f32 / u32::MAX as f32);
            uniform.sum::<f32>() - 6.0
        })
    }
}
