//! Access control for endpoints.

use auth::{BearerToken, InvalidSetting, Refusal, Settings, UserName, Verb};
use records::Violation;

use crate::problem::Problem;
use crate::request::Request;
use crate::settings;

/// Authenticates and authorizes a caller; `None` if authentication is disabled.
type Review = fn(&Request) -> Result<Option<UserName>, Problem>;

/// The access rule of an endpoint. A function pointer, not an enum, so that components with open
/// endpoints link no network code (`wit/worlds.wit`).
#[derive(Clone, Copy, Debug)]
pub struct Access(Option<Review>);

impl Access {
    /// Anyone may use the endpoint.
    pub const OPEN: Self = Self(None);
    /// Callers with permission to read.
    pub const READ: Self = Self(Some(|request| review(request, Verb::Get)));
    /// Callers with permission to write.
    pub const WRITE: Self = Self(Some(|request| review(request, Verb::Create)));
    /// Callers with permission to place and release holds, which those who write records lack.
    pub const HOLD: Self = Self(Some(|request| review(request, Verb::Hold)));

    pub(crate) fn admit(self, request: &Request) -> Result<Option<UserName>, Problem> {
        match self.0 {
            Some(review) => review(request),
            None => Ok(None),
        }
    }
}

/// The access settings that are invalid. Any of them makes the service refuse every caller.
pub fn check_access_settings() -> Vec<Violation> {
    let unusable = settings::access().err().unwrap_or_default();
    unusable
        .iter()
        .map(|unusable| {
            let message = unusable.to_string();
            Violation::new(unusable.variable, "readiness", message)
        })
        .collect()
}

fn review(request: &Request, verb: Verb) -> Result<Option<UserName>, Problem> {
    let reviewer = match settings::access() {
        Ok(Settings::Open) => return Ok(None),
        Ok(Settings::Reviewed(reviewer)) => reviewer,
        Err(unusable) => return Err(Problem::no_verdict(&causes(&unusable))),
    };
    // Rejects repeated headers: the service and a proxy in front of it could choose different ones.
    let token = request
        .header("authorization")
        .and_then(BearerToken::parse)
        .ok_or_else(Problem::unauthorized)?;
    match reviewer.admit(&token, verb, request.redis()) {
        Ok(user) => Ok(Some(user)),
        Err(Refusal::Unauthenticated) => Err(Problem::unauthorized()),
        Err(Refusal::Forbidden) => Err(Problem::forbidden()),
        Err(Refusal::Unavailable(cause)) => Err(Problem::no_verdict(&cause)),
    }
}

fn causes(unusable: &[InvalidSetting]) -> String {
    let causes: Vec<_> = unusable.iter().map(InvalidSetting::to_string).collect();
    causes.join("; ")
}
