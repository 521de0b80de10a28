//! Bodies of requests and responses.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::settings::ModelName;
use crate::trial::Fault;
use crate::vector::{DIMENSIONS, Vector};

/// Largest response read, in bytes: several times 3,072 dimensions in decimals.
pub(crate) const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Phrases in responses with status 400 or 422 to a text that is too long, in lower case: "context
/// length" in OpenAI, Azure, vLLM and Ollama, "must have less than" in text-embeddings-inference.
const REFUSED_AS_TOO_LONG: [&str; 9] = [
    "context length",
    "context size",
    "must have less than",
    "is too long",
    "too many tokens",
    "too many input tokens",
    "maximum input length",
    "maximum number of tokens",
    "exceeding max",
];

/// Phrases of llama.cpp, which responds with status 500.
const FAILED_AS_TOO_LONG: [&str; 2] = ["too large to process", "context size"];

/// Only what every server supports; some refuse `encoding_format` or fail on it.
#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: &'a str,
}

pub(crate) fn request_body(model: &ModelName, text: &str) -> Vec<u8> {
    let request = Request {
        model: model.as_str(),
        input: text,
    };
    // Serializing two strings cannot fail.
    serde_json::to_vec(&request).unwrap_or_default()
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    embedding: Components,
}

/// Decimals, or base64 of little-endian floats, which some gateways always request.
#[derive(Deserialize)]
#[serde(untagged)]
enum Components {
    Base64(String),
    Decimals(Vec<f32>),
}

/// Reads the vector and pads it with zeros to the stored dimensions, which changes no angle.
pub(crate) fn read_answer(body: &[u8]) -> Result<Vector, Failure> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|_| Failure::Malformed("not a list of embeddings"))?;
    let Ok([item]) = <[Item; 1]>::try_from(answer.data) else {
        return Err(Failure::Malformed("not exactly one embedding"));
    };
    let mut components = match item.embedding {
        Components::Base64(text) => decode_floats(&text)?,
        Components::Decimals(numbers) => numbers,
    };
    if components.len() > DIMENSIONS {
        return Err(Failure::Fault(Fault::TooWide(components.len())));
    }
    components.resize(DIMENSIONS, 0.0);
    Vector::normalized(components)
        .ok_or(Failure::Malformed("the vector is all zeros or not finite"))
}

/// Whether an error says that the text is too long. With other statuses, the phrases mean time.
pub(crate) fn says_too_long(status: u16, body: &[u8]) -> bool {
    let words: &[&str] = match status {
        400 | 422 => &REFUSED_AS_TOO_LONG,
        500 => &FAILED_AS_TOO_LONG,
        _ => &[],
    };
    let body = String::from_utf8_lossy(body).to_lowercase();
    words.iter().any(|words| body.contains(words))
}

fn decode_floats(text: &str) -> Result<Vec<f32>, Failure> {
    let bytes = STANDARD
        .decode(text)
        .map_err(|_| Failure::Malformed("the vector is not valid base64"))?;
    let (chunks, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        return Err(Failure::Malformed(
            "the vector's length is not a multiple of 4 bytes",
        ));
    }
    Ok(chunks.iter().copied().map(f32::from_le_bytes).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn base64(components: &[f32]) -> Value {
        let bytes: Vec<u8> = components.iter().flat_map(|c| c.to_le_bytes()).collect();
        json!(STANDARD.encode(bytes))
    }

    fn answer(embedding: &Value) -> Vec<u8> {
        json!({
            "object": "list",
            "data": [{"object": "embedding", "index": 0, "embedding": embedding}],
            "model": "some-model-v2",
            "usage": {"prompt_tokens": 5, "total_tokens": 5},
        })
        .to_string()
        .into_bytes()
    }

    fn read(embedding: &Value) -> Result<Vector, Failure> {
        read_answer(&answer(embedding))
    }

    fn malformed(problem: &'static str) -> Result<Vector, Failure> {
        Err(Failure::Malformed(problem))
    }

    #[test]
    fn the_request_names_the_model_and_quotes_the_text() {
        let model = ModelName::parse("some-model").unwrap();
        let body = request_body(&model, "say \"hi\"\n\u{1F6A8}");
        assert_eq!(
            serde_json::from_slice::<Value>(&body).unwrap(),
            json!({
                "model": "some-model",
                "input": "say \"hi\"\n\u{1F6A8}",
            })
        );
    }

    #[test]
    fn base64_and_decimals_are_the_same_vector_of_length_one() {
        let components = [3.0, 0.0, -4.0];
        let vector = read(&base64(&components)).unwrap();
        assert_eq!(read(&json!(components)).unwrap(), vector);
        assert_eq!(read(&json!([3, 0, -4])).unwrap(), vector);
        assert_eq!(vector.components()[..4], [0.6, 0.0, -0.8, 0.0]);
        assert_eq!(vector.components().len(), DIMENSIONS);
    }

    #[test]
    fn a_vector_has_from_one_dimension_to_as_many_as_are_stored() {
        for width in [1, 384, DIMENSIONS] {
            let vector = read(&base64(&vec![1.0; width])).unwrap();
            let used = vector.components().iter().filter(|c| **c != 0.0).count();
            assert_eq!(used, width);
        }
        for width in [DIMENSIONS + 1, 3072] {
            let refused = Err(Failure::Fault(Fault::TooWide(width)));
            assert_eq!(read(&base64(&vec![1.0; width])), refused);
            assert_eq!(read(&json!(vec![1.0; width])), refused);
        }
    }

    #[test]
    fn a_vector_without_a_direction_is_refused() {
        let refused = || malformed("the vector is all zeros or not finite");
        assert_eq!(read(&json!([])), refused());
        assert_eq!(read(&json!("")), refused());
        assert_eq!(read(&json!([0, 0.0, -0.0])), refused());
        assert_eq!(read(&base64(&[1.0, f32::NAN])), refused());
        assert_eq!(read(&base64(&[1.0, f32::INFINITY])), refused());
        assert_eq!(read(&base64(&[1.0, f32::NEG_INFINITY])), refused());
        assert_eq!(read(&json!([1e39])), refused());
    }

    #[test]
    fn a_text_that_is_too_long_is_told_from_other_errors() {
        for (status, body) in [
            (
                400,
                r#"{"error":{"message":"This model's maximum context length is 8192 tokens, however you requested 9001 tokens."}}"#,
            ),
            (422, "`inputs` must have less than 512 tokens. Given: 700"),
            (400, "the input length exceeds the context length"),
            (400, "Input is too long for requested model"),
            (400, "Too many tokens"),
            (
                500,
                "Input is too large to process. Increase the physical batch size",
            ),
        ] {
            assert!(says_too_long(status, body.as_bytes()), "{status} {body}");
        }
        for (status, body) in [
            (400, ""),
            (400, "The model does not exist"),
            (400, "startup took too long"),
            (500, "upstream took too long"),
            (500, "the input is too long"),
            (503, "Input is too large to process"),
            (504, "maximum context length"),
        ] {
            assert!(!says_too_long(status, body.as_bytes()), "{status} {body}");
        }
        assert!(!says_too_long(400, &[0xff, 0xfe]));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for body in [
            "",
            "{}",
            "null",
            "<!doctype html><title>Welcome</title>",
            r#"{"error":{"message":"overloaded"}}"#,
            r#"{"data":null}"#,
            r#"{"data":[{}]}"#,
            r#"{"data":[{"embedding":null}]}"#,
            r#"{"data":[{"embedding":{"0":1}}]}"#,
            r#"{"data":[{"embedding":["1"]}]}"#,
            r#"{"data":[{"embedding":[NaN]}]}"#,
            r#"{"data":[{"embedding":[1e400]}]}"#,
            r#"{"data":[{"embedding":[0.1,0.2"#,
            r#"{"data":[{"embedding":[1]}]} and more"#,
        ] {
            let refused = malformed("not a list of embeddings");
            assert_eq!(read_answer(body.as_bytes()), refused, "{body}");
        }
        assert_eq!(
            read_answer(br#"{"data":[]}"#),
            malformed("not exactly one embedding")
        );
        let two = br#"{"data":[{"embedding":[1]},{"embedding":[2]}]}"#;
        assert_eq!(read_answer(two), malformed("not exactly one embedding"));
        assert_eq!(
            read(&json!("AAAA*")),
            malformed("the vector is not valid base64")
        );
        assert_eq!(
            read(&json!("AACAPwA=")),
            malformed("the vector's length is not a multiple of 4 bytes")
        );
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_answer(&body);
        }

        #[test]
        fn any_answer_cut_short_is_refused(width in 1_usize..20, cut in 1_usize..1000) {
            let whole = answer(&base64(&vec![1.0; width]));
            let kept = whole.len() - 1 - cut % whole.len();
            prop_assert!(read_answer(&whole[..kept]).is_err());
        }

        #[test]
        fn any_finite_vector_points_where_the_server_says(
            components in prop::collection::vec(-1e30_f32..1e30, 1..=DIMENSIONS)
                .prop_filter("it has a direction", |all| all.iter().any(|c| c.abs() > 1e-30))
        ) {
            let vector = read(&base64(&components)).unwrap();
            prop_assert_eq!(&read(&json!(components)).unwrap(), &vector);
            let (mut along, mut square) = (0.0_f64, 0.0_f64);
            for (given, stored) in components.iter().zip(vector.components()) {
                along += f64::from(*given) * f64::from(*stored);
                square += f64::from(*given).powi(2);
            }
            prop_assert!((along / square.sqrt() - 1.0).abs() < 1e-4);
        }
    }
}
