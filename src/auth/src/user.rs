/// Length limit of a user name in the database. A service account's has at most 339 characters.
const USER_NAME_CHARACTERS_MAX: usize = 1024;

/// Kubernetes' name of a user, such as `system:serviceaccount:kubernaut:processor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserName(String);

impl UserName {
    /// Accepts 1 to 1,024 characters without NUL. Never truncates, which could name another user.
    pub fn new(name: impl Into<String>) -> Option<Self> {
        let name = name.into();
        let is_storable =
            (1..=USER_NAME_CHARACTERS_MAX).contains(&name.chars().count()) && !name.contains('\0');
        is_storable.then_some(Self(name))
    }

    /// The name as text.
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
