//! Writes the model's file, whose layout `static_embedding` describes.

use anyhow::{Context as _, Result};
use ndarray::{Array2, Axis};

const CONTINUATION: &str = "##";

/// A token of the teacher.
pub(crate) struct TeacherToken {
    /// Its number there.
    pub(crate) number: u32,
    text: String,
    continues: bool,
}

/// Takes the tokens that the model can come across, in the order of their rows. The others have
/// punctuation, mix letters and digits, or stand for no text.
pub(crate) fn choose_tokens(teacher: impl Iterator<Item = (String, u32)>) -> Vec<TeacherToken> {
    let tokens = teacher.map(|(text, number)| match text.strip_prefix(CONTINUATION) {
        Some(text) => TeacherToken {
            number,
            text: text.to_owned(),
            continues: true,
        },
        None => TeacherToken {
            number,
            text,
            continues: false,
        },
    });
    let mut tokens: Vec<_> = tokens
        .filter(|token| static_embedding::is_word(&token.text))
        .collect();
    tokens.sort_by(|left, right| (left.continues, &left.text).cmp(&(right.continues, &right.text)));
    tokens
}

/// Writes the part of the file that holds the tokens.
pub(crate) fn write_tokens(tokens: &[TeacherToken]) -> Result<Vec<u8>> {
    let beginnings = tokens.partition_point(|token| !token.continues);
    let mut written = Vec::new();
    for count in [beginnings, tokens.len() - beginnings] {
        written.extend(u32::try_from(count)?.to_le_bytes());
    }
    let mut end = 0;
    for token in tokens {
        end += u32::try_from(token.text.len())?;
        written.extend(end.to_le_bytes());
    }
    for token in tokens {
        written.extend(token.text.bytes());
    }
    Ok(written)
}

/// Writes the part of the file that holds the rows, those of tokens in the order of their counts: each
/// number as an `i8` times the row's scale, which is rounded up to the upper half of an `f32`.
pub(crate) fn write_rows(rows: &Array2<f32>, counts: &[f32]) -> Result<Vec<u8>> {
    let mut order: Vec<(usize, f32)> = counts.iter().copied().enumerate().collect();
    order.sort_by(|(_, left), (_, right)| right.total_cmp(left));
    let mut order: Vec<usize> = order.into_iter().map(|(token, _)| token).collect();
    let mut places = vec![0; counts.len()];
    for (place, token) in order.iter().enumerate() {
        if let Some(of_token) = places.get_mut(*token) {
            *of_token = u16::try_from(place)?;
        }
    }
    order.extend(counts.len()..rows.nrows());
    let rows = rows.select(Axis(0), &order);

    let scales = rows.rows().into_iter().map(|row| {
        let greatest = row.fold(0.0_f32, |greatest, one| greatest.max(one.abs()));
        let exact = greatest / f32::from(i8::MAX);
        f32::from_bits(exact.to_bits().next_multiple_of(1 << 16))
    });
    let scales: Vec<f32> = scales.collect();
    let mut written: Vec<u8> = places.into_iter().flat_map(u16::to_le_bytes).collect();
    let halves = scales.iter().map(|scale| (scale.to_bits() >> 16) as u16);
    written.extend(halves.flat_map(u16::to_le_bytes));
    for (row, scale) in rows.rows().into_iter().zip(&scales) {
        let numbers = row
            .iter()
            .map(|one| if *scale > 0.0 { one / scale } else { 0.0 });
        // As large as an i8 by the choice of the scale.
        written.extend(numbers.map(|one| (one.round() as i8).cast_unsigned()));
    }
    Ok(written)
}

/// Replaces a file as a whole.
pub(crate) fn replace(path: &std::path::Path, content: &[u8]) -> Result<()> {
    let beside = path.with_extension("new");
    std::fs::write(&beside, content)
        .and_then(|()| std::fs::rename(&beside, path))
        .with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use static_embedding::{BYTE_ROWS, DIMENSIONS, Tables, Token, Vocabulary};

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let teacher = ["pod", "##s", "##ds", "po", "[PAD]", "a1", "!", "節", "7"];
        let teacher = teacher.into_iter().zip(0..);
        let tokens = choose_tokens(teacher.map(|(text, number)| (text.to_owned(), number)));
        let texts: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
        assert_eq!(texts, ["7", "po", "pod", "節", "ds", "s"]);

        let mut written = write_tokens(&tokens).unwrap();
        let (vocabulary, rest) = Vocabulary::read(&written).unwrap();
        assert!(rest.is_empty());
        let mut rows = Vec::new();
        vocabulary.each_token("pods7節", |token| rows.push(token));
        assert_eq!(rows, [2, 5, 0, 3].map(Token::Known));

        let mut vectors = Array2::zeros((tokens.len() + BYTE_ROWS, DIMENSIONS));
        vectors[[2, 0]] = -0.3;
        vectors[[2, 1]] = 0.4;
        written.extend(write_rows(&vectors, &[1.0, 1.0, 1.0, 2.0, 1.0, 3.0]).unwrap());
        let vector = Tables::read(&written).unwrap().embed("pod");
        assert!(
            (vector[0] + 0.6).abs() < 0.01 && (vector[1] - 0.8).abs() < 0.01,
            "{vector:?}"
        );
        assert!(vector[2..].iter().all(|one| *one == 0.0));
    }

    #[test]
    fn a_file_that_is_cut_or_too_long_is_refused() {
        let tokens = choose_tokens([("pod".to_owned(), 0)].into_iter());
        let mut written = write_tokens(&tokens).unwrap();
        written.extend(write_rows(&Array2::zeros((1 + BYTE_ROWS, DIMENSIONS)), &[1.0]).unwrap());
        assert!(Tables::read(&written).is_some());
        for length in [0, 4, 11, 14, 20, 1_000, written.len() - 1] {
            assert!(Tables::read(&written[..length]).is_none(), "{length}");
        }
        written.push(0);
        assert!(Tables::read(&written).is_none());
    }
}
