//! Splits a text into words.

use unicode_normalization::UnicodeNormalization as _;

/// Accents of Latin, Greek and Cyrillic letters, once they are separate characters.
const ACCENTS: std::ops::RangeInclusive<char> = '\u{300}'..='\u{36f}';

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Upper,
    /// Letters that are lower-case or have no case.
    Lower,
    Digit,
    Other,
}

impl Class {
    fn of(character: char) -> Self {
        if character.is_uppercase() {
            Self::Upper
        } else if character.is_alphabetic() {
            Self::Lower
        } else if character.is_numeric() {
            Self::Digit
        } else {
            Self::Other
        }
    }
}

/// Visits each word in lower case and without accents. A word is letters or digits; in
/// `OOMKilledPod2`, the words are `oom`, `killed`, `pod` and `2`.
pub(crate) fn each_word(text: &str, mut visit: impl FnMut(&str)) {
    let mut word = String::new();
    let mut previous = Class::Other;
    let characters = text.nfd().filter(|one| !ACCENTS.contains(one));
    let mut characters = characters.peekable();
    while let Some(character) = characters.next() {
        let class = Class::of(character);
        let is_hump = class == Class::Upper
            && (previous == Class::Lower
                || characters.peek().map(|next| Class::of(*next)) == Some(Class::Lower));
        let is_other =
            class == Class::Other || (class == Class::Digit) != (previous == Class::Digit);
        if (is_hump || is_other) && !word.is_empty() {
            visit(&word);
            word.clear();
        }
        if class != Class::Other {
            word.extend(character.to_lowercase());
        }
        previous = class;
    }
    if !word.is_empty() {
        visit(&word);
    }
}

/// Whether a text is a word, as texts are split into.
pub fn is_word(text: &str) -> bool {
    let (mut words, mut is_same) = (0, false);
    each_word(text, |word| {
        words += 1;
        is_same = word == text;
    });
    words == 1 && is_same
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        each_word(text, |word| words.push(word.to_owned()));
        words
    }

    #[test]
    fn words_end_at_humps_digits_and_punctuation() {
        for (text, expected) in [
            ("HighMemoryUsage", "high memory usage"),
            ("api-server_v2", "api server v 2"),
            ("OOMKilled", "oom killed"),
            ("KubeAPIErrorBudgetBurn", "kube api error budget burn"),
            ("7d9f8b-x2k4p", "7 d 9 f 8 b x 2 k 4 p"),
            ("Überlast, naïve ΆΛΦΑ", "uberlast naive αλφα"),
            ("節点", "節点"),
            ("", ""),
            ("!? \n", ""),
        ] {
            assert_eq!(words(text).join(" "), expected, "{text:?}");
        }
    }
}
