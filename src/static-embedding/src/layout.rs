//! The layout of the model's file. Numbers are little-endian.
//!
//! | part | size |
//! | --- | --- |
//! | tokens that begin a word; tokens that continue one | two `u32` |
//! | end of each token in the text below, in bytes | `u32` per token |
//! | text: tokens that begin a word, then those that continue one, each sorted by bytes | the last end |
//! | row of each token | `u16` per token |
//! | scale of each row | upper half of an `f32` per row |
//! | rows: of tokens, the frequent ones first, then one per value of a byte | 192 `i8` per row |
//!
//! A token's vector is its row times its scale. A host maps the file's pages when they are first read, for
//! each request anew, so what most texts need stands together and in front.

use crate::DIMENSIONS;
use crate::vocabulary::{Token, Vocabulary};

/// Number of rows for bytes of characters that no token has.
pub const BYTE_ROWS: usize = 256;

/// The tables of a file.
pub struct Tables<'a> {
    /// The tokens.
    pub vocabulary: Vocabulary<'a>,
    places: &'a [[u8; 2]],
    scales: &'a [[u8; 2]],
    rows: &'a [[u8; DIMENSIONS]],
}

impl<'a> Tables<'a> {
    /// Reads a file without copying it. `None` if its parts do not fill it exactly.
    pub const fn read(file: &'a [u8]) -> Option<Self> {
        let Some((vocabulary, rest)) = Vocabulary::read(file) else {
            return None;
        };
        let rows = vocabulary.count() + BYTE_ROWS;
        let Some((places, rest)) = rest.split_at_checked(2 * vocabulary.count()) else {
            return None;
        };
        let (places, _) = places.as_chunks();
        let Some((scales, rest)) = rest.split_at_checked(2 * rows) else {
            return None;
        };
        let (scales, _) = scales.as_chunks();
        let (rows, excess) = rest.as_chunks();
        if rows.len() != scales.len() || !excess.is_empty() {
            return None;
        }
        Some(Self {
            vocabulary,
            places,
            scales,
            rows,
        })
    }

    /// Returns the scale and the row of a token.
    pub(crate) fn row(&self, token: Token) -> Option<(f32, &'a [u8; DIMENSIONS])> {
        let place = match token {
            Token::Known(number) => usize::from(u16::from_le_bytes(*self.places.get(number)?)),
            Token::Byte(byte) => self.places.len() + usize::from(byte),
        };
        let [low, high] = *self.scales.get(place)?;
        let scale = f32::from_le_bytes([0, 0, low, high]);
        Some((scale, self.rows.get(place)?))
    }
}
