//! Roles of the realm, and who has them.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use uuid::Uuid;

use crate::account::own_roles;
use crate::error::CallError;
use crate::users::Users;
use crate::wire::{NewRole, RoleRep};

impl Users {
    /// The names of the roles that somebody has, by themselves, by groups or by other roles: what a token says.
    pub(crate) async fn roles(&self, id: Uuid) -> Result<BTreeSet<String>, CallError> {
        let path = format!("{}/role-mappings/realm/composite", self.path(id));
        let roles: Option<Vec<RoleRep>> = self.admin().find("get_roles", &path, &[]).await?;
        let roles = roles.unwrap_or_default();
        Ok(own_roles(roles.iter().map(|role| role.name.as_str())))
    }

    /// Those that somebody has by themselves: they can be given and taken.
    async fn given_roles(&self, id: Uuid) -> Result<Vec<RoleRep>, CallError> {
        let path = format!("{}/role-mappings/realm", self.path(id));
        self.admin().get("get_roles", &path, &[]).await
    }

    pub(crate) async fn given_role_names(&self, id: Uuid) -> Result<BTreeSet<String>, CallError> {
        let given = self.given_roles(id).await?;
        Ok(own_roles(given.iter().map(|role| role.name.as_str())))
    }

    /// Gives exactly these of ours: takes first, so that nobody has more than either set at any moment.
    pub(crate) async fn map_roles(
        &self,
        id: Uuid,
        wanted: &BTreeSet<String>,
    ) -> Result<(), CallError> {
        let given = self.given_roles(id).await?;
        let ours = own_roles(given.iter().map(|role| role.name.as_str()));
        let path = format!("{}/role-mappings/realm", self.path(id));
        let taken: Vec<&RoleRep> = given
            .iter()
            .filter(|role| ours.contains(&role.name) && !wanted.contains(&role.name))
            .collect();
        self.take(&path, &taken).await?;
        let mut added = Vec::new();
        for name in wanted.difference(&ours) {
            added.push(self.role(name).await?);
        }
        if !added.is_empty() {
            self.admin()
                .change("give_roles", Method::POST, &path, Some(&added))
                .await?;
        }
        Ok(())
    }

    /// Roles that a federation gives cannot be taken here, and make Keycloak refuse the others with them: they stay.
    async fn take(&self, path: &str, roles: &[&RoleRep]) -> Result<(), CallError> {
        if roles.is_empty() {
            return Ok(());
        }
        let take = |roles: &[&RoleRep]| {
            let roles: Vec<RoleRep> = roles.iter().map(|role| (*role).clone()).collect();
            async move {
                self.admin()
                    .change("take_roles", Method::DELETE, path, Some(&roles))
                    .await
                    .map(|_| ())
            }
        };
        match take(roles).await {
            Err(error) if error.is(StatusCode::BAD_REQUEST) => {}
            outcome => return outcome,
        }
        for role in roles {
            match take(&[role]).await {
                Err(error) if error.is(StatusCode::BAD_REQUEST) => {
                    tracing::info!(role = role.name, "a role stays: a federation gives it");
                }
                outcome => outcome?,
            }
        }
        Ok(())
    }

    /// The role, made if the realm does not have it: roles are the users service's, which names them when it
    /// gives them.
    async fn role(&self, name: &str) -> Result<RoleRep, CallError> {
        let path = format!("{}/roles/{name}", self.realm());
        if let Some(role) = self.admin().find("get_role", &path, &[]).await? {
            return Ok(role);
        }
        let roles = format!("{}/roles", self.realm());
        let new = NewRole { name };
        match self
            .admin()
            .change("create_role", Method::POST, &roles, Some(&new))
            .await
        {
            // Made by somebody else at the same moment.
            Err(error) if error.is(StatusCode::CONFLICT) => {}
            outcome => drop(outcome?),
        }
        self.admin().get("get_role", &path, &[]).await
    }
}
