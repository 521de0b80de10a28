//! Bodies of requests and responses.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::failure::Failure;
use super::settings::ModelName;
use crate::trial::Fault;
use crate::vector::{DIMENSIONS, Vector};

/// Largest response read, in bytes per text: several times 3,072 dimensions in decimals.
const ANSWER_BYTES_PER_TEXT_MAX: usize = 256 * 1024;

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
    input: Input<'a>,
}

/// Some servers take no array.
#[derive(Serialize)]
#[serde(untagged)]
enum Input<'a> {
    One(&'a str),
    Many(&'a [&'a str]),
}

pub(crate) fn request_body(model: &ModelName, texts: &[&str]) -> Vec<u8> {
    let request = Request {
        model: model.as_str(),
        input: match texts {
            [text] => Input::One(text),
            texts => Input::Many(texts),
        },
    };
    // Serializing strings cannot fail.
    serde_json::to_vec(&request).unwrap_or_default()
}

/// Size limit of the response to a request with this many texts.
pub(crate) fn answer_bytes_max(texts: usize) -> usize {
    texts * ANSWER_BYTES_PER_TEXT_MAX
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    /// The text's place in the request; some servers leave it out.
    index: Option<Value>,
    embedding: Components,
}

impl Item {
    fn index(&self) -> Option<u64> {
        self.index.as_ref()?.as_u64()
    }
}

/// Decimals, or base64 of little-endian floats, which some gateways always request.
#[derive(Deserialize)]
#[serde(untagged)]
enum Components {
    Base64(String),
    Decimals(Vec<f32>),
}

/// Reads the vectors of this many texts, in the texts' order.
pub(crate) fn read_answer(body: &[u8], texts: usize) -> Result<Vec<Vector>, Failure> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|_| Failure::Malformed("not a list of embeddings"))?;
    let mut items = answer.data;
    if items.len() != texts {
        return Err(Failure::Miscounted);
    }
    if texts > 1 && items.iter().any(|item| item.index.is_some()) {
        items.sort_by_key(Item::index);
        if !(0..).zip(&items).all(|(n, item)| item.index() == Some(n)) {
            return Err(Failure::Malformed("the indexes do not number the texts"));
        }
    }
    items.into_iter().map(read_vector).collect()
}

fn read_vector(item: Item) -> Result<Vector, Failure> {
    let components = match item.embedding {
        Components::Base64(text) => decode_floats(&text)?,
        Components::Decimals(numbers) => numbers,
    };
    if components.len() > DIMENSIONS {
        return Err(Failure::Fault(Fault::TooWide(components.len())));
    }
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
    use serde_json::json;

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
        read_answer(&answer(embedding), 1).map(|mut vectors| vectors.pop().unwrap())
    }

    /// The answer to several texts: index and axis of each item.
    fn read_many(items: &[(Value, usize)]) -> Result<Vec<Vector>, Failure> {
        let data: Vec<_> = items
            .iter()
            .map(|(index, axis)| {
                let components = Vector::along(*axis).components().to_vec();
                json!({"index": index, "embedding": components})
            })
            .collect();
        read_answer(json!({"data": data}).to_string().as_bytes(), items.len())
    }

    fn malformed(problem: &'static str) -> Result<Vector, Failure> {
        Err(Failure::Malformed(problem))
    }

    #[test]
    fn the_request_names_the_model_and_quotes_the_text() {
        let model = ModelName::parse("some-model").unwrap();
        let text = "say \"hi\"\n\u{1F6A8}";
        for (texts, input) in [
            (&[text][..], json!(text)),
            (&[text, "two"], json!([text, "two"])),
        ] {
            let body: Value = serde_json::from_slice(&request_body(&model, texts)).unwrap();
            assert_eq!(body, json!({"model": "some-model", "input": input}));
        }
    }

    #[test]
    fn several_vectors_are_those_of_the_texts_that_their_indexes_name() {
        let vectors = [3, 1, 2].map(Vector::along);
        let in_order = [(json!(0), 3), (json!(1), 1), (json!(2), 2)];
        assert_eq!(read_many(&in_order).unwrap(), vectors);
        let shuffled = [(json!(2), 2), (json!(0), 3), (json!(1), 1)];
        assert_eq!(read_many(&shuffled).unwrap(), vectors);
        let unnumbered = [3, 1, 2].map(|axis| (Value::Null, axis));
        assert_eq!(read_many(&unnumbered).unwrap(), vectors);
    }

    #[test]
    fn several_vectors_without_clear_places_are_refused() {
        let numbers = |numbers: [Value; 2]| numbers.map(|number| (number, 1));
        for indexes in [
            [json!(0), json!(0)],
            [json!(1), json!(2)],
            [json!(0), Value::Null],
            [json!(0), json!(-1)],
            [json!(0), json!(1.0)],
            [json!("0"), json!("1")],
        ] {
            let refused = Err(Failure::Malformed("the indexes do not number the texts"));
            assert_eq!(read_many(&numbers(indexes.clone())), refused, "{indexes:?}");
        }
        let body = br#"{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1]}]}"#;
        for texts in [0, 1, 3] {
            let refused = Err(Failure::Miscounted);
            assert_eq!(read_answer(body, texts), refused, "{texts}");
        }
    }

    #[test]
    fn the_index_of_a_single_vector_does_not_matter() {
        for index in [json!(1), json!("0"), Value::Null] {
            assert_eq!(read_many(&[(index, 7)]).unwrap(), [Vector::along(7)]);
        }
    }

    #[test]
    fn base64_and_decimals_are_the_same_vector_of_length_one() {
        let components = [3.0, 0.0, -4.0];
        let vector = read(&base64(&components)).unwrap();
        assert_eq!(read(&json!(components)).unwrap(), vector);
        assert_eq!(read(&json!([3, 0, -4])).unwrap(), vector);
        assert_eq!(vector.components(), [0.6, 0.0, -0.8]);
    }

    #[test]
    fn a_vector_has_from_one_dimension_to_as_many_as_are_stored() {
        for width in [1, 384, DIMENSIONS] {
            let vector = read(&base64(&vec![1.0; width])).unwrap();
            assert_eq!(vector.components().len(), width);
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
            let refused = Failure::Malformed("not a list of embeddings");
            assert_eq!(read_answer(body.as_bytes(), 1), Err(refused), "{body}");
        }
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
            let _ = read_answer(&body, 1);
        }

        #[test]
        fn any_answer_cut_short_is_refused(width in 1_usize..20, cut in 1_usize..1000) {
            let whole = answer(&base64(&vec![1.0; width]));
            let kept = whole.len() - 1 - cut % whole.len();
            prop_assert!(read_answer(&whole[..kept], 1).is_err());
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
