//! Who may use an endpoint.

use auth::{BearerToken, InvalidSetting, Refusal, Settings, UserName, Verb};
use records::Violation;

use crate::problem::Problem;
use crate::request::Request;
use crate::settings;

/// Finds out whether the caller may: its name, where callers are asked who they are.
type Review = fn(&Request) -> Result<Option<UserName>, Problem>;

/// Who may use an endpoint.
///
/// Not an enumeration: a component whose endpoint is open shall not even have the code that
/// asks over the network, nor the right to (`wit/worlds.wit`).
#[derive(Clone, Copy, Debug)]
pub struct Access(Option<Review>);

impl Access {
    /// Everybody may.
    pub const OPEN: Self = Self(None);
    /// Who may read.
    pub const READ: Self = Self(Some(|request| review(request, Verb::Get)));
    /// Who may write.
    pub const WRITE: Self = Self(Some(|request| review(request, Verb::Create)));

    /// The caller's name, where it is asked for.
    pub(crate) fn admit(self, request: &Request) -> Result<Option<UserName>, Problem> {
        match self.0 {
            Some(review) => review(request),
            None => Ok(None),
        }
    }
}

/// Every setting about access that cannot be used: without them, who may is not known, and
/// nobody is let in.
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
    // Of two headers neither is taken: the service and what stands before it could differ in
    // which one counts.
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
