//! The service and what it needs from outside.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use riwaq_api::Channel;
use riwaq_clock::SharedClock;
use riwaq_directory::SharedDirectory;
use riwaq_events::worker::{WorkerOptions, work};
use riwaq_events::{Events, Subscription};
use riwaq_identity::Identity;
use riwaq_kit::{Problem, Service, TaskGroup};
use riwaq_mail::Mail;
use riwaq_records::Store;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigError};
use crate::configured::ConfiguredClient;
use crate::events::{MAIL_GROUP, MAIL_REQUESTED, MailHandler};
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
use crate::issuing::Issuing;
use crate::keys::KeyKeeper;
use crate::secrets::MasterSecret;
use crate::stores::clients::Clients;
use crate::stores::codes::Codes;
use crate::stores::sessions::Sessions;
use crate::text::Texts;

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
    /// Who makes tokens.
    pub issuing: Issuing,
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
    pub(crate) issuing: Issuing,
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

/// A background task, as the kit takes it.
type Background = Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>;

impl Auth {
    /// The service as the kit runs it.
    #[must_use]
    pub fn service(&self) -> Service {
        let (router, openapi) = crate::http::router(self);
        let auth = self.clone();
        let service = Service::new("auth", self.tasks.clone())
            .rest(router, openapi)
            .grpc(crate::grpc::routes(self))
            .descriptor(riwaq_api::FILE_DESCRIPTOR_SET)
            .check("identity", move || {
                let auth = auth.clone();
                async move { auth.identity.ready().map_err(Into::into) }
            })
            .background("unfinished account changes", self.sweep())
            .background("mails", self.send_mails());
        match self.issuing {
            Issuing::Own => self.with_keys(service),
            Issuing::Elsewhere(_) => service,
        }
    }

    fn with_keys(&self, service: Service) -> Service {
        let auth = self.clone();
        service
            .check("signing keys", move || {
                let auth = auth.clone();
                async move { auth.keys.jwks().await.map(drop).map_err(Into::into) }
            })
            .background("signing keys", self.keep_keys())
    }

    fn keep_keys(&self) -> Background {
        let (keys, every) = (
            self.keys.clone(),
            Duration::from_secs(u64::from(self.config.key_refresh_seconds)),
        );
        Box::new(move |closing| Box::pin(keys.run(every, closing)))
    }

    fn sweep(&self) -> Background {
        let (accounts, clock) = (self.accounts.clone(), self.clock.clone());
        let every = Duration::from_secs(u64::from(self.config.sweep_seconds));
        Box::new(move |closing| Box::pin(accounts.sweep(clock, every, closing)))
    }

    fn send_mails(&self) -> Background {
        let (mailer, events, clock) =
            (self.mailer.clone(), self.events.clone(), self.clock.clone());
        Box::new(move |closing| {
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
        })
    }
}
