//! Splits words into tokens by WordPiece: from the left, each time the longest token that the
//! vocabulary has ([Schuster and Nakajima, 2012](https://doi.org/10.1109/ICASSP.2012.6289079)).

use std::iter;
use std::ops::Range;

use crate::words::each_word;

/// A part of a text that has a row of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// A token of the vocabulary, by its number.
    Known(usize),
    /// A byte of a character that no token has.
    Byte(u8),
}

/// Tokens, which begin or continue a word.
pub struct Vocabulary<'a> {
    beginnings: usize,
    ends: &'a [[u8; 4]],
    text: &'a [u8],
}

impl<'a> Vocabulary<'a> {
    /// Reads the vocabulary at the start of a file, as [`crate::Tables`] has it; also returns the
    /// rest of the file. `None` if the file is too short.
    pub const fn read(file: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let Some((beginnings, rest)) = file.split_first_chunk() else {
            return None;
        };
        let Some((continuations, rest)) = rest.split_first_chunk() else {
            return None;
        };
        let beginnings = u32::from_le_bytes(*beginnings) as usize;
        let count = beginnings + u32::from_le_bytes(*continuations) as usize;
        let Some((ends, rest)) = rest.split_at_checked(4 * count) else {
            return None;
        };
        let (ends, _) = ends.as_chunks();
        let length = match ends.last() {
            Some(end) => u32::from_le_bytes(*end) as usize,
            None => 0,
        };
        let Some((text, rest)) = rest.split_at_checked(length) else {
            return None;
        };
        let vocabulary = Self {
            beginnings,
            ends,
            text,
        };
        Some((vocabulary, rest))
    }

    /// Number of tokens.
    pub const fn count(&self) -> usize {
        self.ends.len()
    }

    /// Visits the tokens of a text: of its words or, if it has none, all of its bytes. An empty text
    /// is the byte 0.
    pub fn each_token(&self, text: &str, mut visit: impl FnMut(Token)) {
        let mut has_words = false;
        each_word(text, |word| {
            has_words = true;
            self.each_piece(word, &mut visit);
        });
        if !has_words {
            text.bytes().for_each(|byte| visit(Token::Byte(byte)));
        }
        if text.is_empty() {
            visit(Token::Byte(0));
        }
    }

    fn each_piece(&self, word: &str, visit: &mut impl FnMut(Token)) {
        let beginnings = 0..self.beginnings;
        let continuations = self.beginnings..self.count();
        let mut rest = word;
        let mut tokens = &beginnings;
        while let Some(character) = rest.chars().next() {
            let longest = self.longest_prefix(tokens, rest.as_bytes());
            // In scripts that write no spaces, what follows a character is a word of its own.
            let longest = longest.or_else(|| self.longest_prefix(&beginnings, rest.as_bytes()));
            let length = if let Some((number, length)) = longest {
                visit(Token::Known(number));
                length
            } else {
                let bytes = rest.bytes().take(character.len_utf8());
                bytes.for_each(|byte| visit(Token::Byte(byte)));
                character.len_utf8()
            };
            rest = rest.get(length..).unwrap_or_default();
            tokens = &continuations;
        }
    }

    /// Finds the longest of some tokens that a text starts with; returns its number and length.
    ///
    /// In sorted order, the last token up to the text starts with every prefix of the text that is a
    /// token, so what it has not in common with the text can be cut off.
    fn longest_prefix(&self, tokens: &Range<usize>, text: &[u8]) -> Option<(usize, usize)> {
        let mut text = text;
        loop {
            let number = self.last_up_to(tokens, text)?;
            let token = self.token(number);
            let pairs = iter::zip(token, text);
            let common = pairs.take_while(|(left, right)| left == right).count();
            if common == token.len() {
                return Some((number, common));
            }
            text = text.get(..common)?;
        }
    }

    /// Finds the last of some tokens that is not greater than a text.
    fn last_up_to(&self, tokens: &Range<usize>, text: &[u8]) -> Option<usize> {
        let Range { mut start, mut end } = *tokens;
        while start < end {
            let middle = start.midpoint(end);
            if self.token(middle) <= text {
                start = middle + 1;
            } else {
                end = middle;
            }
        }
        (start > tokens.start).then(|| start - 1)
    }

    /// The text of a token; empty if there is none of this number.
    pub fn token(&self, number: usize) -> &'a [u8] {
        let end = |number: usize| {
            let end = self.ends.get(number)?;
            Some(u32::from_le_bytes(*end) as usize)
        };
        let start = number.checked_sub(1).map_or(Some(0), end);
        let range = start.zip(end(number));
        range
            .and_then(|(start, end)| self.text.get(start..end))
            .unwrap_or_default()
    }
}
