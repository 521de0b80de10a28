//! JSON of Kubernetes' `authentication.k8s.io/v1` and `authorization.k8s.io/v1` reviews.
//! (<https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1>)

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Verb;
use crate::token::BearerToken;
use crate::user::UserName;

/// Permissions are checked on the service's Service object.
const RESOURCE: &str = "services";
const RESOURCE_NAME: &str = "data-storage";

/// Kubernetes' user for requests without credentials.
const ANONYMOUS: &str = "system:anonymous";

#[allow(clippy::enum_variant_names, reason = "these are Kubernetes' names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReviewKind {
    TokenReview,
    SubjectAccessReview,
    SelfSubjectReview,
    SelfSubjectAccessReview,
}

impl ReviewKind {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::TokenReview => "/apis/authentication.k8s.io/v1/tokenreviews",
            Self::SelfSubjectReview => "/apis/authentication.k8s.io/v1/selfsubjectreviews",
            Self::SubjectAccessReview => "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            Self::SelfSubjectAccessReview => {
                "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
            }
        }
    }

    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::TokenReview => "TokenReview",
            Self::SubjectAccessReview => "SubjectAccessReview",
            Self::SelfSubjectReview => "SelfSubjectReview",
            Self::SelfSubjectAccessReview => "SelfSubjectAccessReview",
        }
    }

    fn api_version(self) -> &'static str {
        match self {
            Self::TokenReview | Self::SelfSubjectReview => "authentication.k8s.io/v1",
            Self::SubjectAccessReview | Self::SelfSubjectAccessReview => "authorization.k8s.io/v1",
        }
    }
}

/// Why a response is malformed.
pub(crate) type Malformed = &'static str;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReviewRequest<S> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    spec: Option<S>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReviewResponse<S> {
    api_version: String,
    kind: String,
    status: S,
}

#[derive(Serialize)]
struct TokenReviewSpec<'a> {
    token: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    audiences: &'a [String],
}

#[derive(Deserialize)]
struct TokenReviewStatus {
    #[serde(default)]
    authenticated: bool,
    user: Option<User>,
    audiences: Option<Vec<String>>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SelfSubjectReviewStatus {
    user_info: User,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccessReviewSpec<'a> {
    resource_attributes: ResourceAttributes<'a>,
    #[serde(flatten)]
    user: Option<Subject<'a>>,
}

#[derive(Serialize)]
struct ResourceAttributes<'a> {
    namespace: &'a str,
    verb: &'a str,
    /// The core group's name is empty.
    group: &'a str,
    resource: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct Subject<'a> {
    user: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    uid: &'a str,
    groups: &'a [String],
    extra: &'a BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct AccessReviewStatus {
    allowed: bool,
    #[serde(default)]
    denied: bool,
}

/// A user as the API server describes it. SubjectAccessReview takes it back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct User {
    #[serde(default)]
    username: String,
    uid: Option<String>,
    groups: Option<Vec<String>>,
    extra: Option<BTreeMap<String, Vec<String>>>,
}

impl User {
    pub(crate) fn name(&self) -> Result<UserName, Malformed> {
        if self.username == ANONYMOUS {
            return Err("the API server received no token and reports an anonymous user");
        }
        UserName::new(self.username.as_str())
            .ok_or("the user's name is empty, too long or contains NUL")
    }
}

/// Requests a review of the caller's token for `audiences`, or for the API server if empty.
pub(crate) fn token_review(token: &BearerToken, audiences: &[String]) -> Vec<u8> {
    let token = token.as_str();
    write(
        ReviewKind::TokenReview,
        Some(TokenReviewSpec { token, audiences }),
    )
}

pub(crate) fn self_subject_review() -> Vec<u8> {
    write(ReviewKind::SelfSubjectReview, None::<()>)
}

pub(crate) fn subject_access_review(user: &User, namespace: &str, verb: Verb) -> Vec<u8> {
    let no_extra = BTreeMap::new();
    let subject = Subject {
        user: &user.username,
        uid: user.uid.as_deref().unwrap_or_default(),
        groups: user.groups.as_deref().unwrap_or_default(),
        extra: user.extra.as_ref().unwrap_or(&no_extra),
    };
    let spec = AccessReviewSpec {
        resource_attributes: attributes(namespace, verb),
        user: Some(subject),
    };
    write(ReviewKind::SubjectAccessReview, Some(spec))
}

pub(crate) fn self_subject_access_review(namespace: &str, verb: Verb) -> Vec<u8> {
    let spec = AccessReviewSpec {
        resource_attributes: attributes(namespace, verb),
        user: None,
    };
    write(ReviewKind::SelfSubjectAccessReview, Some(spec))
}

fn attributes(namespace: &str, verb: Verb) -> ResourceAttributes<'_> {
    ResourceAttributes {
        namespace,
        verb: verb.as_str(),
        group: "",
        resource: RESOURCE,
        name: RESOURCE_NAME,
    }
}

fn write(question: ReviewKind, spec: Option<impl Serialize>) -> Vec<u8> {
    let asked = ReviewRequest {
        api_version: question.api_version(),
        kind: question.kind(),
        spec,
    };
    // Serializing strings, lists and maps cannot fail.
    serde_json::to_vec(&asked).unwrap_or_default()
}

/// Parses the user; `None` if the token is unknown, expired or for other audiences.
pub(crate) fn read_token_review(
    body: &[u8],
    audiences: &[String],
) -> Result<Option<User>, Malformed> {
    let status: TokenReviewStatus = read(ReviewKind::TokenReview, body)?;
    if !status.authenticated {
        return Ok(None);
    }
    if status.error.is_some_and(|error| !error.is_empty()) {
        return Err("the response reports both an authenticated token and an error");
    }
    // A server without audience support returns none: the token may be any of its clients'.
    let own = status.audiences.unwrap_or_default();
    let is_for_us = audiences.is_empty() || own.iter().any(|own| audiences.contains(own));
    if !is_for_us {
        return Ok(None);
    }
    let user = status.user.ok_or("the response names no user")?;
    user.name()?;
    Ok(Some(user))
}

pub(crate) fn read_self_subject_review(body: &[u8]) -> Result<User, Malformed> {
    let status: SelfSubjectReviewStatus = read(ReviewKind::SelfSubjectReview, body)?;
    status.user_info.name()?;
    Ok(status.user_info)
}

pub(crate) fn read_access_review(question: ReviewKind, body: &[u8]) -> Result<bool, Malformed> {
    let status: AccessReviewStatus = read(question, body)?;
    if status.allowed && status.denied {
        return Err("the response both allows and denies access");
    }
    Ok(status.allowed)
}

fn read<S: DeserializeOwned>(question: ReviewKind, body: &[u8]) -> Result<S, Malformed> {
    let answered: ReviewResponse<S> =
        serde_json::from_slice(body).map_err(|_| "the response is not the JSON of a review")?;
    if answered.kind != question.kind() || answered.api_version != question.api_version() {
        return Err("the response is of another kind or version");
    }
    Ok(answered.status)
}

#[cfg(test)]
mod tests;
