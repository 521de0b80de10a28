//! Tokens and permissions of the cluster.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Audience of the API server, the default of tokens.
pub const API_AUDIENCE: &str = "https://kubernetes.default.svc";

/// An issued token.
#[derive(Clone, Debug)]
pub struct Token {
    pub(crate) user: User,
    pub(crate) audiences: Vec<String>,
    expires_at: Option<Instant>,
}

/// A user in the API's format.
#[derive(Clone, Debug, Default)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) groups: Vec<String>,
    pub(crate) extra: BTreeMap<String, Vec<String>>,
}

impl Token {
    /// Creates a token of `user` for the API server without expiry.
    pub fn of(user: &str) -> Self {
        Self {
            user: User {
                name: user.to_owned(),
                uid: format!("uid-of-{user}"),
                groups: vec!["system:authenticated".to_owned()],
                extra: BTreeMap::from([(
                    "authentication.kubernetes.io/pod-name".to_owned(),
                    vec!["pod-1".to_owned()],
                )]),
            },
            audiences: vec![API_AUDIENCE.to_owned()],
            expires_at: None,
        }
    }

    /// Adds a group to the user.
    #[must_use]
    pub fn in_group(mut self, group: &str) -> Self {
        self.user.groups.push(group.to_owned());
        self
    }

    /// Replaces the audiences.
    #[must_use]
    pub fn for_audiences(mut self, audiences: &[&str]) -> Self {
        self.audiences = audiences.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// Sets the time until the token expires.
    #[must_use]
    pub fn expiring_in(mut self, time: Duration) -> Self {
        self.expires_at = Some(Instant::now() + time);
        self
    }

    fn is_expired(&self) -> bool {
        self.expires_at.is_some_and(|end| end <= Instant::now())
    }
}

impl User {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "username": self.name,
            "uid": self.uid,
            "groups": self.groups,
            "extra": self.extra,
        })
    }
}

/// A permission: a rule of a role and the subject of its binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// User or group.
    pub subject: String,
    /// Namespace, or empty for cluster-scoped objects.
    pub namespace: String,
    /// Verb, such as `get`.
    pub verb: String,
    /// API group, or empty for the core group.
    pub group: String,
    /// Resource, such as `services`.
    pub resource: String,
    /// Object name, or empty for any.
    pub name: String,
}

impl Rule {
    /// Permits `verb` on the service.
    pub fn on_service(subject: &str, namespace: &str, verb: &str) -> Self {
        Self {
            subject: subject.to_owned(),
            namespace: namespace.to_owned(),
            verb: verb.to_owned(),
            group: String::new(),
            resource: "services".to_owned(),
            name: "data-storage".to_owned(),
        }
    }

    pub(crate) fn to_create(subject: &str, group: &str, resource: &str) -> Self {
        Self {
            subject: subject.to_owned(),
            namespace: String::new(),
            verb: "create".to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            name: String::new(),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) tokens: HashMap<String, Token>,
    pub(crate) rules: Vec<Rule>,
}

impl Cluster {
    pub(crate) fn authenticate(&self, token: &str, audiences: &[String]) -> Option<&Token> {
        let token = self.tokens.get(token)?;
        let is_meant = token.audiences.iter().any(|own| audiences.contains(own));
        (is_meant && !token.is_expired()).then_some(token)
    }

    /// Returns whether the user or one of its groups has the permission; ignores the subject of
    /// `asked`.
    pub(crate) fn authorizes(&self, user: &str, groups: &[String], asked: &Rule) -> bool {
        self.rules.iter().any(|rule| {
            let is_subject = rule.subject == user || groups.contains(&rule.subject);
            is_subject
                && rule.namespace == asked.namespace
                && rule.verb == asked.verb
                && rule.group == asked.group
                && rule.resource == asked.resource
                && (rule.name.is_empty() || rule.name == asked.name)
        })
    }
}
