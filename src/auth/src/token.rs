//! Bearer tokens (RFC 6750).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// Size limit. Kubernetes' tokens have 1 to 2 KiB; other issuers' grow with the user's groups.
pub(crate) const TOKEN_BYTES_MAX: usize = 16 * 1024;

const SCHEME: &str = "bearer";

/// A caller's bearer token.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(String);

/// Claims of a JWT (RFC 7519) whose signature is not verified here.
#[derive(Deserialize)]
struct Claims {
    exp: f64,
}

impl BearerToken {
    /// Parses an `Authorization` header: `Bearer` in any case, and a token (RFC 6750).
    pub fn parse(authorization: &str) -> Option<Self> {
        let (scheme, token) = authorization.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return None;
        }
        Self::new(token.trim_start_matches(' '))
    }

    pub(crate) fn new(token: &str) -> Option<Self> {
        let body = token.trim_end_matches('=');
        let is_token = !body.is_empty()
            && token.len() <= TOKEN_BYTES_MAX
            && body.bytes().all(|byte| {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
            });
        is_token.then(|| Self(token.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// The expiry of a JWT in Unix seconds. It is unverified, so use it only to shorten caching.
    pub(crate) fn expires_at(&self) -> Option<u64> {
        let mut parts = self.0.split('.');
        let (_, claims) = (parts.next()?, parts.next()?);
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        let claims: Claims = serde_json::from_slice(&claims).ok()?;
        // The cast saturates, and turns NaN into 0.
        Some(claims.exp as u64)
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_stands_behind_its_scheme() {
        let longest = "a".repeat(TOKEN_BYTES_MAX);
        for (header, token) in [
            ("Bearer abc", "abc"),
            ("bearer a.b-c_d~e+f/g==", "a.b-c_d~e+f/g=="),
            ("BEARER   abc", "abc"),
            (&format!("Bearer {longest}"), &longest),
        ] {
            let parsed = BearerToken::parse(header);
            assert_eq!(parsed.unwrap().as_str(), token);
        }
        for header in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer  ",
            "Bearer\tabc",
            "abc",
            "Basic abc",
            "Bearerabc",
            "Bearer =",
            "Bearer a=b",
            "Bearer a b",
            "Bearer abc ",
            " Bearer abc",
            "Bearer a,b",
            "Bearer a, Bearer b",
            "Bearer \"abc\"",
            "Bearer schlüssel",
            "Bearer a\u{0}",
            &format!("Bearer {longest}a"),
        ] {
            assert_eq!(BearerToken::parse(header), None, "{header:?}");
        }
    }

    #[test]
    fn a_token_says_when_it_expires_if_it_does() {
        let token = |claims: &str| {
            let claims = URL_SAFE_NO_PAD.encode(claims);
            BearerToken::new(&format!("e30.{claims}.c2ln")).unwrap()
        };
        for (claims, expires_at) in [
            (r#"{"exp":1700000000,"sub":"a"}"#, Some(1_700_000_000)),
            (r#"{"exp":1700000000.5}"#, Some(1_700_000_000)),
            (r#"{"exp":-1}"#, Some(0)),
            (r#"{"exp":1e300}"#, Some(u64::MAX)),
            (r#"{"exp":"soon"}"#, None),
            (r#"{"exp":null}"#, None),
            ("{}", None),
            ("no JSON", None),
        ] {
            assert_eq!(token(claims).expires_at(), expires_at, "{claims}");
        }
        for opaque in ["abc", "a.b", "a.*.c", "..."] {
            let expires_at = BearerToken::new(opaque).and_then(|token| token.expires_at());
            assert_eq!(expires_at, None, "{opaque}");
        }
    }

    #[test]
    fn a_token_is_not_printed() {
        let token = BearerToken::new("secret").unwrap();
        assert_eq!(format!("{token:?}"), "BearerToken");
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_refused(header in ".{0,64}") {
            if let Some(token) = BearerToken::parse(&header) {
                prop_assert!(header.ends_with(token.as_str()));
                token.expires_at();
            }
        }

        #[test]
        fn any_token_of_the_alphabet_is_taken_as_it_is(token in "[-A-Za-z0-9._~+/]{1,200}={0,3}") {
            let parsed = BearerToken::parse(&format!("Bearer {token}")).unwrap();
            prop_assert_eq!(parsed.as_str(), token);
        }
    }
}
