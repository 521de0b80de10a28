//! The four reviews.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::answer::{Answer, created, failure, failure_of};
use crate::cluster::{API_AUDIENCE, Cluster, Rule, Token, User};

/// Group of all authenticated users.
const AUTHENTICATED: &str = "system:authenticated";

/// A review's group, path segment and kind.
struct Resource {
    group: &'static str,
    plural: &'static str,
    kind: &'static str,
}

const RESOURCES: [Resource; 4] = [
    Resource {
        group: "authentication.k8s.io",
        plural: "tokenreviews",
        kind: "TokenReview",
    },
    Resource {
        group: "authentication.k8s.io",
        plural: "selfsubjectreviews",
        kind: "SelfSubjectReview",
    },
    Resource {
        group: "authorization.k8s.io",
        plural: "subjectaccessreviews",
        kind: "SubjectAccessReview",
    },
    Resource {
        group: "authorization.k8s.io",
        plural: "selfsubjectaccessreviews",
        kind: "SelfSubjectAccessReview",
    },
];

/// A request body. Unknown fields are errors, as with `fieldValidation=Strict`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Sent<S> {
    api_version: String,
    kind: String,
    #[serde(default)]
    metadata: BTreeMap<String, Value>,
    spec: S,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentWithoutSpec {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenReviewSpec {
    #[serde(default)]
    token: String,
    #[serde(default)]
    audiences: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SubjectAccessReviewSpec {
    resource_attributes: Option<ResourceAttributes>,
    non_resource_attributes: Option<Value>,
    #[serde(default)]
    user: String,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(rename = "uid")]
    _uid: Option<String>,
    #[serde(rename = "extra")]
    _extra: Option<BTreeMap<String, Vec<String>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SelfSubjectAccessReviewSpec {
    resource_attributes: Option<ResourceAttributes>,
    non_resource_attributes: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourceAttributes {
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    verb: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    resource: String,
    #[serde(default)]
    name: String,
}

pub(crate) fn review(cluster: &Cluster, path: &str, bearer: Option<&str>, body: &[u8]) -> Answer {
    let resource = RESOURCES
        .iter()
        .find(|resource| path == format!("/apis/{}/v1/{}", resource.group, resource.plural));
    let caller = match bearer {
        Some(token) => match cluster.authenticate(token, &[API_AUDIENCE.to_owned()]) {
            Some(token) => token.user.clone(),
            None => return failure_of(StatusCode::UNAUTHORIZED),
        },
        None => User {
            name: "system:anonymous".to_owned(),
            groups: vec!["system:unauthenticated".to_owned()],
            ..User::default()
        },
    };
    let Some(resource) = resource else {
        return failure_of(StatusCode::NOT_FOUND);
    };
    if !may_ask(cluster, &caller, resource) {
        return failure(
            StatusCode::FORBIDDEN,
            "Forbidden",
            &format!(
                "{plural}.{group} is forbidden: User \"{user}\" cannot create resource \
                 \"{plural}\" in API group \"{group}\" at the cluster scope",
                plural = resource.plural,
                group = resource.group,
                user = caller.name
            ),
        );
    }
    match resource.kind {
        "TokenReview" => read(resource, body).map_or_else(
            |refused| *refused,
            |sent| review_token(cluster, body, &sent),
        ),
        "SubjectAccessReview" => read(resource, body).map_or_else(
            |refused| *refused,
            |sent| review_access(cluster, body, sent),
        ),
        "SelfSubjectAccessReview" => read(resource, body).map_or_else(
            |refused| *refused,
            |sent: Sent<SelfSubjectAccessReviewSpec>| {
                let spec = SubjectAccessReviewSpec {
                    resource_attributes: sent.spec.resource_attributes,
                    non_resource_attributes: sent.spec.non_resource_attributes,
                    user: caller.name.clone(),
                    groups: caller.groups.clone(),
                    _uid: None,
                    _extra: None,
                };
                review_access(
                    cluster,
                    body,
                    Sent {
                        spec,
                        ..with_no_spec(sent.metadata)
                    },
                )
            },
        ),
        _ => match serde_json::from_slice::<SentWithoutSpec>(body) {
            Ok(_) => answered(body, json!({"userInfo": caller.to_json()})),
            Err(_) => failure_of(StatusCode::BAD_REQUEST),
        },
    }
}

fn with_no_spec(metadata: BTreeMap<String, Value>) -> Sent<SubjectAccessReviewSpec> {
    Sent {
        api_version: String::new(),
        kind: String::new(),
        metadata,
        spec: SubjectAccessReviewSpec {
            resource_attributes: None,
            non_resource_attributes: None,
            user: String::new(),
            groups: Vec::new(),
            _uid: None,
            _extra: None,
        },
    }
}

/// Every user may ask about itself (`system:basic-user`), and permitted ones about others
/// (`system:auth-delegator`).
fn may_ask(cluster: &Cluster, caller: &User, resource: &Resource) -> bool {
    let about_itself = resource.kind.starts_with("Self");
    let is_authenticated = caller.groups.iter().any(|group| group == AUTHENTICATED);
    let asked = Rule::to_create("", resource.group, resource.plural);
    (about_itself && is_authenticated) || cluster.authorizes(&caller.name, &caller.groups, &asked)
}

fn read<S: DeserializeOwned>(resource: &Resource, body: &[u8]) -> Result<Sent<S>, Box<Answer>> {
    let bad = |message: &str| Box::new(failure(StatusCode::BAD_REQUEST, "BadRequest", message));
    let sent: Sent<S> =
        serde_json::from_slice(body).map_err(|error| bad(&format!("strict decoding: {error}")))?;
    if sent.kind != resource.kind || sent.api_version != format!("{}/v1", resource.group) {
        return Err(bad("the object provided is of another kind"));
    }
    Ok(sent)
}

fn review_token(cluster: &Cluster, body: &[u8], sent: &Sent<TokenReviewSpec>) -> Answer {
    if sent.spec.token.is_empty() {
        let message = "token is required for TokenReview in authentication";
        return failure(StatusCode::BAD_REQUEST, "BadRequest", message);
    }
    let asked = match sent.spec.audiences.as_slice() {
        [] => vec![API_AUDIENCE.to_owned()],
        audiences => audiences.to_owned(),
    };
    let status = match cluster.authenticate(&sent.spec.token, &asked) {
        Some(token) => authenticated(token, &asked),
        None => json!({
            "user": {},
            "error": "[invalid bearer token, square/go-jose: error in cryptographic primitive]",
        }),
    };
    answered(body, status)
}

fn authenticated(token: &Token, asked: &[String]) -> Value {
    let common: Vec<_> = asked
        .iter()
        .filter(|audience| token.audiences.contains(audience))
        .collect();
    json!({"authenticated": true, "user": token.user.to_json(), "audiences": common})
}

fn review_access(cluster: &Cluster, body: &[u8], sent: Sent<SubjectAccessReviewSpec>) -> Answer {
    let spec = sent.spec;
    let invalid = |message: &str| failure(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
    if !sent.metadata.is_empty() {
        return invalid("metadata: Invalid value: must be empty");
    }
    if spec.user.is_empty() && spec.groups.is_empty() {
        return invalid(
            "spec.user: Invalid value: at least one of user or group must be specified",
        );
    }
    let (Some(attributes), None) = (spec.resource_attributes, spec.non_resource_attributes) else {
        return invalid(
            "spec.resourceAttributes: Invalid value: exactly one of nonResourceAttributes or \
             resourceAttributes must be specified",
        );
    };
    let asked = Rule {
        subject: String::new(),
        namespace: attributes.namespace,
        verb: attributes.verb,
        group: attributes.group,
        resource: attributes.resource,
        name: attributes.name,
    };
    let status = if cluster.authorizes(&spec.user, &spec.groups, &asked) {
        json!({"allowed": true, "reason": "RBAC: allowed by RoleBinding \"a-test/writers\""})
    } else {
        json!({"allowed": false})
    };
    answered(body, status)
}

fn answered(body: &[u8], status: Value) -> Answer {
    let mut object: Value = serde_json::from_slice(body).expect("it was read before");
    object["metadata"] = json!({"creationTimestamp": null});
    object["status"] = status;
    created(&object)
}

#[cfg(test)]
mod tests;
