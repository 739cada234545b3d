//! An account of the port, as a person of Keycloak.

use std::collections::BTreeSet;

use riwaq_directory::{
    AccountStatus, DirectoryError, LoginField, LoginName, NewAccount, validate_roles,
};
use uuid::Uuid;

use crate::wire::{NewCredential, UserRep};

/// Starts at 1, grows with every change. Absent in people whom a federation or a console has made.
const VERSION: &str = "riwaq_version";
/// `pending` where somebody who is not enabled waits for activation; absent otherwise.
const STATUS: &str = "riwaq_status";
const PENDING: &str = "pending";
/// The roles that a change under way is giving, with spaces between; `-` for none. Absent otherwise.
const ROLES_DUE: &str = "riwaq_roles_due";
const NO_ROLES: &str = "-";
/// What Keycloak calls the people who stand for clients.
const SERVICE_ACCOUNT: &str = "service-account-";
/// Roles that every realm has for Keycloak's own purposes.
const KEYCLOAKS_ROLES: [&str; 2] = ["offline_access", "uma_authorization"];
const DEFAULT_ROLES: &str = "default-roles-";

/// A person with what we keep about them.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) id: Uuid,
    pub(crate) rep: UserRep,
}

impl Person {
    /// `None` for those who stand for clients, and whose id is none of ours.
    pub(crate) fn from_rep(rep: UserRep) -> Option<Self> {
        // A federation that does not import names people by other ids; nothing can be kept about them.
        let id = Uuid::try_parse(&rep.id).ok()?;
        (!rep.username.starts_with(SERVICE_ACCOUNT)).then_some(Self { id, rep })
    }

    /// Somebody new, with names, status and password; roles go along with the import.
    pub(crate) fn new(new: &NewAccount) -> Self {
        let mut person = Self {
            id: new.id,
            rep: UserRep {
                id: new.id.to_string(),
                realm_roles: new.roles.iter().cloned().collect(),
                credentials: new
                    .password
                    .iter()
                    .map(|password| NewCredential::password(password.expose_typed()))
                    .collect(),
                ..UserRep::default()
            },
        };
        person.set_email(&new.email);
        person.set_username(new.username.as_ref());
        person.set_status(new.status);
        person.set_version(1);
        person
    }

    pub(crate) fn version(&self) -> i64 {
        self.attribute(VERSION)
            .and_then(|text| text.parse().ok())
            .unwrap_or(1)
    }

    pub(crate) fn status(&self) -> AccountStatus {
        match (self.rep.enabled, self.attribute(STATUS)) {
            (true, _) => AccountStatus::Active,
            (false, Some(PENDING)) => AccountStatus::Pending,
            (false, _) => AccountStatus::Disabled,
        }
    }

    /// The roles that a change was giving when it was cut off, or gives right now.
    pub(crate) fn roles_due(&self) -> Option<BTreeSet<String>> {
        let due = self.attribute(ROLES_DUE)?;
        Some(own_roles(due.split(' ').filter(|name| *name != NO_ROLES)))
    }

    pub(crate) fn is_from_a_federation(&self) -> bool {
        self.rep.federation_link.is_some()
    }

    pub(crate) fn has_names(&self, email: &LoginName, username: Option<&LoginName>) -> bool {
        self.has_email(email) && self.has_username(username)
    }

    pub(crate) fn has_email(&self, email: &LoginName) -> bool {
        self.rep.email.as_deref() == Some(email.folded())
    }

    pub(crate) fn has_username(&self, username: Option<&LoginName>) -> bool {
        match username {
            Some(name) => self.rep.username == name.folded(),
            None => self.rep.username == no_username(self.id),
        }
    }

    pub(crate) fn set_email(&mut self, email: &LoginName) {
        self.rep.email = Some(email.folded().to_owned());
    }

    pub(crate) fn set_username(&mut self, username: Option<&LoginName>) {
        self.rep.username = match username {
            Some(name) => name.folded().to_owned(),
            None => no_username(self.id),
        };
    }

    pub(crate) fn set_status(&mut self, status: AccountStatus) {
        self.rep.enabled = status == AccountStatus::Active;
        let pending = (status == AccountStatus::Pending).then(|| PENDING.to_owned());
        self.set_attribute(STATUS, pending);
    }

    pub(crate) fn set_version(&mut self, version: i64) {
        self.set_attribute(VERSION, Some(version.to_string()));
    }

    pub(crate) fn set_roles_due(&mut self, roles: Option<&BTreeSet<String>>) {
        let text = roles.map(|roles| {
            if roles.is_empty() {
                return NO_ROLES.to_owned();
            }
            let names: Vec<&str> = roles.iter().map(String::as_str).collect();
            names.join(" ")
        });
        self.set_attribute(ROLES_DUE, text);
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        let values = self.rep.attributes.get(name)?;
        values.first().map(String::as_str)
    }

    fn set_attribute(&mut self, name: &str, value: Option<String>) {
        match value {
            Some(value) => self.rep.attributes.insert(name.to_owned(), vec![value]),
            None => self.rep.attributes.remove(name),
        };
    }
}

/// The user name of whoever has none: no user name of the port begins so.
fn no_username(id: Uuid) -> String {
    format!("_{id}")
}

/// Those of Keycloak's names of roles that are ours: not Keycloak's own, and such as the port allows.
pub(crate) fn own_roles<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    names
        .filter(|name| !is_keycloaks(name))
        .map(str::to_owned)
        .filter(|name| validate_roles(&BTreeSet::from([name.clone()])).is_ok())
        .collect()
}

pub(crate) fn is_keycloaks(role: &str) -> bool {
    KEYCLOAKS_ROLES.contains(&role) || role.starts_with(DEFAULT_ROLES)
}

/// Names that mean something else to Keycloak.
pub(crate) fn refuse_reserved(
    username: Option<&LoginName>,
    roles: Option<&BTreeSet<String>>,
) -> Result<(), DirectoryError> {
    if username.is_some_and(|name| name.folded().starts_with(SERVICE_ACCOUNT)) {
        return Err(DirectoryError::invalid(
            LoginField::Username.name(),
            "must not begin like the accounts of programs",
        ));
    }
    if roles.into_iter().flatten().any(|role| is_keycloaks(role)) {
        return Err(DirectoryError::invalid(
            "roles",
            "is a role of Keycloak's own",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn person(username: Option<&str>) -> Person {
        Person::new(&NewAccount {
            id: Uuid::from_u128(7),
            email: LoginName::email("Zoé@Example.org").unwrap(),
            username: username.map(|name| LoginName::username(name).unwrap()),
            roles: roles(&["student"]),
            status: AccountStatus::Pending,
            password: None,
        })
    }

    #[test]
    fn somebody_without_a_user_name_has_one_that_nobody_can_choose() {
        let mut person = person(None);
        assert!(LoginName::username(&person.rep.username).is_err());
        assert!(person.has_username(None));
        person.set_username(Some(&LoginName::username("Zoé").unwrap()));
        assert!(!person.has_username(None));
        assert!(person.has_names(
            &LoginName::email("ZOÉ@example.org").unwrap(),
            Some(&LoginName::username("zoe\u{301}").unwrap())
        ));
    }

    #[test]
    fn a_status_is_the_switch_and_a_word() {
        let mut person = person(None);
        for status in [
            AccountStatus::Active,
            AccountStatus::Pending,
            AccountStatus::Disabled,
        ] {
            person.set_status(status);
            assert_eq!(person.status(), status);
        }
        // Switched on in the console while it waited.
        person.set_status(AccountStatus::Pending);
        person.rep.enabled = true;
        assert_eq!(person.status(), AccountStatus::Active);
    }

    #[test]
    fn roles_that_are_due_are_told_from_none_due() {
        let mut person = person(None);
        assert_eq!(person.roles_due(), None);
        for set in [roles(&[]), roles(&["a"]), roles(&["a", "b-1"])] {
            person.set_roles_due(Some(&set));
            assert_eq!(person.roles_due(), Some(set));
        }
        person.set_roles_due(None);
        assert_eq!(person.roles_due(), None);
    }

    #[test]
    fn keycloaks_own_roles_and_strange_ones_are_left_out() {
        let names = [
            "student",
            "offline_access",
            "uma_authorization",
            "default-roles-riwaq",
            "Uni Staff",
        ];
        assert_eq!(own_roles(names.into_iter()), roles(&["student"]));
        assert!(refuse_reserved(None, Some(&roles(&["offline_access"]))).is_err());
        let name = LoginName::username("service-account-x").unwrap();
        assert!(refuse_reserved(Some(&name), None).is_err());
        assert!(refuse_reserved(None, Some(&roles(&["student"]))).is_ok());
    }

    #[test]
    fn whoever_a_federation_made_is_at_version_one() {
        let rep = UserRep {
            id: Uuid::from_u128(7).to_string(),
            username: "zoe".into(),
            enabled: true,
            ..UserRep::default()
        };
        assert_eq!(Person::from_rep(rep).unwrap().version(), 1);
    }

    #[test]
    fn those_who_stand_for_clients_are_nobody() {
        let rep = |id: &str, username: &str| UserRep {
            id: id.into(),
            username: username.into(),
            ..UserRep::default()
        };
        let id = Uuid::from_u128(7).to_string();
        assert!(Person::from_rep(rep(&id, "service-account-riwaq-auth")).is_none());
        assert!(Person::from_rep(rep("f:1:zoe", "zoe")).is_none());
        assert!(Person::from_rep(rep(&id, "zoe")).is_some());
    }
}
