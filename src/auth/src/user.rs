//! Who a caller is.

/// The longest name of a user, in characters: what the database takes. A service account's has
/// 339 at most.
const USER_NAME_CHARACTERS_MAX: usize = 1024;

/// The name that Kubernetes knows a user by, as `system:serviceaccount:kubernaut:processor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserName(String);

impl UserName {
    /// Takes a name that can be stored as it is: 1 to 1,024 characters, and no NUL among them.
    /// One that cannot is never cut to fit: it would be another's.
    pub fn new(name: impl Into<String>) -> Option<Self> {
        let name = name.into();
        let is_storable =
            (1..=USER_NAME_CHARACTERS_MAX).contains(&name.chars().count()) && !name.contains('\0');
        is_storable.then_some(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_can_be_stored_whole() {
        let longest = "ü".repeat(1024);
        for name in ["a", "system:serviceaccount:kubernaut:processor", &longest] {
            assert_eq!(UserName::new(name).unwrap().as_str(), name);
        }
        for name in ["", "a\0", &"ü".repeat(1025)] {
            assert_eq!(UserName::new(name), None, "{name:?}");
        }
    }
}
