//! The service, put together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use riwaq_api::Channel;
use riwaq_clock::SharedClock;
use riwaq_directory::SharedDirectory;
use riwaq_events::worker::{WorkerOptions, work};
use riwaq_events::{Events, Subscription};
use riwaq_identity::{Identity, SERVICE_CLIENT_PREFIX, SERVICE_ROLE};
use riwaq_kit::{ApiResult, Problem, Service, TaskGroup};
use riwaq_mail::Mail;
use riwaq_records::Store;

use crate::config::{Config, ConfigError, seconds};
use crate::domain::client::{ClientRecord, Grant};
use crate::events::{MAIL_GROUP, MAIL_REQUESTED, MailHandler, Publisher};
use crate::flows::accounts::Accounts;
use crate::flows::activation::Activation;
use crate::flows::mailer::Mailer;
use crate::flows::people::People;
use crate::flows::registration::Registration;
use crate::flows::reset::Reset;
use crate::flows::sign_in::SignIn;
use crate::flows::tokens::Tokens;
use crate::http::browser::FormGuard;
use crate::http::dev_mail::DevMailbox;
use crate::keys::KeyKeeper;
use crate::secrets::{MIN_SECRET_BYTES, MasterSecret, fingerprint};
use crate::stores::attempts::AttemptLog;
use crate::stores::clients::Clients;
use crate::stores::codes::Codes;
use crate::stores::intents::Intents;
use crate::stores::links::Links;
use crate::stores::revocations::Revocations;
use crate::stores::sessions::Sessions;
use crate::stores::subjects::Subjects;
use crate::text::Texts;

/// How much longer than a token lives its revocation is kept: what verifiers allow for clocks.
const REVOCATION_MARGIN: TimeDelta = TimeDelta::seconds(30);

/// What this service needs from outside.
pub struct Deps {
    /// Time.
    pub clock: SharedClock,
    /// The records with the tables of [`crate::tables`].
    pub store: Store,
    /// The event bus.
    pub events: Arc<dyn Events>,
    /// Accounts and passwords.
    pub directory: SharedDirectory,
    /// How mails are sent.
    pub mail: Arc<dyn Mail>,
    /// What `GET /dev/mail` shows; none in production.
    pub mailbox: Option<Arc<dyn DevMailbox>>,
    /// The users service.
    pub users: Channel,
    /// Verifies tokens, our own like everybody else's.
    pub identity: Identity,
    /// The service's tasks.
    pub tasks: TaskGroup,
    /// What everything secret is derived from.
    pub secret: MasterSecret,
    /// Clients that need no registration.
    pub clients: Vec<ConfiguredClient>,
}

/// A client that the composition root knows of.
#[derive(Clone)]
pub enum ConfiguredClient {
    /// One of our services, as `riwaq-<name>`, for its calls to others.
    Service {
        /// Its short name (`users`).
        name: String,
        /// Its secret, at least 32 bytes.
        secret: String,
    },
    /// A confidential client that signs people in: the gateway.
    Portal {
        /// Its id.
        client_id: String,
        /// Its secret, at least 32 bytes.
        secret: String,
        /// Where people come back to, signed in.
        redirect_uris: Vec<String>,
        /// Where people come back to, signed out.
        post_logout_redirect_uris: Vec<String>,
    },
    /// A public client for programs on people's machines; redirects to a loopback address of any port.
    Native {
        /// Its id (`riwaq-cli`).
        client_id: String,
        /// Its name, for people.
        name: String,
    },
}

/// The service, not yet running. Cheap to clone.
#[derive(Clone)]
pub struct Auth {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: SharedClock,
    pub(crate) identity: Identity,
    pub(crate) tasks: TaskGroup,
    pub(crate) keys: Arc<KeyKeeper>,
    pub(crate) clients: Clients,
    pub(crate) codes: Codes,
    pub(crate) sessions: Sessions,
    pub(crate) tokens: Tokens,
    pub(crate) sign_in: SignIn,
    pub(crate) accounts: Accounts,
    pub(crate) activation: Activation,
    pub(crate) reset: Reset,
    pub(crate) registration: Registration,
    pub(crate) people: People,
    pub(crate) mailer: Mailer,
    pub(crate) mailbox: Option<Arc<dyn DevMailbox>>,
    pub(crate) texts: Arc<Texts>,
    pub(crate) forms: FormGuard,
    pub(crate) events: Arc<dyn Events>,
}

/// Why the service cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A configured client.
    #[error("client {client_id}: {message}")]
    Client {
        /// Its id.
        client_id: String,
        /// What is wrong with it.
        message: String,
    },
    /// Something that is compiled in, or the system.
    #[error(transparent)]
    Internal(#[from] Problem),
}

/// Stores and keys, before the flows that use them.
struct Parts {
    config: Arc<Config>,
    directory: SharedDirectory,
    people: People,
    keys: Arc<KeyKeeper>,
    subjects: Subjects,
    revocations: Revocations,
    links: Links,
    accounts: Accounts,
    mails: AttemptLog,
}

impl Parts {
    fn new(config: Arc<Config>, deps: &Deps) -> ApiResult<Self> {
        let (store, clock) = (&deps.store, &deps.clock);
        let sealing = deps
            .secret
            .sealing("signing keys")
            .ok_or_else(|| Problem::internal("the signing keys' key cannot be made"))?;
        let keys = KeyKeeper::new(
            store.clone(),
            clock.clone(),
            sealing,
            config.keys.clone(),
            config.access_token_algorithm,
        );
        let skew = TimeDelta::milliseconds(i64::from(config.clock_skew_milliseconds));
        let subjects = Subjects::new(store.clone(), clock.clone(), skew);
        let lifetime = seconds(config.lifetimes.access_token_seconds) + skew + REVOCATION_MARGIN;
        let revocations = Revocations::new(
            store.clone(),
            deps.events.clone(),
            clock.clone(),
            deps.identity.clone(),
            lifetime,
        );
        let links = Links::new(
            store.clone(),
            clock.clone(),
            subjects.clone(),
            deps.secret.mac("mailed tokens"),
        );
        let accounts = Accounts {
            directory: deps.directory.clone(),
            intents: Intents::new(store.clone(), clock.clone()),
            subjects: subjects.clone(),
            revocations: revocations.clone(),
            publisher: Publisher::new(deps.events.clone(), clock.clone()),
        };
        let mails = attempt_log(deps, "mail", config.mails.clone());
        Ok(Self {
            directory: deps.directory.clone(),
            people: People::new(deps.users.clone()),
            keys: Arc::new(keys),
            config,
            subjects,
            revocations,
            links,
            accounts,
            mails,
        })
    }
}

fn attempt_log(
    deps: &Deps,
    kind: &'static str,
    policy: crate::domain::attempts::SlowDown,
) -> AttemptLog {
    AttemptLog::new(
        deps.store.clone(),
        deps.clock.clone(),
        deps.secret.mac("attempts"),
        kind,
        policy,
    )
}

impl Auth {
    /// Puts the service together. Reads nothing yet.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub fn new(config: Config, deps: Deps) -> Result<Self, BuildError> {
        config.validate()?;
        let configured = configured_clients(&deps.clients)?;
        let parts = Parts::new(Arc::new(config), &deps)?;
        let (store, clock, config) = (&deps.store, &deps.clock, &parts.config);
        let texts = Arc::new(Texts::new()?);
        let sessions = Sessions::new(store.clone(), clock.clone());
        let codes = Codes::new(
            store.clone(),
            clock.clone(),
            seconds(config.lifetimes.code_seconds),
        );
        let tokens = Tokens {
            config: config.clone(),
            clock: clock.clone(),
            keys: parts.keys.clone(),
            directory: parts.directory.clone(),
            sessions: sessions.clone(),
            codes: codes.clone(),
            subjects: parts.subjects,
            revocations: parts.revocations,
            refresh_key: deps.secret.mac("refresh tokens"),
        };
        let mailer = Mailer {
            config: config.clone(),
            directory: parts.directory.clone(),
            people: parts.people.clone(),
            links: parts.links.clone(),
            mail: deps.mail.clone(),
            texts: texts.clone(),
        };
        let activation = Activation {
            config: config.clone(),
            clock: clock.clone(),
            accounts: parts.accounts.clone(),
            links: parts.links.clone(),
        };
        let reset = Reset {
            clock: clock.clone(),
            accounts: parts.accounts.clone(),
            links: parts.links.clone(),
            mails: parts.mails.clone(),
        };
        let registration = Registration {
            config: config.clone(),
            clock: clock.clone(),
            accounts: parts.accounts.clone(),
            people: parts.people.clone(),
            mails: parts.mails,
        };
        Ok(Self {
            clients: Clients::new(store.clone(), clock.clone(), configured),
            sign_in: SignIn::new(
                parts.directory,
                attempt_log(&deps, "sign-in", config.sign_in.clone()),
            ),
            forms: FormGuard::new(deps.secret.mac("forms"), config.is_secure()),
            config: config.clone(),
            clock: clock.clone(),
            keys: parts.keys,
            accounts: parts.accounts,
            people: parts.people,
            identity: deps.identity,
            tasks: deps.tasks,
            mailbox: deps.mailbox,
            events: deps.events,
            codes,
            sessions,
            tokens,
            activation,
            reset,
            registration,
            mailer,
            texts,
        })
    }

    /// The service as the kit runs it.
    #[must_use]
    pub fn service(&self) -> Service {
        let (router, openapi) = crate::http::router(self);
        let (check, store) = (self.clone(), self.clone());
        Service::new("auth", self.tasks.clone())
            .rest(router, openapi)
            .grpc(crate::grpc::routes(self))
            .descriptor(riwaq_api::FILE_DESCRIPTOR_SET)
            .check("signing keys", move || {
                let auth = check.clone();
                async move { auth.keys.jwks().await.map(drop).map_err(Into::into) }
            })
            .check("identity", move || {
                let auth = store.clone();
                async move { auth.identity.ready().map_err(Into::into) }
            })
            .background("signing keys", self.keep_keys())
            .background("unfinished account changes", self.sweep())
            .background("mails", self.send_mails())
    }

    fn keep_keys(
        &self,
    ) -> impl FnOnce(tokio_util::sync::CancellationToken) -> futures::future::BoxFuture<'static, ()>
    + Send
    + use<> {
        let (keys, every) = (
            self.keys.clone(),
            Duration::from_secs(u64::from(self.config.key_refresh_seconds)),
        );
        move |closing| Box::pin(keys.run(every, closing))
    }

    fn sweep(
        &self,
    ) -> impl FnOnce(tokio_util::sync::CancellationToken) -> futures::future::BoxFuture<'static, ()>
    + Send
    + use<> {
        let (accounts, clock) = (self.accounts.clone(), self.clock.clone());
        let every = Duration::from_secs(u64::from(self.config.sweep_seconds));
        move |closing| Box::pin(accounts.sweep(clock, every, closing))
    }

    fn send_mails(
        &self,
    ) -> impl FnOnce(tokio_util::sync::CancellationToken) -> futures::future::BoxFuture<'static, ()>
    + Send
    + use<> {
        let (mailer, events, clock) =
            (self.mailer.clone(), self.events.clone(), self.clock.clone());
        move |closing| {
            Box::pin(async move {
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
            })
        }
    }
}

fn configured_clients(
    clients: &[ConfiguredClient],
) -> Result<BTreeMap<String, ClientRecord>, BuildError> {
    let mut all = BTreeMap::new();
    for client in clients {
        let (client_id, record, secret) = record(client);
        let refuse = |message: &str| BuildError::Client {
            client_id: client_id.clone(),
            message: message.to_owned(),
        };
        if secret.is_some_and(|secret| secret.len() < MIN_SECRET_BYTES) {
            return Err(refuse("its secret needs at least 32 bytes"));
        }
        record
            .check()
            .map_err(|(field, why)| refuse(&format!("{field}: {why}")))?;
        if all.insert(client_id.clone(), record).is_some() {
            return Err(refuse("it is configured twice"));
        }
    }
    Ok(all)
}

fn record(client: &ConfiguredClient) -> (String, ClientRecord, Option<&String>) {
    match client {
        ConfiguredClient::Service { name, secret } => {
            let client_id = format!("{SERVICE_CLIENT_PREFIX}{name}");
            let record = ClientRecord {
                name: client_id.clone(),
                secret_fingerprint: Some(fingerprint(secret)),
                redirect_uris: Vec::new(),
                post_logout_redirect_uris: Vec::new(),
                grants: BTreeSet::from([Grant::ClientCredentials]),
                roles: BTreeSet::from([SERVICE_ROLE.to_owned()]),
            };
            (client_id, record, Some(secret))
        }
        ConfiguredClient::Portal {
            client_id,
            secret,
            redirect_uris,
            post_logout_redirect_uris,
        } => {
            let record = ClientRecord {
                secret_fingerprint: Some(fingerprint(secret)),
                post_logout_redirect_uris: post_logout_redirect_uris.clone(),
                ..ClientRecord::public("Riwaq", redirect_uris.clone())
            };
            (client_id.clone(), record, Some(secret))
        }
        ConfiguredClient::Native { client_id, name } => {
            let loopbacks = ["http://127.0.0.1/callback", "http://[::1]/callback"]
                .map(String::from)
                .to_vec();
            (
                client_id.clone(),
                ClientRecord::public(name, loopbacks),
                None,
            )
        }
    }
}
