//! Requests, responses and errors of the OpenAI embeddings API.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::model::{DIMENSIONS, Embedding, NAME};

/// Maximum size of a request body in bytes.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Maximum number of texts in one request, as in OpenAI's API.
pub const TEXTS_MAX: usize = 2048;

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) texts: Vec<String>,
    encoding: Encoding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Float,
    Base64,
}

impl Request {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let Ok(Value::Object(mut members)) = serde_json::from_slice(body) else {
            return Err(Refusal::invalid(None, "The body is not a JSON object."));
        };
        check_model(&members)?;
        check_dimensions(&members)?;
        Ok(Self {
            encoding: encoding(&members)?,
            texts: texts(members.remove("input"))?,
        })
    }
}

fn check_model(members: &Map<String, Value>) -> Result<(), Refusal> {
    match members.get("model") {
        Some(Value::String(name)) if name == NAME => Ok(()),
        Some(Value::String(name)) => Err(Refusal {
            status: StatusCode::NOT_FOUND,
            code: Some("model_not_found"),
            ..Refusal::invalid(
                Some("model"),
                format!("There is no model `{name}` here, only `{NAME}`."),
            )
        }),
        _ => {
            let message = format!("`model` must be given, as a string: `{NAME}`.");
            Err(Refusal::invalid(Some("model"), message))
        }
    }
}

fn check_dimensions(members: &Map<String, Value>) -> Result<(), Refusal> {
    match members.get("dimensions") {
        None | Some(Value::Null) => Ok(()),
        Some(wanted) if wanted.as_u64() == Some(DIMENSIONS as u64) => Ok(()),
        Some(_) => {
            let message = format!("`{NAME}` has {DIMENSIONS} dimensions, and no other number.");
            Err(Refusal::invalid(Some("dimensions"), message))
        }
    }
}

fn encoding(members: &Map<String, Value>) -> Result<Encoding, Refusal> {
    let Some(format) = members.get("encoding_format") else {
        return Ok(Encoding::Float);
    };
    match format.as_str() {
        Some("float") => Ok(Encoding::Float),
        Some("base64") => Ok(Encoding::Base64),
        _ => {
            let message = "`encoding_format` must be `float` or `base64`.";
            Err(Refusal::invalid(Some("encoding_format"), message))
        }
    }
}

fn texts(input: Option<Value>) -> Result<Vec<String>, Refusal> {
    let refusal = |message: &str| Refusal::invalid(Some("input"), message);
    let items = match input {
        Some(Value::String(text)) => vec![Value::String(text)],
        Some(Value::Array(items)) => items,
        _ => return Err(refusal("`input` must be a string or an array of strings.")),
    };
    if items.is_empty() || items.len() > TEXTS_MAX {
        let message = format!("`input` must have 1 to {TEXTS_MAX} texts.");
        return Err(refusal(&message));
    }
    items
        .into_iter()
        .map(|item| match item {
            Value::String(text) if !text.is_empty() => Ok(text),
            Value::String(_) => Err(refusal("`input` must not have an empty string.")),
            _ => Err(refusal("`input` must have strings only.")),
        })
        .collect()
}

#[derive(Serialize)]
pub(crate) struct Answer {
    object: &'static str,
    model: &'static str,
    data: Vec<Item>,
    usage: Usage,
}

#[derive(Serialize)]
struct Item {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector {
    Float(Vec<f32>),
    Base64(String),
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

impl Answer {
    pub(crate) fn new(request: &Request, embeddings: Vec<Embedding>) -> Self {
        let tokens = embeddings.iter().map(|embedding| embedding.tokens).sum();
        let data = embeddings.into_iter().enumerate();
        Self {
            object: "list",
            model: NAME,
            data: data
                .map(|(index, embedding)| Item {
                    object: "embedding",
                    index,
                    embedding: request.encoding.encode(embedding.vector),
                })
                .collect(),
            usage: Usage {
                prompt_tokens: tokens,
                total_tokens: tokens,
            },
        }
    }

    pub(crate) fn summary(&self) -> String {
        let (texts, tokens) = (self.data.len(), self.usage.total_tokens);
        format!("texts: {texts}, tokens: {tokens}")
    }
}

impl Encoding {
    fn encode(self, vector: Vec<f32>) -> Vector {
        match self {
            Self::Float => Vector::Float(vector),
            Self::Base64 => {
                let bytes: Vec<u8> = vector.into_iter().flat_map(f32::to_le_bytes).collect();
                Vector::Base64(BASE64_STANDARD.encode(bytes))
            }
        }
    }
}

/// An error response.
#[derive(Debug, Serialize)]
pub(crate) struct Refusal {
    #[serde(skip)]
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    r#type: &'static str,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

impl Refusal {
    /// The request is invalid, in the member `param` if given.
    pub(crate) fn invalid(param: Option<&'static str>, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: message.into(),
            r#type: "invalid_request_error",
            param,
            code: None,
        }
    }

    /// The request is refused unread.
    pub(crate) fn unread(
        status: StatusCode,
        code: Option<&'static str>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code,
            ..Self::invalid(None, message)
        }
    }

    pub(crate) fn failure(error: &anyhow::Error) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            r#type: "server_error",
            ..Self::invalid(None, format!("{error:#}"))
        }
    }
}
