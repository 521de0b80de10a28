//! Differences between embedding servers, according to their documentation, sources and bug
//! reports.

use serde_json::{Value, json};

use crate::dense::{DENSE_DIMENSIONS, vector_of};
use crate::{Received, answer, encode, list, ok};

const CHARACTERS_PER_TOKEN: usize = 4;

const JSON: &str = "content-type: application/json\r\n";

/// Reaction to `"encoding_format": "base64"`.
#[derive(Clone, Copy, Debug)]
enum OnBase64 {
    /// Answers in base64.
    Obeys,
    /// Answers in decimals.
    Ignores,
    /// Refuses the request with this status.
    Refuses(u16),
    /// Answers 200 without a vector.
    Breaks,
}

/// Behaviour of a server.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    /// Its name.
    pub name: &'static str,
    on_base64: OnBase64,
    texts_max: usize,
    /// Its response to more texts, for the actual and the maximum number.
    too_many: fn(usize, usize) -> String,
    tokens_max: usize,
    /// Its response to a longer text: the status, and the body for the actual and the maximum
    /// number.
    too_long: (u16, fn(usize, usize) -> Value),
    /// Header with the API key.
    pub key_header: &'static str,
    /// Query that requests must have.
    pub query: Option<&'static str>,
}

/// The servers that the service supports.
pub const SERVERS: [Server; 8] = [
    Server {
        name: "OpenAI",
        on_base64: OnBase64::Obeys,
        texts_max: 2048,
        too_many: too_many_for_openai,
        tokens_max: 2048,
        too_long: (400, |tokens, max| {
            let message = format!(
                "This model's maximum context length is {max} tokens, however you requested \
                 {tokens} tokens ({tokens} in your prompt; 0 for the completion). Please reduce \
                 your prompt; or completion length."
            );
            json!({"error": {
                "message": message, "type": "invalid_request_error", "param": null, "code": null,
            }})
        }),
        key_header: "authorization",
        query: None,
    },
    Server {
        name: "Azure OpenAI",
        on_base64: OnBase64::Obeys,
        texts_max: 1,
        too_many: too_many_for_openai,
        tokens_max: 2048,
        too_long: (400, |tokens, max| {
            let message = format!(
                "This model's maximum context length is {max} tokens, however you requested \
                 {tokens} tokens."
            );
            json!({"error": {"message": message, "code": "context_length_exceeded"}})
        }),
        key_header: "api-key",
        query: Some("api-version=2024-10-21"),
    },
    Server {
        name: "vLLM",
        on_base64: OnBase64::Refuses(400),
        texts_max: usize::MAX,
        too_many: too_many_for_openai,
        tokens_max: 512,
        too_long: (400, |tokens, max| {
            let message = format!(
                "This model's maximum context length is {max} tokens. However, you requested \
                 {tokens} tokens in the input for embedding generation. Please reduce the length \
                 of the input."
            );
            json!({"object": "error", "message": message, "type": "BadRequestError", "code": 400})
        }),
        key_header: "authorization",
        query: None,
    },
    Server {
        name: "text-embeddings-inference",
        on_base64: OnBase64::Refuses(422),
        texts_max: 32,
        too_many: too_many_for_tei,
        tokens_max: 512,
        too_long: (413, |tokens, max| {
            let message = format!(
                "Input validation error: `inputs` must have less than {max} tokens. Given: {tokens}"
            );
            json!({"message": message, "type": "Validation"})
        }),
        key_header: "authorization",
        query: None,
    },
    Server {
        name: "Ollama",
        on_base64: OnBase64::Ignores,
        texts_max: usize::MAX,
        too_many: too_many_for_openai,
        tokens_max: 512,
        too_long: (400, |_, _| {
            let message = "the input length exceeds the context length";
            json!({"error": {"message": message, "type": "api_error", "code": null}})
        }),
        key_header: "authorization",
        query: None,
    },
    Server {
        name: "LM Studio",
        on_base64: OnBase64::Ignores,
        texts_max: usize::MAX,
        too_many: too_many_for_openai,
        // It truncates texts itself.
        tokens_max: usize::MAX,
        too_long: (400, |_, _| Value::Null),
        key_header: "authorization",
        query: None,
    },
    Server {
        name: "llama.cpp",
        on_base64: OnBase64::Obeys,
        texts_max: usize::MAX,
        too_many: too_many_for_openai,
        tokens_max: 512,
        too_long: (500, |tokens, max| {
            let message = format!(
                "input ({tokens} tokens) is too large to process. increase the physical batch \
                 size (current batch size: {max})"
            );
            json!({"error": {"code": 500, "message": message, "type": "server_error"}})
        }),
        key_header: "authorization",
        query: None,
    },
    Server {
        name: "a gateway",
        on_base64: OnBase64::Breaks,
        texts_max: usize::MAX,
        too_many: too_many_for_openai,
        tokens_max: 2048,
        too_long: (
            400,
            |_, _| json!({"error": {"message": "litellm.BadRequestError: input is too long"}}),
        ),
        key_header: "authorization",
        query: None,
    },
];

fn too_many_for_openai(texts: usize, max: usize) -> String {
    let message = format!("Too many inputs. The max number of inputs is {max}, not {texts}.");
    let error = json!({"error": {"message": message, "type": "invalid_request_error"}});
    answer(400, JSON, &error.to_string())
}

pub(crate) fn too_many_for_tei(texts: usize, max: usize) -> String {
    let message = format!("batch size {texts} > maximum allowed batch size {max}");
    let error = json!({"message": message, "code": 422, "type": "Validation"});
    answer(422, JSON, &error.to_string())
}

impl Server {
    pub(crate) fn reply(self, received: &Received, texts: &[String]) -> String {
        if texts.len() > self.texts_max {
            return (self.too_many)(texts.len(), self.texts_max);
        }
        let tokens = |text: &String| text.chars().count().div_ceil(CHARACTERS_PER_TOKEN);
        let tokens = texts.iter().map(tokens).max().unwrap_or_default();
        if tokens > self.tokens_max {
            let (status, body) = self.too_long;
            return answer(status, JSON, &body(tokens, self.tokens_max).to_string());
        }
        let vectors = texts.iter().map(|text| vector_of(text, DENSE_DIMENSIONS));
        match (self.on_base64, received.body.get("encoding_format")) {
            (OnBase64::Obeys, Some(_)) => ok(&list(vectors.map(|vector| encode(&vector)))),
            (OnBase64::Refuses(status), Some(_)) => {
                let message = json!({"message": "encoding_format: base64 is not supported"});
                answer(status, JSON, &message.to_string())
            }
            (OnBase64::Breaks, Some(_)) => ok(r#"{"object":"list","data":[]}"#),
            (OnBase64::Ignores, _) | (_, None) => ok(&list(vectors.map(|vector| json!(vector)))),
        }
    }
}
