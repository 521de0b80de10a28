//! The result of reviewing a caller.

use crate::user::UserName;

/// A withdrawn token remains usable for this long.
const ADMITTED_SECONDS_MAX: u64 = 60;
/// A new permission may go unnoticed for this long.
const REFUSED_SECONDS_MAX: u64 = 5;

/// Kubernetes' verdict on a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Admitted(UserName),
    Forbidden,
    Unauthenticated,
}

pub(crate) fn seconds_max(verdict: &Verdict) -> u64 {
    match verdict {
        Verdict::Admitted(_) => ADMITTED_SECONDS_MAX,
        Verdict::Forbidden | Verdict::Unauthenticated => REFUSED_SECONDS_MAX,
    }
}
