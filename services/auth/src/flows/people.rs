//! Profiles, asked of the users service: their only owner.

use riwaq_api::Channel;
use riwaq_api::users::v1::{CreateUserRequest, GetUsersRequest, User};
use riwaq_kit::{ApiResult, Problem};
use uuid::Uuid;

/// The users service.
#[derive(Clone)]
pub(crate) struct People(Channel);

impl People {
    pub(crate) fn new(channel: Channel) -> Self {
        Self(channel)
    }

    /// The profile, if there is one.
    pub(crate) async fn get(&self, id: Uuid) -> ApiResult<Option<User>> {
        let request = GetUsersRequest {
            ids: vec![id.to_string()],
        };
        let answer = riwaq_api::clients::users(&self.0)
            .get_users(request)
            .await
            .map_err(Problem::from)?;
        Ok(answer.into_inner().users.into_iter().next())
    }

    /// Makes a profile; repeating it changes nothing.
    pub(crate) async fn create(&self, user: User, roles: Vec<String>) -> ApiResult<User> {
        let request = CreateUserRequest {
            user: Some(user),
            roles,
        };
        let answer = riwaq_api::clients::users(&self.0)
            .create_user(request)
            .await
            .map_err(Problem::from)?;
        Ok(answer.into_inner())
    }
}
