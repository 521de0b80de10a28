//! Service account tokens that no API server would issue, signed with its key.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rsa::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use rsa::sha2::Sha256;
use rsa::{Generate as _, PrivateKey};
use serde_json::{Value, json};

use crate::control_plane::ISSUER;

/// Key that signs service account tokens; RSA, as in most clusters.
pub struct SigningKey {
    key: PrivateKey,
}

/// Claims of a token. By default those of the API server, valid for an hour from a minute ago.
pub struct Claims {
    namespace: String,
    account: String,
    uid: String,
    issuer: String,
    not_before: SystemTime,
    expires: SystemTime,
}

impl Claims {
    /// Returns the claims of an existing service account.
    pub fn of(account: &Value) -> Self {
        let metadata = |key: &str| {
            let value = account["metadata"][key].as_str();
            value.expect("metadata of an account").to_owned()
        };
        let now = SystemTime::now();
        Self {
            namespace: metadata("namespace"),
            account: metadata("name"),
            uid: metadata("uid"),
            issuer: ISSUER.to_owned(),
            not_before: now - Duration::from_secs(60),
            expires: now + Duration::from_secs(3600),
        }
    }

    /// Sets the issuer.
    #[must_use]
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.issuer = issuer.to_owned();
        self
    }

    /// Makes the token expire `time` ago.
    #[must_use]
    pub fn expired_since(mut self, time: Duration) -> Self {
        let expires = SystemTime::now() - time;
        self.expires = expires;
        self.not_before = expires - Duration::from_secs(3600);
        self
    }

    /// Makes the token valid only after `time`.
    #[must_use]
    pub fn valid_in(mut self, time: Duration) -> Self {
        self.not_before = SystemTime::now() + time;
        self
    }
}

impl SigningKey {
    /// Generates a key that no API server has.
    pub fn generate() -> Self {
        let key = PrivateKey::generate();
        Self { key }
    }

    pub(crate) fn private_pem(&self) -> String {
        let pem = self.key.to_pkcs8_pem(LineEnding::LF);
        pem.expect("a key").to_string()
    }

    pub(crate) fn public_pem(&self) -> String {
        let pem = self.key.to_public_key().to_public_key_pem(LineEnding::LF);
        pem.expect("a key")
    }

    /// Returns a token (RFC 7519) with these claims, signed by RS256.
    pub fn sign(&self, claims: &Claims) -> String {
        let seconds = |time: SystemTime| {
            let since = time.duration_since(SystemTime::UNIX_EPOCH);
            since.expect("a time after 1970").as_secs()
        };
        let payload = json!({
            "iss": claims.issuer,
            "sub": format!("system:serviceaccount:{}:{}", claims.namespace, claims.account),
            "aud": [ISSUER],
            "iat": seconds(claims.not_before),
            "nbf": seconds(claims.not_before),
            "exp": seconds(claims.expires),
            "kubernetes.io": {
                "namespace": claims.namespace,
                "serviceaccount": {"name": claims.account, "uid": claims.uid},
            },
        });
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": "RS256", "typ": "JWT"});
        let signed = format!("{}.{}", part(&header), part(&payload));
        let signature = self.key.pkcs1v15_sign::<Sha256>(signed.as_bytes());
        let signature = signature.expect("a signature");
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}
