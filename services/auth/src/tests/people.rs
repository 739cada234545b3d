//! A users service that only keeps what it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use riwaq_api::users::v1::users_server::Users;
use riwaq_api::users::v1::{
    CreateUserRequest, GetUsersRequest, GetUsersResponse, ListRolesRequest, ListRolesResponse,
    RecordAuditRequest, RecordAuditResponse, User,
};
use tonic::{Request, Response, Status};

#[derive(Clone, Default)]
pub(super) struct FakeUsers(pub(super) Arc<Mutex<BTreeMap<String, User>>>);

#[tonic::async_trait]
impl Users for FakeUsers {
    async fn get_users(
        &self,
        request: Request<GetUsersRequest>,
    ) -> Result<Response<GetUsersResponse>, Status> {
        let known = self.0.lock().unwrap();
        let ids = request.into_inner().ids;
        let users = ids.iter().filter_map(|id| known.get(id).cloned()).collect();
        Ok(Response::new(GetUsersResponse { users }))
    }

    async fn create_user(
        &self,
        request: Request<CreateUserRequest>,
    ) -> Result<Response<User>, Status> {
        let user = request.into_inner().user.unwrap();
        let mut known = self.0.lock().unwrap();
        Ok(Response::new(
            known.entry(user.id.clone()).or_insert(user).clone(),
        ))
    }

    async fn list_roles(
        &self,
        _: Request<ListRolesRequest>,
    ) -> Result<Response<ListRolesResponse>, Status> {
        Ok(Response::new(ListRolesResponse::default()))
    }

    async fn record_audit(
        &self,
        _: Request<RecordAuditRequest>,
    ) -> Result<Response<RecordAuditResponse>, Status> {
        Ok(Response::new(RecordAuditResponse::default()))
    }
}
