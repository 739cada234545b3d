//! Changing an account: see "A change is whole" at the top of the crate.

use reqwest::StatusCode;
use riwaq_directory::{Account, AccountChange, DirectoryError, LoginName};
use uuid::Uuid;

use crate::account::{Person, refuse_reserved};
use crate::directory::KeycloakDirectory;
use crate::error::CallError;
use crate::turns::Turn;
use crate::wire::NewCredential;

/// Requests that were refused for a name that was nobody's when it was looked at.
pub(crate) const TRIES: u32 = 6;

/// Why a change was not made.
pub(crate) enum Refused {
    /// By the rules of the port.
    Port(DirectoryError),
    /// By what is between here and there.
    Call(CallError),
}

impl From<CallError> for Refused {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<Refused> for DirectoryError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Port(error) => error,
            Refused::Call(error) => error.into(),
        }
    }
}

impl KeycloakDirectory {
    pub(crate) async fn change(
        &self,
        id: Uuid,
        change: AccountChange,
    ) -> Result<Account, DirectoryError> {
        change.validate()?;
        refuse_reserved(
            change.username.iter().flatten().next(),
            change.roles.as_ref(),
        )?;
        let capabilities = self.capabilities_of_server();
        if change.password.is_some() && !capabilities.sets_passwords {
            return Err(DirectoryError::Unsupported {
                operation: "setting passwords",
            });
        }
        if (change.email.is_some() || change.username.is_some())
            && !capabilities.changes_login_names
        {
            return Err(DirectoryError::Unsupported {
                operation: "changing login names",
            });
        }
        // Not in line with others for nobody.
        if self.users.get(id).await?.is_none() {
            return Err(DirectoryError::NotFound);
        }
        let mut turn = self.turns.take(id).await?;
        let outcome = self.in_turn(&mut turn, id, &change).await;
        turn.end().await;
        Ok(self.account(&outcome?).await?)
    }

    /// Completes what was cut off.
    pub(crate) async fn complete(&self, id: Uuid) -> Result<(), DirectoryError> {
        let is_due = |person: &Person| person.roles_due().is_some();
        if !self.users.get(id).await?.as_ref().is_some_and(is_due) {
            return Ok(());
        }
        let mut turn = self.turns.take(id).await?;
        let outcome = async {
            match self.users.get(id).await? {
                Some(person) => self.give_due_roles(&mut turn, person).await,
                None => Ok(()),
            }
        };
        let outcome = outcome.await;
        turn.end().await;
        Ok(outcome?)
    }

    async fn in_turn(
        &self,
        turn: &mut Turn<'_>,
        id: Uuid,
        change: &AccountChange,
    ) -> Result<Person, Refused> {
        let Some(before) = self.users.get(id).await? else {
            return Err(Refused::Port(DirectoryError::NotFound));
        };
        let current = before.version();
        if change
            .expected_version
            .is_some_and(|version| version != current)
        {
            return Err(Refused::Port(DirectoryError::Stale { current }));
        }
        let roles_before = match before.roles_due() {
            Some(due) => due,
            None => self.users.given_role_names(id).await?,
        };
        let new_roles = change
            .roles
            .as_ref()
            .filter(|roles| **roles != roles_before);
        let mut after = changed(&before, change);
        let is_changed = new_roles.is_some()
            || change.password.is_some()
            || after.rep.email != before.rep.email
            || after.rep.username != before.rep.username
            || after.status() != before.status();
        if is_changed {
            if let Some(roles) = new_roles {
                after.set_roles_due(Some(roles));
            }
            after.set_version(current + 1);
            self.write(turn, &after).await?;
        }
        after.rep.credentials.clear();
        if after.roles_due().is_some() {
            self.give_due_roles(turn, after.clone()).await?;
            after.set_roles_due(None);
        }
        Ok(after)
    }

    /// The one request that is the change.
    async fn write(&self, turn: &mut Turn<'_>, after: &Person) -> Result<(), Refused> {
        for attempt in 1.. {
            let error = match turn.change(self.users.put(after)).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if error.is(StatusCode::NOT_FOUND) {
                return Err(Refused::Port(DirectoryError::NotFound));
            }
            if !error.is(StatusCode::CONFLICT) {
                return Err(why_refused(after, error));
            }
            if let Some(field) = self.taken(after).await? {
                return Err(Refused::Port(DirectoryError::Conflict { field }));
            }
            // Whoever had the name has given it up since: it is free now, or soon another's.
            if attempt == TRIES {
                return Err(Refused::Call(CallError::Turn(
                    "a login name goes from hand to hand at this moment".into(),
                )));
            }
            self.pause(attempt).await;
        }
        Ok(())
    }

    /// Makes the mappings what the attribute says, then forgets the attribute.
    async fn give_due_roles(
        &self,
        turn: &mut Turn<'_>,
        mut person: Person,
    ) -> Result<(), CallError> {
        let Some(due) = person.roles_due() else {
            return Ok(());
        };
        turn.change(self.users.map_roles(person.id, &due)).await?;
        person.set_roles_due(None);
        turn.change(self.users.put(&person)).await
    }

    /// Which of the login names is somebody else's.
    pub(crate) async fn taken(&self, person: &Person) -> Result<Option<&'static str>, CallError> {
        let email = person.rep.email.as_deref().map(LoginName::email);
        let username = LoginName::username(&person.rep.username);
        for name in email.into_iter().chain([username]).flatten() {
            let owner = self.users.find(&name).await?;
            if owner.is_some_and(|owner| owner.id != person.id) {
                return Ok(Some(name.field().name()));
            }
        }
        Ok(None)
    }
}

/// What a refusal means in the words of the port.
fn why_refused(after: &Person, error: CallError) -> Refused {
    if let Some(rule) = error.broken_password_rule() {
        return Refused::Port(DirectoryError::invalid("password", rule));
    }
    if error.is(StatusCode::BAD_REQUEST) {
        return Refused::Port(read_only(after, &error));
    }
    Refused::Call(error)
}

/// The account as it is to be, but for roles and version.
fn changed(before: &Person, change: &AccountChange) -> Person {
    let mut after = before.clone();
    if let Some(email) = &change.email {
        after.set_email(email);
    }
    if let Some(username) = &change.username {
        after.set_username(username.as_ref());
    }
    if let Some(status) = change.status.filter(|status| *status != before.status()) {
        after.set_status(status);
    }
    if let Some(password) = &change.password {
        after
            .rep
            .credentials
            .push(NewCredential::password(password.expose_typed()));
    }
    after
}

/// A field that Keycloak does not let us write, which is so where a federation keeps it.
fn read_only(person: &Person, error: &CallError) -> DirectoryError {
    if person.is_from_a_federation() {
        return DirectoryError::Unsupported {
            operation: "changing what the federation keeps",
        };
    }
    let refusal = error.refusal();
    let field = refusal
        .field
        .or_else(|| refusal.errors.into_iter().find_map(|error| error.field));
    match field.as_deref() {
        Some("email") => DirectoryError::invalid("email", "the sign-in server's rules refuse it"),
        Some("username") => {
            DirectoryError::invalid("username", "the sign-in server's rules refuse it")
        }
        _ => DirectoryError::Corrupt(error.to_string()),
    }
}
