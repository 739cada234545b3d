//! Revocations and roles from the services that keep them.

use async_trait::async_trait;
use riwaq_api::auth::v1::ListRevocationsRequest;
use riwaq_api::users::v1::ListRolesRequest;
use riwaq_api::{Channel, clients};

use crate::access::{PermissionSet, RoleSource, RoleSourceError};
use crate::token::{Revocation, RevocationKind, RevocationSource, RevocationSourceError};

/// Asks the auth service for revocations.
#[derive(Debug, Clone)]
pub struct GrpcRevocations(pub Channel);

#[async_trait]
impl RevocationSource for GrpcRevocations {
    async fn list(&self) -> Result<Vec<Revocation>, RevocationSourceError> {
        let answer = clients::revocations(&self.0)
            .list_revocations(ListRevocationsRequest {})
            .await;
        let answer = answer.map_err(|status| RevocationSourceError {
            reason: status.message().to_owned(),
        })?;
        // A kind that a newer auth service knows and we do not: nothing here could match it.
        let known = answer
            .into_inner()
            .revocations
            .into_iter()
            .filter_map(|one| {
                let kind = RevocationKind::from_name(&one.kind)?;
                Some(Revocation {
                    kind,
                    value: one.value,
                    not_before_unix_ms: one.not_before_unix_ms,
                    expires_unix_ms: one.expires_unix_ms,
                })
            });
        Ok(known.collect())
    }
}

/// Asks the users service for roles.
#[derive(Debug, Clone)]
pub struct GrpcRoles(pub Channel);

#[async_trait]
impl RoleSource for GrpcRoles {
    async fn list(&self) -> Result<Vec<(String, PermissionSet)>, RoleSourceError> {
        let answer = clients::users(&self.0)
            .list_roles(ListRolesRequest {})
            .await;
        let answer = answer.map_err(|status| RoleSourceError {
            reason: status.message().to_owned(),
        })?;
        let roles = answer.into_inner().roles.into_iter();
        Ok(roles
            .map(|role| (role.name, PermissionSet::from_names(role.permissions)))
            .collect())
    }
}
