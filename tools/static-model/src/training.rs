//! Fits the tokens' vectors, so that their sums have the directions of a teacher's vectors
//! (distillation) and so that a question is nearer to its own text than to others (contrastive
//! learning with the other pairs of a batch as negatives).

use ndarray::{Array1, Array2, Axis, Zip};

use crate::projection::normalize;
use crate::random::Random;

const EPOCHS: usize = 6;
const BATCH: usize = 256;
/// Learning rate at the start; it falls to 0 evenly.
const LEARNING_RATE: f32 = 2e-3;
/// Weight of the questions beside the teacher's vectors.
const QUESTIONS_WEIGHT: f32 = 0.1;
/// Divides the cosine of a question and a text: the smaller, the more the nearest texts count.
const TEMPERATURE: f32 = 0.1;

/// The tokens of a text, as rows of a matrix.
pub(crate) type Tokens = Vec<usize>;

/// What the vectors are fitted to.
pub(crate) struct Lessons {
    /// Texts.
    pub(crate) texts: Vec<Tokens>,
    /// The teacher's vector of each text, of length 1.
    pub(crate) targets: Array2<f32>,
    /// Questions, each with the text that it asks for.
    pub(crate) questions: Vec<(Tokens, Tokens)>,
}

/// Fits rows to lessons.
pub(crate) fn fit(rows: &mut Array2<f32>, lessons: &Lessons, random: &mut Random) {
    let mut optimizer = Optimizer::new(rows);
    let mut order: Vec<usize> = (0..lessons.texts.len()).collect();
    let mut pairs: Vec<usize> = (0..lessons.questions.len()).collect();
    let steps = EPOCHS * order.len().div_ceil(BATCH);
    let mut step = 0;
    for epoch in 1..=EPOCHS {
        random.shuffle(&mut order);
        let mut distance = 0.0;
        for batch in order.chunks(BATCH) {
            let mut gradient = Array2::zeros(rows.dim());
            distance += imitate(rows, lessons, batch, &mut gradient);
            random.shuffle(&mut pairs);
            let chosen = pairs.get(..BATCH.min(pairs.len())).unwrap_or_default();
            tell_apart(rows, lessons, chosen, &mut gradient);
            let rate = LEARNING_RATE * (1.0 - step as f32 / steps as f32);
            step += 1;
            optimizer.step(rows, &gradient, rate, step);
        }
        let distance = distance / order.len() as f32;
        println!("Epoch {epoch} of {EPOCHS}: mean cosine distance to the teacher {distance:.3}");
    }
}

/// Sums of rows, scaled to length 1.
struct Sums {
    vectors: Array2<f32>,
    lengths: Vec<f32>,
}

impl Sums {
    fn of<'a>(rows: &Array2<f32>, texts: impl ExactSizeIterator<Item = &'a Tokens>) -> Self {
        let mut vectors = Array2::zeros((texts.len(), rows.ncols()));
        let mut lengths = Vec::with_capacity(texts.len());
        for (mut vector, tokens) in vectors.rows_mut().into_iter().zip(texts) {
            for token in tokens {
                vector += &rows.row(*token);
            }
            lengths.push(normalize(&mut vector));
        }
        Self { vectors, lengths }
    }

    /// Adds to the gradient of the rows, given that of the vectors.
    fn backward<'a>(
        &self,
        of_vectors: &Array2<f32>,
        texts: impl Iterator<Item = &'a Tokens>,
        gradient: &mut Array2<f32>,
    ) {
        let vectors = self.vectors.rows().into_iter().zip(of_vectors.rows());
        for (((vector, change), length), tokens) in vectors.zip(&self.lengths).zip(texts) {
            let along = vector.dot(&change);
            let of_sum: Array1<f32> = (&change - &(&vector * along)) / length.max(1e-9);
            for token in tokens {
                let mut row = gradient.row_mut(*token);
                row += &of_sum;
            }
        }
    }
}

/// Adds the gradient of the mean cosine distance to the teacher's vectors; returns the sum.
fn imitate(
    rows: &Array2<f32>,
    lessons: &Lessons,
    batch: &[usize],
    gradient: &mut Array2<f32>,
) -> f32 {
    let texts = batch.iter().filter_map(|index| lessons.texts.get(*index));
    let texts: Vec<&Tokens> = texts.collect();
    let targets = lessons.targets.select(Axis(0), batch);
    let sums = Sums::of(rows, texts.iter().copied());
    let of_vectors = &targets / -(batch.len() as f32);
    sums.backward(&of_vectors, texts.into_iter(), gradient);
    batch.len() as f32 - (&sums.vectors * &targets).sum()
}

/// Adds the gradient of the mean cross-entropy of finding each question's text among the texts of a
/// batch, and each text's question among the questions.
fn tell_apart(rows: &Array2<f32>, lessons: &Lessons, batch: &[usize], gradient: &mut Array2<f32>) {
    let pairs = batch
        .iter()
        .filter_map(|index| lessons.questions.get(*index));
    let (questions, texts): (Vec<_>, Vec<_>) = pairs.map(|(left, right)| (left, right)).unzip();
    let of_questions = Sums::of(rows, questions.iter().copied());
    let of_texts = Sums::of(rows, texts.iter().copied());
    let cosines = of_questions.vectors.dot(&of_texts.vectors.t());
    let scaled = cosines / TEMPERATURE;
    let by_question = softmax(scaled.clone());
    let by_text = softmax(scaled.reversed_axes()).reversed_axes();
    let right = 2.0 * Array2::<f32>::eye(batch.len());
    let factor = QUESTIONS_WEIGHT / (2.0 * batch.len() as f32 * TEMPERATURE);
    let change = (by_question + by_text - right) * factor;
    let change_of_questions = change.dot(&of_texts.vectors);
    of_questions.backward(&change_of_questions, questions.into_iter(), gradient);
    let change_of_texts = change.t().dot(&of_questions.vectors);
    of_texts.backward(&change_of_texts, texts.into_iter(), gradient);
}

/// Softmax of each row.
fn softmax(mut rows: Array2<f32>) -> Array2<f32> {
    for mut row in rows.rows_mut() {
        let greatest = row.fold(f32::NEG_INFINITY, |greatest, one| greatest.max(*one));
        row.mapv_inplace(|one| (one - greatest).exp());
        row /= row.sum();
    }
    rows
}

/// Adam ([Kingma and Ba, 2015](https://arxiv.org/abs/1412.6980)).
struct Optimizer {
    means: Array2<f32>,
    squares: Array2<f32>,
}

impl Optimizer {
    const MEAN_DECAY: f32 = 0.9;
    const SQUARE_DECAY: f32 = 0.999;

    fn new(rows: &Array2<f32>) -> Self {
        Self {
            means: Array2::zeros(rows.dim()),
            squares: Array2::zeros(rows.dim()),
        }
    }

    fn step(&mut self, rows: &mut Array2<f32>, gradient: &Array2<f32>, rate: f32, step: usize) {
        let step = i32::try_from(step).unwrap_or(i32::MAX);
        let mean_scale = 1.0 / (1.0 - Self::MEAN_DECAY.powi(step));
        let square_scale = 1.0 / (1.0 - Self::SQUARE_DECAY.powi(step));
        Zip::from(rows)
            .and(gradient)
            .and(&mut self.means)
            .and(&mut self.squares)
            .for_each(|row, gradient, mean, square| {
                *mean += (1.0 - Self::MEAN_DECAY) * (gradient - *mean);
                *square += (1.0 - Self::SQUARE_DECAY) * (gradient * gradient - *square);
                *row -= rate * *mean * mean_scale / ((*square * square_scale).sqrt() + 1e-8);
            });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lessons(random: &mut Random) -> Lessons {
        let mut targets = random.normal(3, 4);
        for mut target in targets.rows_mut() {
            normalize(&mut target);
        }
        Lessons {
            texts: vec![vec![0, 1], vec![1, 2, 2], vec![3]],
            targets,
            questions: vec![(vec![4], vec![0, 1]), (vec![5, 2], vec![3])],
        }
    }

    /// What `tell_apart` descends, computed from its definition.
    fn confusion(rows: &Array2<f32>, lessons: &Lessons) -> f32 {
        let of = |index: usize| {
            let pair = &lessons.questions[index];
            let sum = |tokens: &Tokens| {
                Sums::of(rows, std::iter::once(tokens))
                    .vectors
                    .row(0)
                    .to_owned()
            };
            (sum(&pair.0), sum(&pair.1))
        };
        let pairs: Vec<_> = (0..lessons.questions.len()).map(of).collect();
        let fit = |question: usize, text: usize| {
            (pairs[question].0.dot(&pairs[text].1) / TEMPERATURE).exp()
        };
        let count = pairs.len();
        let losses = (0..count).map(|own| {
            let by_question: f32 = (0..count).map(|other| fit(own, other)).sum();
            let by_text: f32 = (0..count).map(|other| fit(other, own)).sum();
            -(fit(own, own) / by_question).ln() - (fit(own, own) / by_text).ln()
        });
        QUESTIONS_WEIGHT * losses.sum::<f32>() / (2 * count) as f32
    }

    #[test]
    fn the_gradients_are_the_slopes_of_what_is_minimized() {
        let random = &mut Random::new(3);
        let lessons = lessons(random);
        let rows = random.normal(6, 4);
        let batch: Vec<usize> = (0..3).collect();
        let distance = |rows: &Array2<f32>| {
            imitate(rows, &lessons, &batch, &mut Array2::zeros(rows.dim())) / 3.0
        };
        let mut of_distance = Array2::zeros(rows.dim());
        imitate(&rows, &lessons, &batch, &mut of_distance);
        let mut of_confusion = Array2::zeros(rows.dim());
        tell_apart(&rows, &lessons, &[0, 1], &mut of_confusion);
        let step = 1e-2;
        for (place, _) in rows.indexed_iter() {
            let slope = |of: &dyn Fn(&Array2<f32>) -> f32| {
                let (mut above, mut below) = (rows.clone(), rows.clone());
                above[place] += step;
                below[place] -= step;
                (of(&above) - of(&below)) / (2.0 * step)
            };
            let expected = slope(&distance);
            assert!((of_distance[place] - expected).abs() < 1e-3, "{place:?}");
            let expected = slope(&|rows| confusion(rows, &lessons));
            assert!((of_confusion[place] - expected).abs() < 1e-3, "{place:?}");
        }
    }

    #[test]
    fn fitting_brings_sums_to_their_targets() {
        let random = &mut Random::new(4);
        let lessons = lessons(random);
        // As short as the vectors that are fitted: a step moves each number by at most the rate.
        let mut rows = random.normal(6, 4) * 0.1;
        let all: Vec<usize> = (0..3).collect();
        let distance =
            |rows: &Array2<f32>| imitate(rows, &lessons, &all, &mut Array2::zeros(rows.dim()));
        let before = distance(&rows);
        for _ in 0..50 {
            fit(&mut rows, &lessons, random);
        }
        let after = distance(&rows);
        assert!(after < before / 2.0, "{before} {after}");
        assert!(rows.iter().all(|one| one.is_finite()));
    }
}
