//! The roles that a school makes.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use riwaq_identity::{Permission, PermissionSet, SERVICE_ROLE};
use riwaq_kit::validate::FieldErrors;
use serde::{Deserialize, Serialize};

use super::AuditNote;

/// A role after a change: a named set of permissions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Role {
    /// As they are written in the API; what a newer program knows and this one does not is kept.
    pub permissions: BTreeSet<String>,
    pub created_at: DateTime<Utc>,
    #[serde(default)]
    pub deleted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditNote>,
}

impl Role {
    pub(crate) fn allows(&self) -> PermissionSet {
        PermissionSet::from_names(&self.permissions)
    }
}

/// Checks the name of a new role.
pub(crate) fn check_role_name(errors: &mut FieldErrors, name: &str) {
    let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
    let rest = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte));
    let fits = begins && rest && (2..=64).contains(&name.len());
    errors.check(
        fits,
        "name",
        "must be 2 to 64 of a-z, 0-9, '-' and '_', a letter first",
    );
    errors.check(!is_reserved(name), "name", "is reserved");
}

/// Names that mean something to the issuer.
fn is_reserved(name: &str) -> bool {
    name == SERVICE_ROLE
        || matches!(name, "offline_access" | "uma_authorization")
        || name.starts_with("default-roles-")
}

/// The permissions behind these names; unknown ones are named.
pub(crate) fn check_permissions(errors: &mut FieldErrors, names: &[String]) -> PermissionSet {
    for (index, name) in names.iter().enumerate() {
        if Permission::from_name(name).is_none() {
            errors.add(format!("permissions[{index}]"), "is not a permission");
        }
    }
    PermissionSet::from_names(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_roles_are_plain_and_not_the_issuers() {
        let refused = |name: &str| {
            let mut errors = FieldErrors::new();
            check_role_name(&mut errors, name);
            errors.finish().is_err()
        };
        for bad in [
            "",
            "a",
            "Librarian",
            "1st",
            "a b",
            "é",
            "service",
            "offline_access",
            "default-roles-riwaq",
            &"a".repeat(65),
        ] {
            assert!(refused(bad), "{bad:?}");
        }
        assert!(!refused("librarian") && !refused("lab-2_staff"));
    }
}
