//! Reviews callers, using cached verdicts if possible.

use redis_client::{Redis, RedisError};
use serde_json::json;

use crate::Verb;
use crate::cache_entry::{EntryKey, now};
use crate::settings::Reviewer;
use crate::token::BearerToken;
use crate::user::UserName;
use crate::verdict::{Verdict, seconds_max};

/// Why a caller is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The caller is not authenticated.
    Unauthenticated,
    /// The caller lacks permission.
    Forbidden,
    /// There is no verdict, for a reason to log only.
    Unavailable(String),
}

impl Reviewer {
    /// Returns the token's user if that user has permission.
    ///
    /// # Errors
    ///
    /// The caller is refused.
    pub fn admit(
        &self,
        token: &BearerToken,
        verb: Verb,
        store: &Redis,
    ) -> Result<UserName, Refusal> {
        let key = self.entry_key(token, verb);
        let verdict = match self.recall(&key, store) {
            Some(verdict) => verdict,
            None => {
                // Kubernetes answers as of this moment or later.
                let asked_at = now();
                let asked = self.ask(token, verb);
                let verdict = asked.map_err(|trouble| Refusal::Unavailable(trouble.to_string()))?;
                self.remember(&key, &verdict, token, asked_at, store);
                verdict
            }
        };
        match verdict {
            Verdict::Admitted(name) => Ok(name),
            Verdict::Forbidden => Err(Refusal::Forbidden),
            Verdict::Unauthenticated => Err(Refusal::Unauthenticated),
        }
    }

    /// Hashes everything that a verdict depends on.
    fn entry_key(&self, token: &BearerToken, verb: Verb) -> EntryKey {
        // Audiences contain no commas.
        let audiences = self.mode.audiences().join(",");
        self.cache_key.entry_key(&[
            self.mode.name(),
            &self.api_url,
            &audiences,
            &self.namespace,
            verb.as_str(),
            token.as_str(),
        ])
    }

    fn recall(&self, key: &EntryKey, store: &Redis) -> Option<Verdict> {
        if !store.is_configured() {
            return None;
        }
        match store.get(key.as_str()) {
            Ok(entry) => self.cache_key.open(key, &entry?, now()),
            Err(error) => {
                log_failure("get", error);
                None
            }
        }
    }

    fn remember(
        &self,
        key: &EntryKey,
        verdict: &Verdict,
        token: &BearerToken,
        asked_at: u64,
        store: &Redis,
    ) {
        let seconds = seconds_to_remember(verdict, token, asked_at);
        if seconds == 0 || !store.is_configured() {
            return;
        }
        let entry = self
            .cache_key
            .seal(key, verdict, asked_at + u64::from(seconds));
        if let Err(error) = store.set_for(key.as_str(), &entry, seconds) {
            log_failure("set", error);
        }
    }
}

/// Limits caching to the token's lifetime, if it states one.
fn seconds_to_remember(verdict: &Verdict, token: &BearerToken, now: u64) -> u32 {
    let most = seconds_max(verdict);
    let seconds = match (verdict, token.expires_at()) {
        (Verdict::Admitted(_), Some(expires_at)) => expires_at.saturating_sub(now).min(most),
        _ => most,
    };
    u32::try_from(seconds).unwrap_or_default()
}

fn log_failure(operation: &str, error: RedisError) {
    telemetry::warn(
        "cannot cache the review of a caller",
        json!({"operation": operation, "error": error.to_string()}),
    );
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn expiring(expires_at: u64) -> BearerToken {
        let claims = URL_SAFE_NO_PAD.encode(json!({"exp": expires_at}).to_string());
        BearerToken::new(&format!("e30.{claims}.c2ln")).unwrap()
    }

    #[test]
    fn a_verdict_is_remembered_no_longer_than_the_token_is_good() {
        let admitted = Verdict::Admitted(UserName::new("anna").unwrap());
        for (expires_at, seconds) in [
            (NOW + 3600, 60),
            (NOW + 61, 60),
            (NOW + 60, 60),
            (NOW + 59, 59),
            (NOW + 1, 1),
            (NOW, 0),
            (NOW - 10, 0),
        ] {
            let token = expiring(expires_at);
            assert_eq!(seconds_to_remember(&admitted, &token, NOW), seconds);
            assert_eq!(seconds_to_remember(&Verdict::Forbidden, &token, NOW), 5);
            assert_eq!(
                seconds_to_remember(&Verdict::Unauthenticated, &token, NOW),
                5
            );
        }
        let opaque = BearerToken::new("opaque").unwrap();
        assert_eq!(seconds_to_remember(&admitted, &opaque, NOW), 60);
    }
}
