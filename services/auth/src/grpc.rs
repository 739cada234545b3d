//! `riwaq.auth.v1`: accounts for the users service, revocations for every verifier.

use std::collections::BTreeSet;

use bytes::Bytes;
use riwaq_api::auth::v1 as api;
use riwaq_api::auth::v1::accounts_server::AccountsServer;
use riwaq_api::auth::v1::revocations_server::RevocationsServer;
use riwaq_directory::{Account, AccountChange, AccountStatus, LoginName, NewAccount, Password};
use riwaq_identity::{CallerPolicy, Callers};
use riwaq_kit::{ApiResult, Code, Problem};
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::app::Auth;

/// The routes, behind the table of who may call what.
pub(crate) fn routes(auth: &Auth) -> Routes {
    let routes = Routes::new(AccountsServer::new(auth.clone()))
        .add_service(RevocationsServer::new(auth.clone()));
    policy().protect(routes, &auth.identity)
}

/// Accounts are the users service's to change: it asks who may.
fn policy() -> CallerPolicy {
    let users = || Callers::only(&["users"]).for_user_or_nobody();
    CallerPolicy::new()
        .allow("/riwaq.auth.v1.Accounts/CreateAccount", users())
        .allow("/riwaq.auth.v1.Accounts/GetAccounts", users())
        .allow("/riwaq.auth.v1.Accounts/UpdateAccount", users())
        .allow("/riwaq.auth.v1.Accounts/DeleteAccount", users())
        .allow("/riwaq.auth.v1.Accounts/StartActivation", users())
        .allow(
            "/riwaq.auth.v1.Revocations/ListRevocations",
            Callers::any_service(),
        )
}

#[tonic::async_trait]
impl api::accounts_server::Accounts for Auth {
    async fn create_account(
        &self,
        request: Request<api::CreateAccountRequest>,
    ) -> Result<Response<api::Account>, Status> {
        let new = new_account(request.into_inner())?;
        let accounts = self.accounts.clone();
        let account: ApiResult<Account> = self
            .tasks
            .run(async move { accounts.create(new).await })
            .await;
        Ok(Response::new(written(&account.map_err(already_exists)?)))
    }

    async fn get_accounts(
        &self,
        request: Request<api::GetAccountsRequest>,
    ) -> Result<Response<api::GetAccountsResponse>, Status> {
        let ids: ApiResult<Vec<Uuid>> = request
            .into_inner()
            .ids
            .iter()
            .map(|id| parse_id(id, "ids"))
            .collect();
        let accounts = self
            .accounts
            .directory
            .get(&ids?)
            .await
            .map_err(Problem::from)?;
        Ok(Response::new(api::GetAccountsResponse {
            accounts: accounts.iter().map(written).collect(),
        }))
    }

    async fn update_account(
        &self,
        request: Request<api::UpdateAccountRequest>,
    ) -> Result<Response<api::Account>, Status> {
        let request = request.into_inner();
        let id = parse_id(&request.id, "id")?;
        let change = account_change(request)?;
        let accounts = self.accounts.clone();
        let account: ApiResult<Account> = self
            .tasks
            .run(async move { accounts.update(id, change).await })
            .await;
        Ok(Response::new(written(&account?)))
    }

    async fn delete_account(
        &self,
        request: Request<api::DeleteAccountRequest>,
    ) -> Result<Response<api::DeleteAccountResponse>, Status> {
        let id = parse_id(&request.into_inner().id, "id")?;
        let accounts = self.accounts.clone();
        let done: ApiResult<()> = self
            .tasks
            .run(async move { accounts.delete(id).await })
            .await;
        done?;
        Ok(Response::new(api::DeleteAccountResponse {}))
    }

    async fn start_activation(
        &self,
        request: Request<api::StartActivationRequest>,
    ) -> Result<Response<api::StartActivationResponse>, Status> {
        let request = request.into_inner();
        let id = parse_id(&request.id, "id")?;
        let activation = self.activation.clone();
        let started: ApiResult<_> = self
            .tasks
            .run(async move { activation.start(id, request.send_mail).await })
            .await;
        let started = started?;
        Ok(Response::new(api::StartActivationResponse {
            code: started.code.unwrap_or_default(),
            expires_at: started
                .expires_at
                .to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        }))
    }
}

#[tonic::async_trait]
impl api::revocations_server::Revocations for Auth {
    async fn list_revocations(
        &self,
        _: Request<api::ListRevocationsRequest>,
    ) -> Result<Response<api::ListRevocationsResponse>, Status> {
        let rows = self.tokens.revocations.list().await?;
        let revocations = rows
            .into_iter()
            .map(|row| api::Revocation {
                kind: row.kind,
                value: row.value,
                not_before_unix_ms: row.not_before.timestamp_millis(),
                expires_unix_ms: row.expires_at.timestamp_millis(),
            })
            .collect();
        Ok(Response::new(api::ListRevocationsResponse { revocations }))
    }
}

/// A name that is taken is `ALREADY_EXISTS`; the details stay those of the problem.
fn already_exists(problem: Problem) -> Status {
    let taken = problem.code() == Code::Conflict;
    let status = Status::from(problem);
    if !taken {
        return status;
    }
    let details = Bytes::copy_from_slice(status.details());
    Status::with_details(tonic::Code::AlreadyExists, status.message(), details)
}

fn new_account(request: api::CreateAccountRequest) -> ApiResult<NewAccount> {
    let status = match status(request.status)? {
        Some(status) => status,
        // Without a password there is nothing to sign in with yet.
        None if request.password.is_empty() => AccountStatus::Pending,
        None => AccountStatus::Active,
    };
    Ok(NewAccount {
        id: parse_id(&request.id, "id")?,
        email: LoginName::email(&request.email)?,
        username: optional_username(&request.username)?,
        roles: request.roles.into_iter().collect(),
        status,
        password: if request.password.is_empty() {
            None
        } else {
            Some(Password::new(&request.password)?)
        },
    })
}

fn account_change(request: api::UpdateAccountRequest) -> ApiResult<AccountChange> {
    Ok(AccountChange {
        email: request.email.as_deref().map(LoginName::email).transpose()?,
        username: request
            .username
            .as_deref()
            .map(optional_username)
            .transpose()?,
        roles: request
            .roles
            .map(|roles| roles.names.into_iter().collect::<BTreeSet<_>>()),
        status: request.status.map(status).transpose()?.flatten(),
        password: request.password.as_deref().map(Password::new).transpose()?,
        expected_version: request.expected_version,
    })
}

fn optional_username(text: &str) -> ApiResult<Option<LoginName>> {
    if text.is_empty() {
        return Ok(None);
    }
    Ok(Some(LoginName::username(text)?))
}

fn status(number: i32) -> ApiResult<Option<AccountStatus>> {
    match api::AccountStatus::try_from(number) {
        Ok(api::AccountStatus::Unspecified) => Ok(None),
        Ok(api::AccountStatus::Pending) => Ok(Some(AccountStatus::Pending)),
        Ok(api::AccountStatus::Active) => Ok(Some(AccountStatus::Active)),
        Ok(api::AccountStatus::Disabled) => Ok(Some(AccountStatus::Disabled)),
        Err(_) => Err(Problem::field("status", "is none that this service knows")),
    }
}

fn written(account: &Account) -> api::Account {
    let status = match account.status {
        AccountStatus::Pending => api::AccountStatus::Pending,
        AccountStatus::Active => api::AccountStatus::Active,
        AccountStatus::Disabled => api::AccountStatus::Disabled,
    };
    api::Account {
        id: account.id.to_string(),
        roles: account.roles.iter().cloned().collect(),
        status: status.into(),
        version: account.version,
    }
}

fn parse_id(text: &str, field: &str) -> ApiResult<Uuid> {
    Uuid::parse_str(text).map_err(|_| Problem::field(field, "is not a UUID"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_its_rule() {
        assert_eq!(policy().gaps(), Vec::<String>::new());
    }
}
