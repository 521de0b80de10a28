//! Measures how well a model finds incidents by questions in other words.

use std::fmt;

use ndarray::Array2;

/// How far ahead the right incident was among all incidents of a set.
pub(crate) struct Ranks(Vec<f64>);

impl Ranks {
    /// Ranks by the cosine of vectors of length 1. Questions stand in the order of the incidents,
    /// two for each.
    pub(crate) fn of(questions: &Array2<f32>, incidents: &Array2<f32>) -> Self {
        let cosines = questions.dot(&incidents.t());
        let ranks = cosines.rows().into_iter().enumerate().map(|(number, row)| {
            let own = row.get(number / 2).copied().unwrap_or(f32::NEG_INFINITY);
            let nearer = row.iter().filter(|one| **one > own).count();
            let as_near = row.iter().filter(|one| **one == own).count();
            // Among equals, the one in the middle.
            1.0 + nearer as f64 + (as_near.saturating_sub(1)) as f64 / 2.0
        });
        Self(ranks.collect())
    }

    /// Mean of 1 / rank.
    pub(crate) fn reciprocal(&self) -> f64 {
        self.mean(|rank| 1.0 / rank)
    }

    /// Share of the questions whose incident is among the first `count`.
    pub(crate) fn recall(&self, count: f64) -> f64 {
        self.mean(|rank| if rank <= count { 1.0 } else { 0.0 })
    }

    fn mean(&self, of: impl Fn(f64) -> f64) -> f64 {
        self.0.iter().map(|rank| of(*rank)).sum::<f64>() / self.0.len() as f64
    }
}

impl fmt::Display for Ranks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:.3}", self.reciprocal())?;
        for count in [1.0, 5.0, 10.0] {
            write!(formatter, " | {:.0} %", 100.0 * self.recall(count))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_rank_counts_the_incidents_that_are_nearer() {
        let incidents = array![[1.0, 0.0], [0.0, 1.0]];
        let questions = array![[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [0.5, 0.5]];
        let ranks = Ranks::of(&questions, &incidents);
        assert_eq!(ranks.0, [1.0, 2.0, 1.0, 1.5]);
        assert_eq!(ranks.recall(1.0), 0.5);
        assert_eq!(ranks.to_string(), "0.792 | 50 % | 100 % | 100 %");
    }
}
