//! The local embedding model: every token has a vector of its own, and a text has the direction
//! of its tokens' sum. No network, no neural network: a look-up and an addition per token.
//!
//! `tools/static-model` makes the vectors from all-MiniLM-L6-v2, the method of
//! [Model2Vec](https://github.com/MinishLab/model2vec). They are part of the program's data, which
//! a host maps into memory, and are searched in place: nothing is parsed or copied at start.

mod layout;
mod vocabulary;
mod words;

use std::iter;

pub use layout::{BYTE_ROWS, Tables};
pub use vocabulary::{Token, Vocabulary};
pub use words::is_word;

/// Name of the model. A change that alters any vector must change the name.
pub const MODEL: &str = "static-v1";

/// Dimensions of the model's vectors.
pub const DIMENSIONS: usize = 192;

/// The model's data. A malformed file fails the build.
static TABLES: Tables<'static> = match Tables::read(include_bytes!("../static-v1.bin")) {
    Some(tables) => tables,
    None => panic!("static-v1.bin is malformed"),
};

/// Embeds a text. Every text, even an empty one, has a vector of length 1. It depends on nothing but the
/// text and, for rare characters, the version of Unicode that the compiler knows.
pub fn embed(text: &str) -> [f32; DIMENSIONS] {
    TABLES.embed(text)
}

impl Tables<'_> {
    /// Embeds a text as [`embed`] does.
    pub fn embed(&self, text: &str) -> [f32; DIMENSIONS] {
        let mut sum = [0.0; DIMENSIONS];
        self.vocabulary.each_token(text, |token| {
            let Some((scale, row)) = self.row(token) else {
                return;
            };
            for (sum, component) in iter::zip(&mut sum, row) {
                // The bytes are signed.
                *sum += scale * f32::from(component.cast_signed());
            }
        });
        normalized(sum)
    }
}

/// Scales to length 1. Tokens that cancel out have the direction of the first axis.
fn normalized(mut components: [f32; DIMENSIONS]) -> [f32; DIMENSIONS] {
    let squares = components.iter().map(|one| f64::from(*one).powi(2));
    let length = squares.sum::<f64>().sqrt();
    if length > 0.0 {
        for component in &mut components {
            *component = (f64::from(*component) / length) as f32;
        }
    } else if let Some(first) = components.first_mut() {
        *first = 1.0;
    }
    components
}

#[cfg(test)]
mod incidents;

#[cfg(test)]
mod tests;
