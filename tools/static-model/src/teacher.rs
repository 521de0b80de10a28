//! The vectors of all-MiniLM-L6-v2, which the model imitates.

use std::thread;

use anyhow::{Context as _, Result, anyhow};
use minilm::Model;
use ndarray::Array2;

/// Embeds inputs on all processors; returns a row of length 1 for each.
pub(crate) fn embed_all<T: Sync>(
    model: &Model,
    inputs: &[T],
    embed: impl Fn(&Model, &T) -> Result<Vec<f32>> + Sync,
) -> Result<Array2<f32>> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = inputs.len().div_ceil(threads).max(1);
    let embed = &embed;
    let parts: Vec<Result<Vec<f32>>> = thread::scope(|scope| {
        let threads: Vec<_> = inputs
            .chunks(share)
            .map(|inputs| {
                scope.spawn(move || {
                    let rows = inputs.iter().map(|input| embed(model, input));
                    Ok(rows.collect::<Result<Vec<_>>>()?.concat())
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
            })
            .collect()
    });
    let numbers = parts.into_iter().collect::<Result<Vec<_>>>()?.concat();
    Array2::from_shape_vec((inputs.len(), minilm::DIMENSIONS), numbers)
        .context("arrange the vectors of all-MiniLM-L6-v2")
}
