//! The service with memory beneath and a clock that stands still.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::DateTime;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use riwaq_api::Channel;
use riwaq_api::users::v1::users_server::UsersServer;
use riwaq_clock::{ManualClock, SharedClock};
use riwaq_directory::{
    Account, AccountChange, AccountStatus, Directory, LoginName, NewAccount, Password,
};
use riwaq_events::worker::{WorkerOptions, work};
use riwaq_events::{CloudEvent, Events, MemoryEvents, RetryPolicy, Subscription};
use riwaq_identity::testing::TestIssuer;
use riwaq_identity::{
    Identity, IdentityConfig, IdentityDeps, KeyFetchError, KeyFetcher, PermissionSet, Revocation,
    RevocationSource, RevocationSourceError, RoleSource, RoleSourceError,
};
use riwaq_kit::service::ServerConfig;
use riwaq_kit::{HttpService, TaskGroup};
use riwaq_mail::MemoryMail;
use riwaq_records::{Memory, Store};
use serde_json::Value;
use tonic::service::Routes;
use uuid::Uuid;

use super::directory::CountingDirectory;
use super::people::FakeUsers;
use crate::app::{Auth, Deps};
use crate::config::Config;
use crate::configured::ConfiguredClient;
use crate::events::{MAIL_GROUP, MAIL_REQUESTED, MailHandler};
use crate::http::dev_mail::DevMailbox;
use crate::issuing::{Elsewhere, Issuing};
use crate::operators::EnsureAccount;
use crate::records::{KeyRingRow, tables};
use crate::secrets::MasterSecret;

pub(super) const ISSUER: &str = "https://riwaq.example";
pub(super) const PASSWORD: &str = "correct horse battery";
pub(super) const PORTAL_SECRET: &str = "the portal's secret of 32 bytes+";
pub(super) const USERS_SECRET: &str = "the users service's secret, long";
pub(super) const PORTAL_CALLBACK: &str = "https://riwaq.example/api/auth/session/callback";
pub(super) const SIGNED_OUT: &str = "https://riwaq.example/signed-out";
const START: i64 = 1_800_000_000;

pub(super) struct World {
    pub(super) clock: Arc<ManualClock>,
    pub(super) store: Store,
    pub(super) auth: Auth,
    pub(super) http: HttpService,
    pub(super) directory: Arc<CountingDirectory>,
    pub(super) users: FakeUsers,
    pub(super) mail: MemoryMail,
    pub(super) identity: Identity,
    pub(super) events: Arc<MemoryEvents>,
    pub(super) tasks: TaskGroup,
    /// Who makes tokens, where that is not this service.
    pub(super) elsewhere: Option<Arc<TestIssuer>>,
}

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(super) fn header(&self, name: header::HeaderName) -> &str {
        self.headers
            .get(&name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn expect(self, status: StatusCode) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }
}

/// What another replica shares with this one.
struct Shared {
    store: Store,
    events: Arc<MemoryEvents>,
    directory: Arc<CountingDirectory>,
    users: FakeUsers,
    mail: MemoryMail,
    clock: Arc<ManualClock>,
    elsewhere: Option<Arc<TestIssuer>>,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With changes to the configuration.
    pub(super) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::made(change, |_| None).await
    }

    /// With an issuer elsewhere, which checks the passwords.
    pub(super) async fn with_issuer_elsewhere() -> Self {
        let world = Self::made(|_| {}, |clock| Some(TestIssuer::new(clock))).await;
        world.directory.checks_no_passwords();
        world
    }

    async fn made(
        change: impl FnOnce(&mut Config),
        elsewhere: impl FnOnce(SharedClock) -> Option<Arc<TestIssuer>>,
    ) -> Self {
        let clock = ManualClock::at(DateTime::from_timestamp(START, 0).unwrap());
        let memory = Memory::with_tables(tables()).unwrap();
        let store = Store::new(Arc::new(memory));
        let _ = store
            .insert_if_absent(&made_keys().await, Uuid::new_v4())
            .await
            .unwrap();
        let shared = Shared {
            store,
            events: Arc::new(MemoryEvents::new(clock.clone(), RetryPolicy::default()).unwrap()),
            directory: Arc::default(),
            users: FakeUsers::default(),
            mail: MemoryMail::default(),
            elsewhere: elsewhere(clock.clone()),
            clock,
        };
        let mut config = Config {
            public_url: ISSUER.to_owned(),
            registration: true,
            ..Config::default()
        };
        change(&mut config);
        let world = Self::over(shared, config, None);
        world
            .ensure("zoe@example.org", Some("zoe"), &["student"])
            .await;
        world
    }

    /// Another replica over the same records, events and directory.
    pub(super) fn replica(&self) -> Self {
        let shared = Shared {
            store: self.store.clone(),
            events: self.events.clone(),
            directory: self.directory.clone(),
            users: self.users.clone(),
            mail: self.mail.clone(),
            clock: self.clock.clone(),
            elsewhere: self.elsewhere.clone(),
        };
        Self::over(shared, (*self.auth.config).clone(), None)
    }

    pub(super) fn with_mailbox(&self, mailbox: Arc<dyn DevMailbox>) -> Self {
        let shared = Shared {
            store: self.store.clone(),
            events: self.events.clone(),
            directory: self.directory.clone(),
            users: self.users.clone(),
            mail: self.mail.clone(),
            clock: self.clock.clone(),
            elsewhere: self.elsewhere.clone(),
        };
        Self::over(shared, (*self.auth.config).clone(), Some(mailbox))
    }

    fn over(shared: Shared, config: Config, mailbox: Option<Arc<dyn DevMailbox>>) -> Self {
        let Shared {
            store,
            events,
            directory,
            users,
            mail,
            clock,
            elsewhere,
        } = shared;
        let own = Arc::new(OwnIssuer::default());
        let shared_clock: SharedClock = clock.clone();
        let (keys, issuer, issuing) = match &elsewhere {
            None => (
                own.clone() as Arc<dyn KeyFetcher>,
                config.public_url.clone(),
                Issuing::Own,
            ),
            Some(issuer) => {
                let name = issuer.name().to_owned();
                let issuing = Issuing::Elsewhere(Elsewhere {
                    issuer: name.clone(),
                    clients: vec!["riwaq-gateway".to_owned(), "riwaq-cli".to_owned()],
                });
                (issuer.keys(), name, issuing)
            }
        };
        let identity = Identity::new(
            IdentityConfig {
                issuer,
                ..IdentityConfig::default()
            },
            IdentityDeps {
                clock: shared_clock.clone(),
                keys,
                revocations: own.clone(),
                roles: own.clone(),
            },
        );
        identity.preload(Vec::new(), Vec::new());
        let tasks = TaskGroup::new();
        let deps = Deps {
            clock: shared_clock.clone(),
            store: store.clone(),
            events: events.clone(),
            directory: directory.clone(),
            mail: Arc::new(mail.clone()),
            mailbox,
            users: Channel::local(Routes::new(UsersServer::new(users.clone()))),
            identity: identity.clone(),
            tasks: tasks.clone(),
            secret: MasterSecret::new(&[7; 32]).unwrap(),
            clients: clients(),
            issuing,
        };
        let auth = Auth::new(config, deps).unwrap();
        let _ = own.0.set(auth.clone());
        let http = auth.service().http(&ServerConfig::default(), &shared_clock);
        Self {
            clock,
            store,
            auth,
            http,
            directory,
            users,
            mail,
            identity,
            events,
            tasks,
            elsewhere,
        }
    }

    pub(super) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(super) async fn ensure(&self, email: &str, username: Option<&str>, roles: &[&str]) -> Uuid {
        let wanted = EnsureAccount {
            email: email.to_owned(),
            username: username.map(str::to_owned),
            first_name: "Zoé".to_owned(),
            last_name: "Martin".to_owned(),
            locale: "fr".to_owned(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            password: PASSWORD.to_owned(),
        };
        match self.auth.ensure_account(wanted).await.unwrap() {
            crate::Ensured::Created(id) | crate::Ensured::Existing(id) => id,
        }
    }

    pub(super) async fn zoe(&self) -> Account {
        self.directory.find_by_login("zoe").await.unwrap().unwrap()
    }

    /// A pending account as the school makes one, with a profile.
    pub(super) async fn pending(&self, email: &str) -> Uuid {
        let id = Uuid::new_v4();
        let new = NewAccount {
            id,
            email: LoginName::email(email).unwrap(),
            username: None,
            roles: BTreeSet::from(["student".to_owned()]),
            status: AccountStatus::Pending,
            password: None,
        };
        self.directory.create(new).await.unwrap();
        let user = riwaq_api::users::v1::User {
            id: id.to_string(),
            email: email.to_owned(),
            first_name: "Ali".to_owned(),
            last_name: "Alaoui".to_owned(),
            first_name_ar: "علي".to_owned(),
            last_name_ar: "العلوي".to_owned(),
            locale: "ar".to_owned(),
            ..Default::default()
        };
        self.users.0.lock().unwrap().insert(id.to_string(), user);
        id
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.http.call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    pub(super) async fn post_json(&self, path: &str, body: &Value) -> Answer {
        self.send(
            json_request(path, body)
                .body(Body::from(body.to_string()))
                .unwrap(),
        )
        .await
    }

    pub(super) async fn post_json_as(&self, path: &str, token: &str, body: &Value) -> Answer {
        let request =
            json_request(path, body).header(header::AUTHORIZATION, format!("Bearer {token}"));
        self.send(request.body(Body::from(body.to_string())).unwrap())
            .await
    }

    pub(super) async fn get_as(&self, path: &str, token: &str) -> Answer {
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap())
            .await
    }

    /// A form to one of the issuer's endpoints.
    pub(super) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(form_request(path, fields)).await
    }

    pub(super) async fn form_basic(
        &self,
        path: &str,
        client: (&str, &str),
        fields: &[(&str, &str)],
    ) -> Answer {
        let mut request = form_request(path, fields);
        let credentials = STANDARD.encode(format!("{}:{}", encoded(client.0), encoded(client.1)));
        let value = format!("Basic {credentials}").parse().unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, value);
        self.send(request).await
    }

    pub(super) async fn login(&self, login: &str, password: &str) -> Answer {
        let field = if login.contains('@') {
            "email"
        } else {
            "username"
        };
        let body = serde_json::json!({ field: login, "password": password });
        self.post_json("/api/auth/login", &body).await
    }

    /// Signs in from an address, as the gateway passes it on.
    pub(super) async fn login_from(
        &self,
        address: &str,
        login: &str,
        password: &str,
    ) -> StatusCode {
        let body = serde_json::json!({ "username": login, "password": password });
        let request = json_request("/api/auth/login", &body).header("x-forwarded-for", address);
        self.send(request.body(Body::from(body.to_string())).unwrap())
            .await
            .status
    }

    /// Whether a verifier accepts the token now.
    pub(super) async fn accepts(&self, token: &str) -> bool {
        self.identity.verify(token).await.is_ok()
    }

    /// Sends the mails that were asked for, in the background.
    pub(super) fn deliver_mails(&self) {
        let (mailer, events, clock) = (
            self.auth.mailer.clone(),
            self.events.clone(),
            self.clock.clone(),
        );
        let closing = self.tasks.closing_token();
        self.tasks.spawn("mails", async move {
            let handler = MailHandler(mailer);
            let subscription = Subscription::group(MAIL_GROUP, [MAIL_REQUESTED]);
            let options = WorkerOptions::default();
            work(
                &*events,
                subscription,
                &handler,
                &options,
                &*clock,
                closing.cancelled(),
            )
            .await;
        });
    }

    /// What is broadcast from now on.
    pub(super) async fn listen(&self, kinds: &[&str]) -> Box<dyn riwaq_events::Consumer> {
        let subscription = Subscription::broadcast("test", kinds.iter().copied());
        self.events.subscribe(subscription).await.unwrap()
    }
}

pub(super) async fn next(consumer: &mut Box<dyn riwaq_events::Consumer>) -> CloudEvent {
    let waiting = tokio::time::timeout(Duration::from_secs(10), consumer.next());
    let delivery = waiting.await.expect("an event").unwrap();
    let event = (*delivery.event).clone();
    delivery.ack().await.unwrap();
    event
}

fn json_request(path: &str, _: &Value) -> http::request::Builder {
    Request::post(path).header(header::CONTENT_TYPE, "application/json")
}

pub(super) fn form_request(path: &str, fields: &[(&str, &str)]) -> Request<Body> {
    Request::post(path)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(query(fields)))
        .unwrap()
}

pub(super) fn query(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn clients() -> Vec<ConfiguredClient> {
    vec![
        ConfiguredClient::Native {
            client_id: "riwaq-cli".into(),
            name: "Riwaq CLI".into(),
        },
        ConfiguredClient::Service {
            name: "users".into(),
            secret: USERS_SECRET.into(),
        },
        ConfiguredClient::Portal {
            client_id: "riwaq-gateway".into(),
            secret: PORTAL_SECRET.into(),
            redirect_uris: vec![PORTAL_CALLBACK.into()],
            post_logout_redirect_uris: vec![SIGNED_OUT.into()],
        },
    ]
}

/// RSA keys take a while to make: every world begins with the same one.
async fn made_keys() -> KeyRingRow {
    static KEYS: OnceLock<Mutex<Option<KeyRingRow>>> = OnceLock::new();
    let known = KEYS.get_or_init(Mutex::default);
    if let Some(row) = known.lock().unwrap().clone() {
        return row;
    }
    let store = Store::new(Arc::new(Memory::with_tables(tables()).unwrap()));
    let clock = ManualClock::at(DateTime::from_timestamp(START, 0).unwrap());
    let sealing = MasterSecret::new(&[7; 32])
        .unwrap()
        .sealing("signing keys")
        .unwrap();
    let keeper = crate::keys::KeyKeeper::new(
        store.clone(),
        clock,
        sealing,
        crate::RotationPolicy::default(),
        crate::SigningAlgorithm::RS256,
    );
    keeper.refresh().await.unwrap();
    let row = store
        .get::<KeyRingRow>(("issuer".to_owned(),))
        .await
        .unwrap()
        .unwrap();
    *known.lock().unwrap() = Some(row.clone());
    row
}

/// The verifier's view of the service that it is a part of.
#[derive(Default)]
struct OwnIssuer(OnceLock<Auth>);

impl std::fmt::Debug for OwnIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OwnIssuer")
    }
}

#[async_trait]
impl KeyFetcher for OwnIssuer {
    async fn fetch(&self) -> Result<Bytes, KeyFetchError> {
        let jwks = self.0.get().unwrap().keys.jwks().await.unwrap();
        Ok(Bytes::from(jwks.to_string()))
    }
}

#[async_trait]
impl RevocationSource for OwnIssuer {
    async fn list(&self) -> Result<Vec<Revocation>, RevocationSourceError> {
        use riwaq_api::auth::v1::ListRevocationsRequest;
        use riwaq_api::auth::v1::revocations_server::Revocations as _;
        let auth = self.0.get().unwrap();
        let answer = auth
            .list_revocations(tonic::Request::new(ListRevocationsRequest {}))
            .await
            .unwrap();
        Ok(answer
            .into_inner()
            .revocations
            .into_iter()
            .map(|one| Revocation {
                kind: riwaq_identity::RevocationKind::from_name(&one.kind).unwrap(),
                value: one.value,
                not_before_unix_ms: one.not_before_unix_ms,
                expires_unix_ms: one.expires_unix_ms,
            })
            .collect())
    }
}

#[async_trait]
impl RoleSource for OwnIssuer {
    async fn list(&self) -> Result<Vec<(String, PermissionSet)>, RoleSourceError> {
        Ok(Vec::new())
    }
}

pub(super) fn new_password(text: &str) -> AccountChange {
    AccountChange {
        password: Some(Password::new(text).unwrap()),
        ..AccountChange::default()
    }
}
