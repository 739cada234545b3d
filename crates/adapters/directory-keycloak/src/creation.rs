//! Creating an account: one import, which is one transaction.

use reqwest::StatusCode;
use riwaq_directory::{Account, DirectoryError, NewAccount};

use crate::account::{Person, refuse_reserved};
use crate::changes::TRIES;
use crate::directory::KeycloakDirectory;
use crate::error::CallError;

impl KeycloakDirectory {
    pub(crate) async fn import(&self, new: NewAccount) -> Result<Account, DirectoryError> {
        new.validate()?;
        refuse_reserved(new.username.as_ref(), Some(&new.roles))?;
        if new.password.is_some() && !self.capabilities_of_server().sets_passwords {
            return Err(DirectoryError::Unsupported {
                operation: "setting passwords",
            });
        }
        let person = Person::new(&new);
        let mut refused = None;
        for attempt in 1..=TRIES {
            let error = match self.users.import(&person).await {
                Ok(()) => {
                    return Ok(Account {
                        id: new.id,
                        roles: new.roles,
                        status: new.status,
                        version: 1,
                        has_password: new.password.is_some(),
                    });
                }
                Err(error) => error,
            };
            // A conflict, or a failure that may have come after the end: whoever is there now explains it.
            let explained = error.is(StatusCode::CONFLICT) || error.is_outcome_unknown();
            if !explained {
                return Err(why(&error));
            }
            if let Some(there) = self.users.get(new.id).await? {
                return if there.has_names(&new.email, new.username.as_ref()) {
                    Ok(self.account(&there).await?)
                } else {
                    Err(DirectoryError::Conflict { field: "id" })
                };
            }
            if let Some(field) = self.taken(&person).await? {
                return Err(DirectoryError::Conflict { field });
            }
            refused = Some(error);
            self.pause(attempt).await;
        }
        match refused {
            // Nobody here has the names: it is the id, which is somebody's in another realm of the server.
            Some(error) if error.is(StatusCode::CONFLICT) => {
                Err(DirectoryError::Conflict { field: "id" })
            }
            // A refused password is an inner error to Keycloak's import. The realm answered in between, so nothing
            // else is wrong with the server.
            Some(error)
                if error.is(StatusCode::INTERNAL_SERVER_ERROR) && new.password.is_some() =>
            {
                Err(DirectoryError::invalid(
                    "password",
                    "the sign-in server's rules refuse it",
                ))
            }
            Some(error) => Err(error.into()),
            None => Err(DirectoryError::Unavailable("nothing was tried".into())),
        }
    }
}

fn why(error: &CallError) -> DirectoryError {
    match error.broken_password_rule() {
        Some(rule) => DirectoryError::invalid("password", rule),
        None => error.clone().into(),
    }
}
