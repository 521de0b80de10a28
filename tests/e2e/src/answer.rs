//! A response with its request, so that a failed assertion shows both.

use std::fmt;

use reqwest::header::HeaderMap;
use serde_json::Value;

/// A response of the service.
pub struct Answer {
    /// Method, path and body of the request.
    pub request: String,
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub text: String,
}

impl Answer {
    pub(crate) async fn read(request: String, response: reqwest::Response) -> Self {
        Self {
            request,
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.expect("the answer's body"),
        }
    }

    /// Returns a header's value, or an empty text if it is absent.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("a header in ASCII"))
    }

    /// Parses the body as JSON; panics on anything else.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Parses the body as JSON, without what a later response may say otherwise of the same
    /// record: whether and where the log has its leaf.
    #[track_caller]
    pub fn stored(&self) -> Value {
        let mut body = self.json();
        if let Some(log) = body.get_mut("log").and_then(Value::as_object_mut) {
            log.retain(|name, _| ["commitment", "proof"].contains(&name.as_str()));
        }
        body
    }

    /// Asserts the status and returns the response.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Asserts a problem document of this type and status that agrees with the headers, and returns
    /// the response.
    #[track_caller]
    pub fn expect_problem(self, status: u16, slug: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(
            answer.header("content-type"),
            "application/problem+json",
            "{answer:?}"
        );
        let problem = answer.json();
        let expected = format!("https://kubernaut.io/errors/{slug}");
        assert_eq!(problem["type"], Value::from(expected), "{answer:?}");
        assert_eq!(problem["status"], Value::from(status), "{answer:?}");
        let correlation_id = answer.header("x-correlation-id");
        assert!(!correlation_id.is_empty(), "{answer:?}");
        assert_eq!(
            problem["correlationId"],
            Value::from(correlation_id),
            "{answer:?}"
        );
        for text in ["title", "detail", "instance"] {
            let text = problem[text].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{answer:?}");
        }
        answer
    }

    /// Returns the violations of a problem document as pairs of field and rule.
    #[track_caller]
    pub fn violations(&self) -> Vec<(String, String)> {
        let problem = self.json();
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        let text = |error: &Value, name: &str| error[name].as_str().unwrap_or_default().to_owned();
        errors
            .iter()
            .map(|error| (text(error, "field"), text(error, "rule")))
            .collect()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = |text: &str| text.chars().take(2000).collect::<String>();
        writeln!(f, "\n  asked    {}", cut(&self.request))?;
        writeln!(f, "  answered {} {:?}", self.status, self.headers)?;
        writeln!(f, "  body     {}", cut(&self.text))
    }
}

/// Asserts that `object` has the expected fields and null in all others.
#[track_caller]
pub fn assert_says(object: &Value, expected: &Value) {
    let fields = object.as_object().expect("an object");
    let said: serde_json::Map<_, _> = fields
        .iter()
        .filter(|(name, value)| !value.is_null() || !expected[name.as_str()].is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut expected = expected.clone();
    let expected_fields = expected.as_object_mut().expect("an object");
    expected_fields.retain(|name, value| !value.is_null() || !fields.contains_key(name));
    assert_eq!(Value::Object(said), expected);
}
