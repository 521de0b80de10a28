//! Vectors with the statistics of a trained model.

/// Name of the model.
pub const DENSE_MODEL: &str = "dense-stand-in";

/// Number of its dimensions, as in all-MiniLM-L6-v2.
pub const DENSE_DIMENSIONS: usize = 384;

const LETTERS_MAX: usize = 8;

/// Length of the part that all vectors share, relative to the rest. Texts without a common word
/// have a cosine of 0.15, as in MiniLM.
const COMMON: f32 = 0.42;

/// Returns the vector of a text: the sum of a random direction per word and a common one. Longer
/// words count more, as rare words tend to be long. Camel case splits into words.
pub fn vector_of(text: &str, dimensions: usize) -> Vec<f32> {
    let mut sum = vec![0.0; dimensions];
    for word in words(text) {
        let letters = word.chars().count().min(LETTERS_MAX);
        add(&mut sum, &word, letters as f32);
    }
    let length = sum.iter().map(|number| number * number).sum::<f32>().sqrt();
    let common = COMMON * length.max(1.0) / (dimensions as f32).sqrt();
    add(&mut sum, "", common);
    sum
}

fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for letter in text.chars() {
        if !letter.is_alphanumeric() || (was_lower && letter.is_uppercase()) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (letter.is_alphanumeric(), words.last_mut()) {
            word.extend(letter.to_lowercase());
        }
        was_lower = letter.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Adds a word's direction `times` times. A component is about normal: the sum of four uniform
/// numbers.
fn add(sum: &mut [f32], word: &str, times: f32) {
    let mut state = word.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    for component in sum {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let drawn = mixed.to_le_bytes();
        let total: f32 = drawn
            .as_chunks()
            .0
            .iter()
            .map(|pair| f32::from(u16::from_le_bytes(*pair)) / 65_535.0 - 0.5)
            .sum();
        // The sum of four numbers from -0.5 to 0.5 has a variance of 1/3.
        *component += times * total * 3f32.sqrt();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(one: &str, other: &str) -> f32 {
        let (one, other) = (
            vector_of(one, DENSE_DIMENSIONS),
            vector_of(other, DENSE_DIMENSIONS),
        );
        let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        product(&one, &other) / (product(&one, &one) * product(&other, &other)).sqrt()
    }

    #[test]
    fn texts_are_as_near_as_they_share_words() {
        let text = "The request cache of cart-api grows until the limit is reached";
        assert!(cosine(text, text) > 0.9999);
        assert!(cosine("HighMemoryUsage", "high memory usage") > 0.9999);
        let near = cosine(
            text,
            "The request cache of tax-api grows until the limit is reached",
        );
        assert!((0.8..0.98).contains(&near), "{near}");
        let unrelated = [
            "Drain node seven",
            "expired certificate",
            "CoreDNS answers slowly",
        ];
        let cosines = unrelated.map(|other| cosine(text, other));
        let mean = cosines.iter().sum::<f32>() / 3.0;
        assert!((0.05..0.25).contains(&mean), "{cosines:?}");
    }

    #[test]
    fn vectors_are_dense_whatever_the_text() {
        for text in ["", "a", "of of", "日本"] {
            let vector = vector_of(text, DENSE_DIMENSIONS);
            let zeros = vector.iter().filter(|number| **number == 0.0).count();
            assert!(zeros < 3, "{text}: {zeros}");
        }
    }
}
