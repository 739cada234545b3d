//! What a change of a user asks of the account that the auth service keeps.

use std::collections::BTreeSet;

use riwaq_api::auth::v1::AccountStatus;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether an account can be signed in to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AccountStatus)]
pub(crate) enum Status {
    /// Made, not yet activated by its person.
    Pending,
    /// In use.
    Active,
    /// Closed by an administrator.
    Disabled,
}

impl Status {
    pub(crate) const ALL: [Self; 3] = [Self::Pending, Self::Active, Self::Disabled];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }

    /// What is not specified is as good as not activated.
    pub(crate) fn from_proto(status: AccountStatus) -> Self {
        match status {
            AccountStatus::Active => Self::Active,
            AccountStatus::Disabled => Self::Disabled,
            AccountStatus::Pending | AccountStatus::Unspecified => Self::Pending,
        }
    }

    pub(crate) const fn to_proto(self) -> AccountStatus {
        match self {
            Self::Pending => AccountStatus::Pending,
            Self::Active => AccountStatus::Active,
            Self::Disabled => AccountStatus::Disabled,
        }
    }
}

/// A change asked of the auth service. Kept in the version that asks for it, so that it is repeated
/// until it is done. Never a password: that goes along once, in the request that brought it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct AccountChange {
    /// The account is to be made.
    #[serde(skip_serializing_if = "is_false")]
    pub create: bool,
    /// The account is to be removed.
    #[serde(skip_serializing_if = "is_false")]
    pub delete: bool,
    /// The login names changed: those of the profile count.
    #[serde(skip_serializing_if = "is_false")]
    pub login_names: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<BTreeSet<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The status depends on the password that was sent along: without it the account stays pending.
    #[serde(skip_serializing_if = "is_false")]
    pub needs_password: bool,
    /// An activation message is to be sent.
    #[serde(skip_serializing_if = "is_false")]
    pub activate: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

impl AccountChange {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// This change, and after it `later`: one change that has the effect of both.
    #[must_use]
    pub(crate) fn then(self, later: Self) -> Self {
        if later.delete {
            return later;
        }
        Self {
            create: self.create || later.create,
            delete: self.delete && !later.create,
            login_names: self.login_names || later.login_names,
            roles: later.roles.or(self.roles),
            needs_password: if later.status.is_some() {
                later.needs_password
            } else {
                self.needs_password
            },
            status: later.status.or(self.status),
            activate: self.activate || later.activate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(names: &[&str]) -> Option<BTreeSet<String>> {
        Some(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_later_of_two_changes_wins_where_both_speak() {
        let first = AccountChange {
            create: true,
            roles: roles(&["student"]),
            status: Some(Status::Pending),
            ..Default::default()
        };
        let second = AccountChange {
            login_names: true,
            roles: roles(&["teacher"]),
            ..Default::default()
        };
        let both = first.clone().then(second);
        assert!(both.create && both.login_names && !both.delete);
        assert_eq!(
            (both.roles, both.status),
            (roles(&["teacher"]), Some(Status::Pending))
        );
        let gone = first.then(AccountChange {
            delete: true,
            ..Default::default()
        });
        assert_eq!(
            gone,
            AccountChange {
                delete: true,
                ..Default::default()
            }
        );
    }
}
