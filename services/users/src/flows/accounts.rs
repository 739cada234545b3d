//! Accounts, which the auth service keeps: asking for them, and the copy that is counted.

use std::collections::{BTreeSet, HashMap};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use riwaq_api::auth::v1::{
    Account, AccountStatus, CreateAccountRequest, DeleteAccountRequest, GetAccountsRequest,
    RoleSet, StartActivationRequest, UpdateAccountRequest,
};
use riwaq_api::{Channel, clients};
use riwaq_identity::access::ADMIN;
use riwaq_kit::{ApiResult, Code, Problem};
use riwaq_records::{Store, limits};
use tonic::Status as GrpcStatus;
use uuid::Uuid;

use crate::domain::Status;
use crate::records::{AccountSeen, BUCKETS, bucket};

/// An account as the auth service has it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccountState {
    pub roles: BTreeSet<String>,
    pub status: Status,
    pub version: i64,
}

impl AccountState {
    pub(crate) fn is_active_admin(&self) -> bool {
        self.status == Status::Active && self.roles.contains(ADMIN)
    }
}

/// What the auth service made of a request.
#[derive(Debug)]
pub(crate) enum AccountError {
    /// Another account has this login name; nothing was done.
    Taken(String),
    /// The request will never be accepted; nothing was done.
    Refused(Problem),
    /// The account was changed in the meantime; nothing was done.
    Stale,
    /// There is no such account.
    Missing,
    /// Not now; it may or may not have been done.
    Unavailable(Problem),
}

/// A one-time activation.
#[derive(Debug, Clone)]
pub(crate) struct Activation {
    pub code: Option<String>,
    pub expires_at: Option<String>,
}

/// The accounts of the auth service.
#[derive(Debug, Clone)]
pub(crate) struct Accounts {
    channel: Channel,
    store: Store,
}

impl Accounts {
    pub(crate) fn new(channel: Channel, store: Store) -> Self {
        Self { channel, store }
    }

    /// Those of up to 200 accounts that exist.
    pub(crate) async fn get(&self, ids: &[Uuid]) -> ApiResult<HashMap<Uuid, AccountState>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let request = GetAccountsRequest {
            ids: ids.iter().map(Uuid::to_string).collect(),
        };
        let answer = clients::accounts(&self.channel)
            .get_accounts(request)
            .await?
            .into_inner();
        Ok(answer
            .accounts
            .into_iter()
            .filter_map(|account| Some((account.id.parse().ok()?, state(account))))
            .collect())
    }

    pub(crate) async fn get_one(&self, id: Uuid) -> ApiResult<Option<AccountState>> {
        Ok(self.get(&[id]).await?.remove(&id))
    }

    pub(crate) async fn create(
        &self,
        request: CreateAccountRequest,
    ) -> Result<AccountState, AccountError> {
        let answer = clients::accounts(&self.channel)
            .create_account(request)
            .await
            .map_err(read_status)?;
        Ok(state(answer.into_inner()))
    }

    pub(crate) async fn update(
        &self,
        request: UpdateAccountRequest,
    ) -> Result<AccountState, AccountError> {
        let answer = clients::accounts(&self.channel)
            .update_account(request)
            .await
            .map_err(read_status)?;
        Ok(state(answer.into_inner()))
    }

    pub(crate) async fn delete(&self, id: Uuid) -> Result<(), AccountError> {
        let request = DeleteAccountRequest { id: id.to_string() };
        match clients::accounts(&self.channel)
            .delete_account(request)
            .await
            .map_err(read_status)
        {
            Ok(_) | Err(AccountError::Missing) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A one-time code, by mail or to be printed.
    pub(crate) async fn start_activation(
        &self,
        id: Uuid,
        send_mail: bool,
    ) -> Result<Activation, AccountError> {
        let request = StartActivationRequest {
            id: id.to_string(),
            send_mail,
        };
        let answer = clients::accounts(&self.channel)
            .start_activation(request)
            .await
            .map_err(read_status)?;
        let answer = answer.into_inner();
        let given = |text: String| (!text.is_empty()).then_some(text);
        Ok(Activation {
            code: given(answer.code),
            expires_at: given(answer.expires_at),
        })
    }

    /// Notes what was heard of an account, for counting.
    pub(crate) async fn note(&self, id: Uuid, account: Option<&AccountState>) -> ApiResult<()> {
        match account {
            Some(account) => {
                let row = AccountSeen {
                    bucket: bucket(id),
                    user_id: id,
                    roles: account.roles.clone(),
                    status: account.status.as_str().to_owned(),
                    account_version: account.version,
                };
                self.store.put_at(&row, account.version.max(1)).await?;
            }
            None => {
                let Some(seen) = self.store.get::<AccountSeen>((bucket(id), id)).await? else {
                    return Ok(());
                };
                // A deletion wins the tie with the last version that was seen.
                self.store
                    .delete_at::<AccountSeen>((bucket(id), id), seen.account_version.max(1))
                    .await?;
            }
        }
        Ok(())
    }

    /// Every account that was heard of. For counting and for rare checks: it reads them all.
    pub(crate) async fn seen(&self) -> ApiResult<Vec<AccountSeen>> {
        let buckets = (0..BUCKETS).map(|bucket| self.seen_in(bucket));
        let all: Vec<Vec<AccountSeen>> = stream::iter(buckets).buffered(4).try_collect().await?;
        Ok(all.into_iter().flatten().collect())
    }

    async fn seen_in(&self, bucket: i64) -> ApiResult<Vec<AccountSeen>> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let mut scan = self
                .store
                .scan::<AccountSeen>((bucket,))
                .limit(limits::SCAN_ROWS);
            if let Some(key) = after {
                scan = scan.after(key);
            }
            let page = scan.page().await?;
            all.extend(page.rows);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }
}

/// The roles as they go over the wire.
pub(crate) fn role_set(roles: &BTreeSet<String>) -> RoleSet {
    RoleSet {
        names: roles.iter().cloned().collect(),
    }
}

fn state(account: Account) -> AccountState {
    let status = Status::from_proto(AccountStatus::try_from(account.status).unwrap_or_default());
    AccountState {
        roles: account.roles.into_iter().collect(),
        status,
        version: account.version,
    }
}

fn read_status(status: GrpcStatus) -> AccountError {
    let code = status.code();
    let message = status.message().to_owned();
    let problem = Problem::from(status);
    match (code, problem.code()) {
        (_, Code::Stale) | (tonic::Code::Aborted, _) => AccountError::Stale,
        (_, Code::Conflict) | (tonic::Code::AlreadyExists, _) => {
            AccountError::Taken(taken_field(&problem, &message))
        }
        (_, Code::NotFound) => AccountError::Missing,
        (_, Code::ValidationFailed | Code::InvalidRequest | Code::NotImplemented) => {
            AccountError::Refused(problem)
        }
        _ => AccountError::Unavailable(problem),
    }
}

fn taken_field(problem: &Problem, message: &str) -> String {
    match problem.errors().first() {
        Some(error) => error.field.clone(),
        None if message.contains("username") => "username".to_owned(),
        None => "email".to_owned(),
    }
}
