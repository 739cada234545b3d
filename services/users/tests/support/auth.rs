//! An auth service in memory, as far as accounts go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use riwaq_api::auth::v1::accounts_server::{Accounts, AccountsServer};
use riwaq_api::auth::v1::{
    Account, AccountStatus, CreateAccountRequest, DeleteAccountRequest, DeleteAccountResponse,
    GetAccountsRequest, GetAccountsResponse, StartActivationRequest, StartActivationResponse,
    UpdateAccountRequest,
};
use riwaq_events::{CloudEvent, Events};
use riwaq_identity::{CallerPolicy, Callers, Identity};
use riwaq_kit::{FieldError, Problem};
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub email: String,
    pub username: String,
    pub roles: BTreeSet<String>,
    pub status: AccountStatus,
    pub password: Option<String>,
    pub version: i64,
}

#[derive(Default)]
struct State {
    accounts: BTreeMap<Uuid, Stored>,
    activations: Vec<Uuid>,
    /// Answers `UNAVAILABLE` to changes, before or after having made them.
    down: bool,
    deaf: bool,
    /// Login names of accounts that the users service does not know.
    reserved: BTreeSet<String>,
}

#[derive(Clone)]
pub struct FakeAuth {
    state: Arc<Mutex<State>>,
    events: Arc<dyn Events>,
}

impl FakeAuth {
    pub fn new(events: Arc<dyn Events>) -> Self {
        Self {
            state: Arc::default(),
            events,
        }
    }

    pub fn routes(&self, identity: &Identity) -> Routes {
        let users = Callers::only(&["users"]);
        let policy = [
            "CreateAccount",
            "GetAccounts",
            "UpdateAccount",
            "DeleteAccount",
            "StartActivation",
        ]
        .into_iter()
        .fold(CallerPolicy::new(), |policy, method| {
            policy.allow(format!("/riwaq.auth.v1.Accounts/{method}").leak(), users)
        });
        policy.protect(Routes::new(AccountsServer::new(self.clone())), identity)
    }

    pub fn put(&self, id: Uuid, email: &str, roles: &[&str]) {
        let stored = Stored {
            email: email.to_owned(),
            username: String::new(),
            roles: roles.iter().map(ToString::to_string).collect(),
            status: AccountStatus::Active,
            password: None,
            version: 1,
        };
        self.state.lock().unwrap().accounts.insert(id, stored);
    }

    pub fn get(&self, id: Uuid) -> Option<Stored> {
        self.state.lock().unwrap().accounts.get(&id).cloned()
    }

    pub fn len(&self) -> usize {
        self.state.lock().unwrap().accounts.len()
    }

    pub fn activations(&self, id: Uuid) -> usize {
        self.state
            .lock()
            .unwrap()
            .activations
            .iter()
            .filter(|other| **other == id)
            .count()
    }

    /// Nothing is done, and the answer says so.
    pub fn set_down(&self, down: bool) {
        self.state.lock().unwrap().down = down;
    }

    /// Everything is done, and the answer is lost.
    pub fn set_deaf(&self, deaf: bool) {
        self.state.lock().unwrap().deaf = deaf;
    }

    pub fn reserve(&self, login_name: &str) {
        self.state
            .lock()
            .unwrap()
            .reserved
            .insert(login_name.to_owned());
    }

    /// A change by somebody else, with its event.
    pub async fn change(&self, id: Uuid, change: impl FnOnce(&mut Stored)) {
        {
            let mut state = self.state.lock().unwrap();
            let account = state.accounts.get_mut(&id).unwrap();
            change(account);
            account.version += 1;
        }
        self.tell(id).await;
    }

    async fn tell(&self, id: Uuid) {
        let event = CloudEvent::new(
            Uuid::new_v4().to_string(),
            "/riwaq/auth",
            "riwaq.auth.account.changed",
            "2026-11-21T10:00:00Z".parse().unwrap(),
        );
        self.events
            .publish(event.with_data(serde_json::json!({"id": id})))
            .await
            .unwrap();
    }

    fn check_up(&self) -> Result<(), Status> {
        if self.state.lock().unwrap().down {
            Err(Status::unavailable("down"))
        } else {
            Ok(())
        }
    }

    fn check_heard(&self) -> Result<(), Status> {
        if self.state.lock().unwrap().deaf {
            Err(Status::unavailable("the answer is lost"))
        } else {
            Ok(())
        }
    }
}

fn id(text: &str) -> Uuid {
    text.parse().unwrap()
}

fn account(id: Uuid, stored: &Stored) -> Account {
    Account {
        id: id.to_string(),
        roles: stored.roles.iter().cloned().collect(),
        status: stored.status.into(),
        version: stored.version,
    }
}

fn taken(field: &str) -> Status {
    let errors = vec![FieldError {
        field: field.to_owned(),
        message: "is taken".to_owned(),
    }];
    Problem::conflict(format!("this {field} is taken"))
        .with_errors(errors)
        .into()
}

impl State {
    fn check_free(&self, id: Uuid, email: &str, username: &str) -> Result<(), Status> {
        let others = || {
            self.accounts
                .iter()
                .filter(|(other, _)| **other != id)
                .map(|(_, account)| account)
        };
        let lower = email.to_lowercase();
        if self.reserved.contains(&lower)
            || others().any(|other| other.email.to_lowercase() == lower)
        {
            return Err(taken("email"));
        }
        let taken_name = !username.is_empty() && others().any(|other| other.username == username);
        if taken_name || self.reserved.contains(username) {
            return Err(taken("username"));
        }
        Ok(())
    }

    fn create(&mut self, request: CreateAccountRequest) -> Result<Account, Status> {
        let id = id(&request.id);
        if let Some(present) = self.accounts.get(&id) {
            let same = present.email == request.email && present.username == request.username;
            return if same {
                Ok(account(id, present))
            } else {
                Err(taken("email"))
            };
        }
        self.check_free(id, &request.email, &request.username)?;
        let status = request.status();
        let stored = Stored {
            email: request.email,
            username: request.username,
            roles: request.roles.into_iter().collect(),
            status,
            password: (!request.password.is_empty()).then_some(request.password),
            version: 1,
        };
        let created = account(id, &stored);
        self.accounts.insert(id, stored);
        Ok(created)
    }

    fn update(&mut self, request: UpdateAccountRequest) -> Result<Account, Status> {
        let id = id(&request.id);
        let mut stored = self
            .accounts
            .get(&id)
            .cloned()
            .ok_or_else(|| Status::not_found("no such account"))?;
        if request
            .expected_version
            .is_some_and(|expected| expected != stored.version)
        {
            return Err(Problem::stale().into());
        }
        let status = request.status.map(|_| request.status());
        stored.email = request.email.unwrap_or(stored.email);
        stored.username = request.username.unwrap_or(stored.username);
        self.check_free(id, &stored.email, &stored.username)?;
        if let Some(roles) = request.roles {
            stored.roles = roles.names.into_iter().collect();
        }
        stored.password = request.password.or(stored.password);
        stored.status = status.unwrap_or(stored.status);
        stored.version += 1;
        let updated = account(id, &stored);
        self.accounts.insert(id, stored);
        Ok(updated)
    }
}

#[tonic::async_trait]
impl Accounts for FakeAuth {
    async fn create_account(
        &self,
        request: Request<CreateAccountRequest>,
    ) -> Result<Response<Account>, Status> {
        self.check_up()?;
        let created = self.state.lock().unwrap().create(request.into_inner())?;
        self.tell(id(&created.id)).await;
        self.check_heard()?;
        Ok(Response::new(created))
    }

    async fn get_accounts(
        &self,
        request: Request<GetAccountsRequest>,
    ) -> Result<Response<GetAccountsResponse>, Status> {
        self.check_up()?;
        let state = self.state.lock().unwrap();
        let ids = request.into_inner().ids;
        let found = ids
            .iter()
            .map(|text| id(text))
            .filter_map(|id| Some(account(id, state.accounts.get(&id)?)));
        Ok(Response::new(GetAccountsResponse {
            accounts: found.collect(),
        }))
    }

    async fn update_account(
        &self,
        request: Request<UpdateAccountRequest>,
    ) -> Result<Response<Account>, Status> {
        self.check_up()?;
        let updated = self.state.lock().unwrap().update(request.into_inner())?;
        self.tell(id(&updated.id)).await;
        self.check_heard()?;
        Ok(Response::new(updated))
    }

    async fn delete_account(
        &self,
        request: Request<DeleteAccountRequest>,
    ) -> Result<Response<DeleteAccountResponse>, Status> {
        self.check_up()?;
        let id = id(&request.into_inner().id);
        self.state.lock().unwrap().accounts.remove(&id);
        self.tell(id).await;
        self.check_heard()?;
        Ok(Response::new(DeleteAccountResponse {}))
    }

    async fn start_activation(
        &self,
        request: Request<StartActivationRequest>,
    ) -> Result<Response<StartActivationResponse>, Status> {
        self.check_up()?;
        let request = request.into_inner();
        self.state.lock().unwrap().activations.push(id(&request.id));
        let code = if request.send_mail {
            String::new()
        } else {
            "ABCD-EFGH".to_owned()
        };
        Ok(Response::new(StartActivationResponse {
            code,
            expires_at: "2026-11-28T10:00:00Z".to_owned(),
        }))
    }
}
