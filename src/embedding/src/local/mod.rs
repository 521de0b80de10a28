//! The local model: a hashed bag of words and character trigrams, without network or weights.
//!
//! Words are letters and digits; an upper-case letter after any other character starts a new one.
//! Each lower-case word, and each trigram of a word with marked ends, adds its weight with the sign
//! and to the dimension that its hash selects. f32 adds these small numbers exactly in any order.

use std::iter;

use xxhash_rust::xxh64::xxh64;

use crate::vector::{DIMENSIONS, Vector};

/// Name of the local model. A change that alters any vector must change the name.
pub(crate) const MODEL: &str = "local-hash-v1";

const WORD_WEIGHT: f32 = 4.0;
const TRIGRAM_WEIGHT: f32 = 1.0;

/// Keeps the hashes of words, trigrams and whole texts apart.
const WORD_SEED: u64 = 1;
const TRIGRAM_SEED: u64 = 2;
const TEXT_SEED: u64 = 3;

/// Marks the ends of a word in its trigrams; no word contains a mark.
const BEGIN: char = '^';
const END: char = '$';

pub(crate) fn embed(text: &str) -> Vector {
    let mut components = vec![0.0; DIMENSIONS];
    let mut word = String::from(BEGIN);
    let mut previous = ' ';
    for character in text.chars().chain(iter::once(' ')) {
        let is_hump = character.is_uppercase() && !previous.is_uppercase();
        if is_hump || !character.is_alphanumeric() {
            add_word(&mut components, &mut word);
        }
        if character.is_alphanumeric() {
            word.extend(character.to_lowercase());
        }
        previous = character;
    }
    Vector::normalized(components).unwrap_or_else(|| {
        // No words, or words that cancel out: hash the whole text instead.
        let hash = xxh64(text.as_bytes(), TEXT_SEED);
        Vector::along((hash % DIMENSIONS as u64) as usize)
    })
}

fn add_word(components: &mut [f32], marked: &mut String) {
    let word = marked.strip_prefix(BEGIN).unwrap_or_default();
    if word.is_empty() {
        return;
    }
    add(components, word.as_bytes(), WORD_SEED, WORD_WEIGHT);
    marked.push(END);
    let begins = marked.char_indices().map(|(index, _)| index);
    let ends = begins.clone().chain(iter::once(marked.len())).skip(3);
    for (begin, end) in begins.zip(ends) {
        let trigram = marked.as_bytes().get(begin..end).unwrap_or_default();
        add(components, trigram, TRIGRAM_SEED, TRIGRAM_WEIGHT);
    }
    marked.truncate(BEGIN.len_utf8());
}

fn add(components: &mut [f32], feature: &[u8], seed: u64, weight: f32) {
    let hash = xxh64(feature, seed);
    let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
    let index = (hash % DIMENSIONS as u64) as usize;
    if let Some(component) = components.get_mut(index) {
        *component += sign * weight;
    }
}

#[cfg(test)]
mod incidents;

#[cfg(test)]
fn similarity(left: &str, right: &str) -> f32 {
    let (left, right) = (embed(left), embed(right));
    iter::zip(left.components(), right.components())
        .map(|(left, right)| left * right)
        .sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn vectors_never_change_under_the_same_model_name() {
        // xxh64 of the vectors' bytes, computed in a component.
        for (text, expected) in [
            ("HighMemoryUsage", 10_798_954_627_595_529_287),
            ("Überlast am Knoten 7 – 節点", 7_540_355_628_211_745_777),
            ("!?", 17_959_162_522_265_096_956),
        ] {
            assert_eq!(xxh64(&embed(text).to_bytes(), 0), expected, "{text:?}");
        }
    }

    #[test]
    fn texts_that_share_words_are_nearer_than_texts_that_do_not() {
        let near = similarity("HighMemoryUsage", "Memory usage is high");
        let part = similarity("HighMemoryUsage", "MemoryLeak");
        let far = similarity("HighMemoryUsage", "CertificateExpiry");
        assert!(near > 0.8, "{near}");
        assert!(near > part && part > far, "{near} {part} {far}");
        assert!(far.abs() < 0.2, "{far}");
    }

    #[test]
    fn spelling_of_the_same_words_does_not_matter() {
        assert!(similarity("HighMemoryUsage", "high_memory-usage") > 0.999);
        assert!(similarity("HTTPErrors", "httperrors") > 0.999);
    }

    proptest! {
        #[test]
        fn every_text_has_a_unit_vector(text in ".*") {
            let vector = embed(&text);
            let square: f32 = vector.components().iter().map(|c| c * c).sum();
            prop_assert!((square - 1.0).abs() < 1e-4);
            prop_assert_eq!(embed(&text), vector);
        }
    }
}
