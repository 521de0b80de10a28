//! Reduces vectors to fewer dimensions.

use ndarray::{Array2, ArrayViewMut1, s};

use crate::random::Random;

/// Iterations after which the axes no longer change what the model finds.
const ITERATIONS: usize = 60;

/// Returns a matrix that projects rows onto the subspace of `dimensions` dimensions that keeps most of
/// their squares, found by orthogonal iteration. The axes within it are random, so that all of them
/// vary equally: the code that a search compares first has as many bits for each.
pub(crate) fn principal(rows: &Array2<f32>, dimensions: usize, random: &mut Random) -> Array2<f32> {
    let squares = rows.t().dot(rows);
    let mut axes = random.normal(rows.ncols(), dimensions);
    for _ in 0..ITERATIONS {
        axes = squares.dot(&axes);
        make_orthonormal(&mut axes);
    }
    let mut rotation = random.normal(dimensions, dimensions);
    make_orthonormal(&mut rotation);
    axes.dot(&rotation)
}

/// Makes columns orthonormal by the modified Gram-Schmidt process.
fn make_orthonormal(columns: &mut Array2<f32>) {
    for index in 0..columns.ncols() {
        let (done, mut rest) = columns.view_mut().split_at(ndarray::Axis(1), index);
        let mut column = rest.slice_mut(s![.., 0]);
        for other in done.columns() {
            let common: f32 = other.dot(&column);
            column.scaled_add(-common, &other);
        }
        normalize(&mut column);
    }
}

/// Scales to length 1; leaves zeros.
pub(crate) fn normalize(vector: &mut ArrayViewMut1<'_, f32>) -> f32 {
    let length = vector.dot(vector).sqrt();
    if length > 0.0 {
        vector.mapv_inplace(|component| component / length);
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axes_are_orthonormal_and_keep_what_varies() {
        let mut random = Random::new(1);
        let mut rows = random.normal(500, 8);
        rows.slice_mut(s![.., 3..])
            .mapv_inplace(|component| component / 100.0);
        let axes = principal(&rows, 3, &mut random);
        let identity = axes.t().dot(&axes) - Array2::<f32>::eye(3);
        assert!(identity.iter().all(|one| one.abs() < 1e-4), "{identity}");
        let kept = rows.dot(&axes).mapv(|one| one * one).sum();
        let all = rows.mapv(|one| one * one).sum();
        assert!(kept / all > 0.999, "{kept} of {all}");
    }
}
