//! What the cluster knows: tokens and who may do what.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The audience of the API server itself: what a token is for that names no other.
pub const API_AUDIENCE: &str = "https://kubernetes.default.svc";

/// A token, as the cluster issued it.
#[derive(Clone, Debug)]
pub struct Token {
    pub(crate) user: User,
    pub(crate) audiences: Vec<String>,
    expires_at: Option<Instant>,
}

/// A user as the API describes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) groups: Vec<String>,
    pub(crate) extra: BTreeMap<String, Vec<String>>,
}

impl Token {
    /// A token of a user for the API server, which does not expire.
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

    /// The same of a user who is in one more group.
    #[must_use]
    pub fn in_group(mut self, group: &str) -> Self {
        self.user.groups.push(group.to_owned());
        self
    }

    /// The same for other audiences.
    #[must_use]
    pub fn for_audiences(mut self, audiences: &[&str]) -> Self {
        self.audiences = audiences.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// The same, which expires after a while.
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

/// A permission: what a role says and whom it is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The user or the group.
    pub subject: String,
    /// Empty for what belongs to no namespace.
    pub namespace: String,
    /// As `get`.
    pub verb: String,
    /// Empty for the core group.
    pub group: String,
    /// As `services`.
    pub resource: String,
    /// Empty for any.
    pub name: String,
}

impl Rule {
    /// Lets a subject do something with the service.
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
    /// The token, if it is good for one of the audiences.
    pub(crate) fn authenticate(&self, token: &str, audiences: &[String]) -> Option<&Token> {
        let token = self.tokens.get(token)?;
        let is_meant = token.audiences.iter().any(|own| audiences.contains(own));
        (is_meant && !token.is_expired()).then_some(token)
    }

    /// Whether a user, or one of its groups, may; the rule's subject stands for the user.
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
