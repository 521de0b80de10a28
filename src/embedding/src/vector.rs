//! Vectors, their text for PostgreSQL and their bytes for the cache.

use std::fmt::Write as _;

/// Dimensions of every stored vector, as in `text-embedding-ada-002`.
pub const DIMENSIONS: usize = 1536;

/// A unit vector of [`DIMENSIONS`] finite numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector(Vec<f32>);

impl Vector {
    /// Scales [`DIMENSIONS`] finite components to length 1. `None` for other input or all zeros.
    pub fn normalized(mut components: Vec<f32>) -> Option<Self> {
        if components.len() != DIMENSIONS {
            return None;
        }
        let length = components
            .iter()
            .map(|component| f64::from(*component).powi(2))
            .sum::<f64>()
            .sqrt();
        if !length.is_finite() || length == 0.0 {
            return None;
        }
        for component in &mut components {
            *component = (f64::from(*component) / length) as f32;
        }
        Some(Self(components))
    }

    /// Unit vector along an axis, modulo [`DIMENSIONS`].
    pub(crate) fn along(axis: usize) -> Self {
        let axis = axis % DIMENSIONS;
        Self(
            (0..DIMENSIONS)
                .map(|index| if index == axis { 1.0 } else { 0.0 })
                .collect(),
        )
    }

    /// The components.
    pub fn components(&self) -> &[f32] {
        &self.0
    }

    /// Returns the shorter of pgvector's forms: the local model's vectors are mostly zeros.
    pub fn to_text(&self) -> String {
        let zeros = self.0.iter().filter(|component| **component == 0.0).count();
        if zeros > DIMENSIONS / 2 {
            self.to_sparse_text()
        } else {
            self.to_dense_text()
        }
    }

    /// pgvector's `vector`: `[value,...]`.
    fn to_dense_text(&self) -> String {
        let mut text = String::with_capacity(DIMENSIONS * 13);
        let mut number = zmij::Buffer::new();
        text.push('[');
        for component in &self.0 {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(number.format(*component));
        }
        text.push(']');
        text
    }

    /// pgvector's `sparsevec`: `{index:value,...}/dimensions`, with indices from 1.
    fn to_sparse_text(&self) -> String {
        let mut text = String::with_capacity(DIMENSIONS);
        let mut number = zmij::Buffer::new();
        text.push('{');
        for (index, component) in (1..).zip(&self.0) {
            if *component != 0.0 {
                if text.len() > 1 {
                    text.push(',');
                }
                // Writing to a String cannot fail.
                let _ = write!(text, "{index}:");
                text.push_str(number.format(*component));
            }
        }
        let _ = write!(text, "}}/{DIMENSIONS}");
        text
    }

    /// Returns the components as little-endian bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0
            .iter()
            .flat_map(|component| component.to_le_bytes())
            .collect()
    }

    /// Reads [`Self::to_bytes`]; `None` unless the vector has length 1 within rounding.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != DIMENSIONS * size_of::<f32>() {
            return None;
        }
        let components: Vec<f32> = bytes
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        let square: f64 = components
            .iter()
            .map(|component| f64::from(*component).powi(2))
            .sum();
        ((square - 1.0).abs() < 1e-3).then_some(Self(components))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(pairs: &[(usize, f32)]) -> Vector {
        let mut components = vec![0.0; DIMENSIONS];
        for (index, component) in pairs {
            components[*index] = *component;
        }
        Vector::normalized(components).unwrap()
    }

    #[test]
    fn sparse_text_counts_from_one_and_leaves_zeros_out() {
        assert_eq!(
            vector(&[(0, 3.0), (1535, -4.0)]).to_text(),
            "{1:0.6,1536:-0.8}/1536"
        );
    }

    #[test]
    fn a_vector_without_zeros_is_written_densely() {
        let text = Vector::normalized(vec![1.0; DIMENSIONS]).unwrap().to_text();
        assert_eq!(text.split(',').count(), DIMENSIONS);
        assert!(text.starts_with("[0.0255") && text.ends_with(']'), "{text}");
    }

    #[test]
    fn bytes_are_read_back_as_the_same_vector() {
        let vector = vector(&[(7, 1.0), (8, 2.0), (9, -0.5)]);
        assert_eq!(Vector::from_bytes(&vector.to_bytes()), Some(vector));
    }

    #[test]
    fn bytes_that_are_no_unit_vector_are_refused() {
        let bytes = vector(&[(7, 1.0)]).to_bytes();
        assert_eq!(Vector::from_bytes(&bytes[1..]), None);
        assert_eq!(Vector::from_bytes(&vec![0; bytes.len()]), None);
        assert_eq!(Vector::from_bytes(&vec![0xff; bytes.len()]), None);
        assert_eq!(Vector::from_bytes(&[]), None);
    }

    #[test]
    fn components_that_have_no_direction_are_refused() {
        assert_eq!(Vector::normalized(vec![0.0; DIMENSIONS]), None);
        assert_eq!(Vector::normalized(vec![f32::NAN; DIMENSIONS]), None);
        assert_eq!(Vector::normalized(vec![f32::INFINITY; DIMENSIONS]), None);
        assert_eq!(Vector::normalized(vec![1.0; DIMENSIONS - 1]), None);
    }
}
