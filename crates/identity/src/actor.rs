//! The person on whose behalf a request is handled.

use std::sync::Arc;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use riwaq_kit::Problem;
use uuid::Uuid;

use crate::access::{Permission, PermissionSet};
use crate::token::Token;

/// A person, with a token that was verified for this request. Cheap to clone.
///
/// As an extractor it refuses requests without identity with 401.
#[derive(Debug, Clone)]
pub struct Actor {
    token: Arc<Token>,
    permissions: PermissionSet,
}

impl Actor {
    pub(crate) fn new(token: Arc<Token>, permissions: PermissionSet) -> Self {
        Self { token, permissions }
    }

    /// The user id (`sub`).
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.token.subject
    }

    /// What the person may do.
    #[must_use]
    pub fn permissions(&self) -> PermissionSet {
        self.permissions
    }

    /// Whether the person may do this.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.has(permission)
    }

    /// Insists that the person may do this.
    ///
    /// # Errors
    /// A `forbidden` problem that names the permission.
    pub fn require(&self, permission: Permission) -> Result<(), Problem> {
        if self.may(permission) {
            return Ok(());
        }
        Err(Problem::forbidden(format!(
            "it needs the permission `{permission}`"
        )))
    }

    /// The names of the roles, as the token has them.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.token.roles.iter().map(AsRef::as_ref)
    }

    /// Whether the person has this role. Ask for permissions instead where one fits.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles().any(|held| held == role)
    }

    /// Everything that the token says.
    #[must_use]
    pub fn token(&self) -> &Arc<Token> {
        &self.token
    }

    /// The token itself, for calls to other services on this person's behalf
    /// (`riwaq_api::Channel::with_actor_token`).
    #[must_use]
    pub fn raw_token(&self) -> &str {
        &self.token.raw
    }
}

/// The person, or nobody.
#[derive(Debug, Clone)]
pub struct MaybeActor(pub Option<Actor>);

impl MaybeActor {
    /// The user id, where somebody is signed in.
    #[must_use]
    pub fn id(&self) -> Option<Uuid> {
        self.0.as_ref().map(Actor::id)
    }

    /// Whether somebody is signed in who may do this.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.0.as_ref().is_some_and(|actor| actor.may(permission))
    }
}

/// Whom [`crate::IdentityLayer`] found.
fn actor(parts: &Parts) -> Option<Actor> {
    parts.extensions.get::<Actor>().cloned()
}

impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        actor(parts)
            .ok_or_else(|| Problem::unauthenticated("send a token: `Authorization: Bearer …`"))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        Ok(actor(parts))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MaybeActor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(actor(parts)))
    }
}
