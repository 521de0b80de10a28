//! Tests of the model as a whole.

use proptest::prelude::*;
use xxhash_rust::xxh64::xxh64;

use super::*;

pub(crate) fn similarity(left: &str, right: &str) -> f32 {
    iter::zip(embed(left), embed(right))
        .map(|(left, right)| left * right)
        .sum()
}

/// The text of each token of a text; of a byte, its value in hexadecimal.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    TABLES.vocabulary.each_token(text, |token| {
        pieces.push(match token {
            Token::Known(number) => String::from_utf8_lossy(TABLES.vocabulary.token(number)).into(),
            Token::Byte(byte) => format!("{byte:02x}"),
        });
    });
    pieces
}

#[test]
fn vectors_never_change_under_the_same_model_name() {
    // xxh64 of the vectors' bytes. An end-to-end test compares a component's vectors with native ones.
    for (text, expected) in [
        ("HighMemoryUsage", 18_372_942_277_730_601_602),
        ("Überlast am Knoten 7 – 節点", 16_307_645_565_002_603_362),
        ("!?", 9_339_195_469_855_734_910),
        ("", 14_697_174_184_665_954_154),
    ] {
        let bytes: Vec<u8> = embed(text)
            .iter()
            .flat_map(|one| one.to_le_bytes())
            .collect();
        assert_eq!(xxh64(&bytes, 0), expected, "{text:?}");
    }
}

#[test]
fn the_file_never_changes_under_the_same_model_name() {
    assert_eq!(
        xxh64(include_bytes!("../static-v1.bin"), 0),
        9_696_566_407_336_080_369
    );
}

#[test]
fn a_long_text_without_spaces_is_embedded() {
    for character in ["\u{18000}", "節", "x", "7", "e\u{301}", "A"] {
        let text = character.repeat(256 * 1024 / character.len());
        assert!((similarity(&text, &text) - 1.0).abs() < 1e-4, "{character}");
    }
}

#[test]
fn words_are_split_into_the_longest_tokens() {
    for (text, expected) in [
        ("HighMemoryUsage", "high memory usage"),
        ("OOMKilled", "o om killed"),
        ("kubernetes", "ku ber net es"),
        ("Überlast", "uber las t"),
        ("節点", "e7 af 80 e7 82 b9"),
        ("!", "21"),
        ("", "00"),
    ] {
        assert_eq!(pieces(text).join(" "), expected, "{text:?}");
    }
}

#[test]
fn the_tokens_are_sorted_so_that_a_search_finds_each() {
    let vocabulary = &TABLES.vocabulary;
    assert!(vocabulary.count() > 29_000);
    let tokens: Vec<&[u8]> = (0..vocabulary.count())
        .map(|number| vocabulary.token(number))
        .collect();
    let unsorted = tokens.windows(2).filter(|pair| pair[0] >= pair[1]).count();
    assert_eq!(unsorted, 1, "only where the continuations begin");
}

#[test]
fn synonyms_are_nearer_than_other_words() {
    for (word, synonym, other) in [
        ("crash", "failure", "certificate"),
        ("RAM", "memory", "storage"),
        ("certificate expired", "TLS cert out of date", "disk full"),
        (
            "roll back",
            "revert to the previous version",
            "add replicas",
        ),
    ] {
        let (near, far) = (similarity(word, synonym), similarity(word, other));
        assert!(near > far + 0.1, "{word}: {near} {far}");
    }
}

#[test]
fn spelling_of_the_same_words_does_not_matter() {
    assert!(similarity("HighMemoryUsage", "high_memory-usage") > 0.999);
    assert!(similarity("Café", "CAFE") > 0.999);
}

proptest! {
    #[test]
    fn every_text_has_a_unit_vector(text in ".*") {
        let vector = embed(&text);
        let square: f32 = vector.iter().map(|one| one * one).sum();
        prop_assert!((square - 1.0).abs() < 1e-4);
        prop_assert_eq!(embed(&text), vector);
    }
}
