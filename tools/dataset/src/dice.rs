//! Random numbers that are the same on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

pub(crate) const PERMILLE: u64 = 1_000;

/// A named, independent source of random numbers, derived from a seed.
#[derive(Clone, Debug)]
pub(crate) struct Source(ChaCha8Rng);

impl Source {
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        let key = records::sha256(&format!("{seed}/{name}"));
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Returns the dice of `number`, independent of other draws.
    pub(crate) fn dice(&self, number: u64) -> Dice {
        let mut generator = self.0.clone();
        generator.set_stream(number);
        Dice(generator)
    }
}

/// Pseudo-random integers; floating point would depend on the machine's rounding.
#[derive(Debug)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // The bias of this product is negligible for a million draws.
        let product = u128::from(self.bits()) * u128::from(limit);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// Returns a number from `least` to `most`, both included.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// Returns true with a probability of `permille` / 1000.
    pub(crate) fn chance(&mut self, permille: u64) -> bool {
        self.below(PERMILLE) < permille
    }

    #[expect(clippy::indexing_slicing, reason = "the index is below the length")]
    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        assert!(!choices.is_empty(), "there is something to pick from");
        &choices[index(self.below(choices.len() as u64))]
    }

    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, index(self.below(last as u64 + 1)));
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Weighted<T> {
    choices: Vec<T>,
    /// Cumulative weights.
    sums: Vec<u64>,
}

impl<T> Weighted<T> {
    pub(crate) fn new(choices: impl IntoIterator<Item = (T, u64)>) -> Self {
        let mut sum = 0;
        let (choices, sums) = choices
            .into_iter()
            .map(|(choice, weight)| {
                sum += weight;
                (choice, sum)
            })
            .unzip();
        Self { choices, sums }
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the drawn number is below the last sum"
    )]
    pub(crate) fn pick(&self, dice: &mut Dice) -> &T {
        let drawn = dice.below(self.sums.last().copied().unwrap_or(0));
        &self.choices[self.sums.partition_point(|sum| *sum <= drawn)]
    }

    pub(crate) fn choices(&self) -> &[T] {
        &self.choices
    }
}

pub(crate) fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_fall_the_same_on_every_machine() {
        let source = Source::new(1, "a");
        let throw = |number| {
            let mut dice = source.dice(number);
            [(); 3].map(|()| dice.below(1_000_000))
        };
        assert_eq!(throw(0), throw(0));
        assert_ne!(throw(0), throw(1));
        assert_eq!(throw(7), [964_253, 399_494, 646_743]);
    }

    #[test]
    fn a_choice_comes_up_as_often_as_it_weighs() {
        let choices = Weighted::new([('a', 1), ('b', 0), ('c', 3)]);
        let mut dice = Source::new(1, "weights").dice(0);
        let drawn: String = (0..4_000).map(|_| choices.pick(&mut dice)).collect();
        let times = |wanted| drawn.matches(wanted).count();
        assert!((900..1_100).contains(&times("a")), "{}", times("a"));
        assert_eq!(times("b"), 0);
    }

    #[test]
    fn a_chance_has_both_ends() {
        let mut dice = Source::new(1, "ends").dice(0);
        assert!((0..1_000).all(|_| !dice.chance(0) && dice.chance(PERMILLE)));
        let between: Vec<_> = (0..100).map(|_| dice.between(2, 4)).collect();
        assert!((2..=4).all(|number| between.contains(&number)));
    }
}
