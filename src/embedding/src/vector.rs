//! A vector and its two written forms.

use std::fmt::Write as _;

/// The width of every stored vector: that of `text-embedding-ada-002`.
pub const DIMENSIONS: usize = 1536;

/// A vector of [`DIMENSIONS`] finite numbers, of length 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector(Vec<f32>);

impl Vector {
    /// Scales components to length 1. `None` unless there are [`DIMENSIONS`] of them, all
    /// finite and not all zero.
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

    /// The vector that points along one axis; an axis beyond the last one counts on from
    /// the first.
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

    /// As pgvector reads it, in the shorter of its two forms: a vector of the local model is
    /// mostly zeros, one of a trained model has none.
    pub fn to_text(&self) -> String {
        let zeros = self.0.iter().filter(|component| **component == 0.0).count();
        if zeros > DIMENSIONS / 2 {
            self.to_sparse_text()
        } else {
            self.to_dense_text()
        }
    }

    /// `[value,...]`, pgvector's `vector`.
    fn to_dense_text(&self) -> String {
        // A component of a unit vector takes about twelve characters.
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

    /// `{index:value,...}/dimensions`, pgvector's `sparsevec`: indices from 1, zeros left out.
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

    /// The components as little-endian bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0
            .iter()
            .flat_map(|component| component.to_le_bytes())
            .collect()
    }

    /// Reads [`Self::to_bytes`] back; `None` unless it is a vector of length 1, but for
    /// rounding.
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
