//! What a person may do: permissions, and the roles that name sets of them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! permissions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// One thing that a role may allow. The list is closed: what is not in it cannot be granted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum Permission {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Permission {
            /// Every permission.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As it is written in roles and answers, such as `courses:create`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

permissions! {
    /// Create courses, and own them.
    CoursesCreate = "courses:create",
    /// Read every course, its files and its people.
    CoursesReadAny = "courses:read_any",
    /// Change every course, as its teacher could.
    CoursesWriteAny = "courses:write_any",
    /// Ask the assistant.
    AssistantUse = "assistant:use",
    /// Run jobs.
    JobsRun = "jobs:run",
    /// Read every account and profile.
    UsersRead = "users:read",
    /// Create, change and delete accounts, and give roles.
    UsersManage = "users:manage",
    /// Create, change and delete roles.
    RolesManage = "roles:manage",
    /// Read the audit journal.
    AuditRead = "audit:read",
    /// Read the statistics of the whole school.
    StatsRead = "stats:read",
    /// Read the technical metrics.
    MetricsRead = "metrics:read",
}

impl Permission {
    /// The permission that is written so.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|permission| permission.as_str() == name)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of permissions.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct PermissionSet(u64);

impl PermissionSet {
    /// None at all.
    pub const NONE: Self = Self(0);

    /// These.
    #[must_use]
    pub const fn of(permissions: &[Permission]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < permissions.len() {
            bits |= 1 << permissions[index] as u64;
            index += 1;
        }
        Self(bits)
    }

    /// Those that are named; names that are none are left out.
    #[must_use]
    pub fn from_names<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Self {
        let known = names
            .into_iter()
            .filter_map(|name| Permission::from_name(name.as_ref()));
        known.fold(Self::NONE, |set, permission| set | Self::of(&[permission]))
    }

    /// Whether `permission` is in it.
    #[must_use]
    pub const fn has(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u64) != 0
    }

    /// Whether all of `other` is in it.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is in it, in the order of the closed list.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL
            .iter()
            .copied()
            .filter(move |permission| self.has(*permission))
    }

    /// The names of what is in it.
    #[must_use]
    pub fn names(self) -> Vec<String> {
        self.iter()
            .map(|permission| permission.as_str().to_owned())
            .collect()
    }
}

impl std::ops::BitOr for PermissionSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for PermissionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(Permission::as_str))
            .finish()
    }
}

/// The role of people who learn.
pub const STUDENT: &str = "student";
/// The role of people who teach.
pub const TEACHER: &str = "teacher";
/// The role of people who run the school's workspace: everything.
pub const ADMIN: &str = "admin";

/// The roles that every installation has, and that cannot be changed.
pub const GIVEN_ROLES: &[(&str, PermissionSet)] = &[
    (
        STUDENT,
        PermissionSet::of(&[Permission::AssistantUse, Permission::JobsRun]),
    ),
    (
        TEACHER,
        PermissionSet::of(&[
            Permission::CoursesCreate,
            Permission::AssistantUse,
            Permission::JobsRun,
        ]),
    ),
    (ADMIN, PermissionSet::of(Permission::ALL)),
];

/// The permissions of a given role.
#[must_use]
pub fn given_role(name: &str) -> Option<PermissionSet> {
    GIVEN_ROLES
        .iter()
        .find(|(role, _)| *role == name)
        .map(|(_, permissions)| *permissions)
}

/// The roles could not be loaded.
#[derive(Debug, Clone, thiserror::Error)]
#[error("roles could not be loaded: {reason}")]
pub struct RoleSourceError {
    /// Why.
    pub reason: String,
}

/// Where the roles that a school made come from.
#[async_trait]
pub trait RoleSource: Send + Sync + fmt::Debug {
    /// Every role with the names of its permissions.
    ///
    /// # Errors
    /// When the users service does not answer.
    async fn list(&self) -> Result<Vec<(String, PermissionSet)>, RoleSourceError>;
}

/// The roles as this process knows them: the given ones always, the school's own once loaded.
#[derive(Debug, Default)]
pub struct RoleBook {
    own: ArcSwap<HashMap<String, PermissionSet>>,
}

impl RoleBook {
    /// What the holder of these roles may do. A role that is not known (Keycloak gives some of its
    /// own) allows nothing.
    #[must_use]
    pub fn permissions<S: AsRef<str>>(&self, roles: impl IntoIterator<Item = S>) -> PermissionSet {
        let own = self.own.load();
        roles.into_iter().fold(PermissionSet::NONE, |set, role| {
            let role = role.as_ref();
            let found = given_role(role).or_else(|| own.get(role).copied());
            set | found.unwrap_or_default()
        })
    }

    /// Replaces the school's own roles. A given role's name keeps its given meaning.
    pub fn replace(&self, roles: impl IntoIterator<Item = (String, PermissionSet)>) {
        self.own.store(Arc::new(roles.into_iter().collect()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_permissions_match_both_ways() {
        for permission in Permission::ALL {
            assert_eq!(
                Permission::from_name(permission.as_str()),
                Some(*permission)
            );
            assert_eq!(
                serde_json::to_value(permission).unwrap(),
                permission.as_str()
            );
        }
        assert_eq!(Permission::from_name("courses:everything"), None);
        assert_eq!(
            PermissionSet::from_names(["users:read", "nothing"]).names(),
            ["users:read"]
        );
    }

    #[test]
    fn only_administrators_hold_what_concerns_others_accounts() {
        let administration = PermissionSet::of(&[
            Permission::UsersRead,
            Permission::UsersManage,
            Permission::RolesManage,
            Permission::AuditRead,
            Permission::StatsRead,
            Permission::MetricsRead,
            Permission::CoursesReadAny,
            Permission::CoursesWriteAny,
        ]);
        assert!(given_role(ADMIN).unwrap().covers(administration));
        for role in [STUDENT, TEACHER] {
            let held = given_role(role).unwrap();
            assert!(
                administration
                    .iter()
                    .all(|permission| !held.has(permission)),
                "{role}"
            );
        }
        assert!(!given_role(STUDENT).unwrap().has(Permission::CoursesCreate));
    }

    #[test]
    fn roles_add_up_and_unknown_ones_allow_nothing() {
        let book = RoleBook::default();
        let librarian = PermissionSet::of(&[Permission::CoursesReadAny]);
        assert_eq!(
            book.permissions(["librarian", "offline_access"]),
            PermissionSet::NONE
        );
        // A school's own role cannot redefine a given one.
        book.replace([
            ("librarian".to_owned(), librarian),
            (STUDENT.to_owned(), PermissionSet::of(Permission::ALL)),
        ]);
        assert_eq!(book.permissions(["librarian"]), librarian);
        assert_eq!(
            book.permissions([STUDENT, "librarian"]),
            given_role(STUDENT).unwrap() | librarian
        );
    }
}
