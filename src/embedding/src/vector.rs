//! Vectors, their text for PostgreSQL and their bytes for the cache.

/// Dimensions of every stored vector, as in `text-embedding-ada-002`.
pub const DIMENSIONS: usize = 1536;

/// A unit vector of 1 to [`DIMENSIONS`] finite numbers. PostgreSQL pads it with zeros, which changes
/// no angle.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector(Vec<f32>);

impl Vector {
    /// Scales 1 to [`DIMENSIONS`] finite components to length 1. `None` for other input or all zeros.
    pub fn normalized(mut components: Vec<f32>) -> Option<Self> {
        if components.len() > DIMENSIONS {
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

    /// The local model's vector of a text.
    pub(crate) fn of_text(text: &str) -> Self {
        Self(static_embedding::embed(text).to_vec())
    }

    /// Unit vector along an axis.
    #[cfg(test)]
    pub(crate) fn along(axis: usize) -> Self {
        let components = (0..DIMENSIONS).map(|index| if index == axis { 1.0 } else { 0.0 });
        Self(components.collect())
    }

    /// The components.
    pub fn components(&self) -> &[f32] {
        &self.0
    }

    /// pgvector's text form: `[value,...]`.
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(self.0.len() * 13);
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

    /// Returns the components as little-endian bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0
            .iter()
            .flat_map(|component| component.to_le_bytes())
            .collect()
    }

    /// Reads [`Self::to_bytes`]; `None` unless the vector has length 1 within rounding.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (components, rest) = bytes.as_chunks();
        if components.len() > DIMENSIONS || !rest.is_empty() {
            return None;
        }
        let components = components.iter().map(|bytes| f32::from_le_bytes(*bytes));
        let components: Vec<f32> = components.collect();
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

    fn vector(components: &[f32]) -> Vector {
        Vector::normalized(components.to_vec()).unwrap()
    }

    #[test]
    fn the_text_has_the_components_of_the_scaled_vector() {
        assert_eq!(vector(&[3.0, 0.0, -4.0]).to_text(), "[0.6,0.0,-0.8]");
    }

    #[test]
    fn bytes_are_read_back_as_the_same_vector() {
        for vector in [vector(&[1.0, 2.0, -0.5]), Vector::along(1535)] {
            assert_eq!(Vector::from_bytes(&vector.to_bytes()), Some(vector));
        }
    }

    #[test]
    fn bytes_that_are_no_unit_vector_are_refused() {
        let bytes = vector(&[1.0, 1.0]).to_bytes();
        assert_eq!(Vector::from_bytes(&bytes[1..]), None);
        assert_eq!(Vector::from_bytes(&bytes[4..]), None);
        assert_eq!(Vector::from_bytes(&vec![0; bytes.len()]), None);
        assert_eq!(Vector::from_bytes(&vec![0xff; bytes.len()]), None);
        assert_eq!(Vector::from_bytes(&[]), None);
        let too_wide = [bytes.as_slice(), &[0; 4 * (DIMENSIONS - 1)]].concat();
        assert_eq!(Vector::from_bytes(&too_wide), None);
    }

    #[test]
    fn components_that_have_no_direction_are_refused() {
        assert_eq!(Vector::normalized(Vec::new()), None);
        assert_eq!(Vector::normalized(vec![0.0; DIMENSIONS]), None);
        assert_eq!(Vector::normalized(vec![f32::NAN; DIMENSIONS]), None);
        assert_eq!(Vector::normalized(vec![f32::INFINITY; DIMENSIONS]), None);
        assert_eq!(Vector::normalized(vec![1.0; DIMENSIONS + 1]), None);
    }
}
