//! Splits a text into words.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

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
/// `OOMKilledPods2`, the words are `oom`, `killed`, `pods` and `2`, and `APIs` is one.
pub(crate) fn each_word(text: &str, mut visit: impl FnMut(&str)) {
    let mut word = String::new();
    let mut previous = Class::Other;
    let characters = text.nfd().filter(|one| !is_combining_mark(*one));
    let mut characters = characters.peekable();
    while let Some(character) = characters.next() {
        let class = Class::of(character);
        let is_hump = class == Class::Upper
            && match previous {
                Class::Upper => begins_word(characters.clone()),
                _ => true,
            };
        let is_end = class == Class::Other || (class == Class::Digit) != (previous == Class::Digit);
        if (is_hump || is_end) && !word.is_empty() {
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

/// Whether an upper-case letter after another begins a word: if a lower-case letter follows, unless
/// that is the `s` of a plural.
fn begins_word(mut following: impl Iterator<Item = char>) -> bool {
    let [next, second] = [following.next(), following.next()];
    let is_lower = |character: Option<char>| character.map(Class::of) == Some(Class::Lower);
    is_lower(next) && (next != Some('s') || is_lower(second))
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
            ("APIs, PVCs are up", "apis pvcs are up"),
            ("VMsDown", "vms down"),
            ("7d9f8b-x2k4p", "7 d 9 f 8 b x 2 k 4 p"),
            ("Überlast, naïve ΆΛΦΑ", "uberlast naive αλφα"),
            ("節点", "節点"),
            ("הַדִּיסְק", "הדיסק"),
            ("", ""),
            ("!? \n", ""),
        ] {
            assert_eq!(words(text).join(" "), expected, "{text:?}");
        }
    }
}
