//! Keycloak's representations, as far as they concern us.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A person, as Keycloak writes and takes them.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct UserRep {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) id: String,
    pub(crate) username: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_name: Option<String>,
    pub(crate) enabled: bool,
    pub(crate) attributes: BTreeMap<String, Vec<String>>,
    /// The federation that this person is from.
    #[serde(skip_serializing)]
    pub(crate) federation_link: Option<String>,
    /// Names of realm roles, for an import.
    #[serde(skip_serializing_if = "Vec::is_empty", skip_deserializing)]
    pub(crate) realm_roles: Vec<String>,
    /// New credentials, where some are set.
    #[serde(skip_serializing_if = "Vec::is_empty", skip_deserializing)]
    pub(crate) credentials: Vec<NewCredential>,
}

/// A password to be set.
#[derive(Clone, Serialize)]
pub(crate) struct NewCredential {
    r#type: &'static str,
    value: String,
    temporary: bool,
}

impl NewCredential {
    pub(crate) fn password(value: &str) -> Self {
        Self {
            r#type: PASSWORD,
            value: value.to_owned(),
            temporary: false,
        }
    }
}

/// The kind of credential that a password is.
pub(crate) const PASSWORD: &str = "password";

/// A credential that is there.
#[derive(Deserialize)]
pub(crate) struct CredentialRep {
    #[serde(default)]
    pub(crate) r#type: String,
}

/// A role of the realm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoleRep {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// A partial import of people.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImportRep<'a> {
    if_resource_exists: &'static str,
    users: [&'a UserRep; 1],
}

impl<'a> ImportRep<'a> {
    /// Of one person, who must not be there.
    pub(crate) fn of(user: &'a UserRep) -> Self {
        Self {
            if_resource_exists: "FAIL",
            users: [user],
        }
    }
}

/// A role that is to be made.
#[derive(Serialize)]
pub(crate) struct NewRole<'a> {
    pub(crate) name: &'a str,
}
