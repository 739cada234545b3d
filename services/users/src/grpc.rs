//! The contract `riwaq.users.v1`.

use std::sync::Arc;

use riwaq_aggregates::Version;
use riwaq_api::users::v1::users_server::Users;
use riwaq_api::users::v1::{
    CreateUserRequest, GetUsersRequest, GetUsersResponse, ListRolesRequest, ListRolesResponse,
    RecordAuditRequest, RecordAuditResponse, Role as RoleMessage, User as UserMessage,
};
use riwaq_identity::access::GIVEN_ROLES;
use riwaq_identity::{CallerPolicy, Callers};
use riwaq_kit::validate::FieldErrors;
use riwaq_kit::{ApiResult, Code, Locale, Problem};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::app::App;
use crate::domain::{ProfileDraft, User};
use crate::flows::ReceivedLine;

const MAX_IDS: usize = 200;
const MAX_DETAIL_BYTES: usize = 8 * 1024;

/// Who may make profiles: the auth service for people who register, and the operator's command line.
const REGISTRARS: Callers = Callers::only(&["auth", "operator"]);

/// Who may call what.
pub(crate) fn policy() -> CallerPolicy {
    CallerPolicy::new()
        .allow("/riwaq.users.v1.Users/GetUsers", Callers::any_service())
        .allow("/riwaq.users.v1.Users/CreateUser", REGISTRARS)
        .allow("/riwaq.users.v1.Users/ListRoles", Callers::any_service())
        .allow("/riwaq.users.v1.Users/RecordAudit", Callers::any_service())
}

/// The server.
pub(crate) struct UsersGrpc(Arc<App>);

impl UsersGrpc {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self(app)
    }

    async fn load(&self, ids: &[String]) -> ApiResult<Vec<UserMessage>> {
        if ids.len() > MAX_IDS {
            return Err(Problem::field("ids", format!("must be at most {MAX_IDS}")));
        }
        let mut parsed = Vec::with_capacity(ids.len());
        for (index, id) in ids.iter().enumerate() {
            parsed.push(parse_id(&format!("ids[{index}]"), id)?);
        }
        let users = self.0.user_versions.load_many(&parsed).await?;
        Ok(users
            .into_iter()
            .filter(|user| !user.state.deleted)
            .map(message)
            .collect())
    }

    async fn create(&self, request: CreateUserRequest) -> ApiResult<UserMessage> {
        let user = request
            .user
            .ok_or_else(|| Problem::field("user", "is missing"))?;
        let id = parse_id("user.id", &user.id)?;
        let mut errors = FieldErrors::new();
        let locale = if user.locale.is_empty() {
            None
        } else {
            Locale::from_tag(&user.locale)
        };
        errors.check(
            locale.is_some() || user.locale.is_empty(),
            "locale",
            "must be fr, ar or en",
        );
        let given = |text: String| (!text.is_empty()).then_some(text);
        let draft = ProfileDraft {
            email: user.email,
            username: given(user.username),
            first_name: user.first_name,
            last_name: user.last_name,
            first_name_ar: given(user.first_name_ar),
            last_name_ar: given(user.last_name_ar),
            student_number: given(user.student_number),
            locale,
        };
        let profile = draft.check(&mut errors);
        errors.finish()?;
        let app = Arc::clone(&self.0);
        let created = self
            .0
            .tasks
            .run(async move { app.users.register(id, profile).await })
            .await?;
        Ok(message(created))
    }

    async fn roles(&self) -> ApiResult<ListRolesResponse> {
        let own = self.0.roles.own().await?;
        let version = own
            .iter()
            .map(|role| role.updated_at.timestamp_millis())
            .max()
            .unwrap_or_default();
        let given = GIVEN_ROLES.iter().map(|(name, permissions)| RoleMessage {
            name: (*name).to_owned(),
            permissions: permissions.names(),
            given: true,
        });
        let own = own
            .into_iter()
            .filter(|role| !role.deleted)
            .map(|role| RoleMessage {
                name: role.name,
                permissions: role.permissions.into_iter().collect(),
                given: false,
            });
        Ok(ListRolesResponse {
            roles: given.chain(own).collect(),
            version,
        })
    }

    async fn record(&self, request: RecordAuditRequest) -> ApiResult<()> {
        let mut errors = FieldErrors::new();
        errors.line("event_id", &request.event_id, 1, 512);
        errors.line("action", &request.action, 1, 64);
        errors.line("target_kind", &request.target_kind, 1, 64);
        errors.line("target_id", &request.target_id, 1, 512);
        errors.check(
            request.detail_json.len() <= MAX_DETAIL_BYTES,
            "detail_json",
            "is too long",
        );
        let detail = match request.detail_json.as_str() {
            "" => Some(serde_json::Value::Null),
            text => serde_json::from_str(text)
                .ok()
                .filter(serde_json::Value::is_object),
        };
        errors.check(detail.is_some(), "detail_json", "must be a JSON object");
        errors.finish()?;
        let actor_id = match request.actor_id.as_str() {
            "" => None,
            text => Some(parse_id("actor_id", text)?),
        };
        let line = ReceivedLine {
            event_id: request.event_id,
            actor_id,
            action: request.action,
            target_kind: request.target_kind,
            target_id: request.target_id,
            detail: detail.unwrap_or_default(),
        };
        let app = Arc::clone(&self.0);
        self.0
            .tasks
            .run(async move { app.audit.receive(line).await })
            .await
    }
}

#[tonic::async_trait]
impl Users for UsersGrpc {
    async fn get_users(
        &self,
        request: Request<GetUsersRequest>,
    ) -> Result<Response<GetUsersResponse>, Status> {
        let users = self.load(&request.into_inner().ids).await?;
        Ok(Response::new(GetUsersResponse { users }))
    }

    async fn create_user(
        &self,
        request: Request<CreateUserRequest>,
    ) -> Result<Response<UserMessage>, Status> {
        self.create(request.into_inner())
            .await
            .map(Response::new)
            .map_err(already_exists)
    }

    async fn list_roles(
        &self,
        _: Request<ListRolesRequest>,
    ) -> Result<Response<ListRolesResponse>, Status> {
        Ok(Response::new(self.roles().await?))
    }

    async fn record_audit(
        &self,
        request: Request<RecordAuditRequest>,
    ) -> Result<Response<RecordAuditResponse>, Status> {
        self.record(request.into_inner()).await?;
        Ok(Response::new(RecordAuditResponse {}))
    }
}

/// A value that is taken is `ALREADY_EXISTS` here; the details stay those of the problem.
fn already_exists(problem: Problem) -> Status {
    let conflict = problem.code() == Code::Conflict;
    let status = Status::from(problem);
    if !conflict {
        return status;
    }
    let details = bytes::Bytes::copy_from_slice(status.details());
    Status::with_details(tonic::Code::AlreadyExists, status.message(), details)
}

fn parse_id(field: &str, text: &str) -> ApiResult<Uuid> {
    Uuid::parse_str(text).map_err(|_| Problem::field(field, "must be a UUID"))
}

fn message(user: Version<User>) -> UserMessage {
    let profile = user.state.profile;
    UserMessage {
        id: user.id.to_string(),
        email: profile.email,
        username: profile.username.unwrap_or_default(),
        first_name: profile.first_name,
        last_name: profile.last_name,
        first_name_ar: profile.first_name_ar.unwrap_or_default(),
        last_name_ar: profile.last_name_ar.unwrap_or_default(),
        locale: profile.locale.tag().to_owned(),
        student_number: profile.student_number.unwrap_or_default(),
        version: user.version,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_a_rule() {
        assert_eq!(policy().gaps(), Vec::<String>::new());
    }
}
