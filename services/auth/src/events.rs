//! What this service publishes and consumes.

use std::sync::Arc;

use async_trait::async_trait;
use riwaq_clock::SharedClock;
use riwaq_events::worker::{HandleError, Handler};
use riwaq_events::{CloudEvent, Events, Group};
use riwaq_kit::{ApiResult, Problem, context};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::flows::mailer::Mailer;

/// The `source` of our events.
pub(crate) const SOURCE: &str = "/riwaq/auth";
/// An account was made, changed or removed. Data: `{id}`; the present state is asked of `Accounts`.
pub const ACCOUNT_CHANGED: &str = "riwaq.auth.account.changed";
/// A mail is to be sent: our own, so that it is sent although we die.
pub const MAIL_REQUESTED: &str = "riwaq.auth.mail.requested";
/// The group that sends mails.
pub const MAIL_GROUP: &str = "auth.mail";

/// What a mail is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MailKind {
    /// "Validez votre compte".
    Activation {
        /// The account's password stays, if it has one: it is surely of whoever reads the mail.
        keeps_password: bool,
    },
    /// A link to set a new password.
    Reset,
    /// Somebody tried to register an address that has an account.
    AlreadyRegistered,
}

/// The data of [`MAIL_REQUESTED`]: no address, it is asked of the users service when the mail is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MailRequest {
    pub(crate) kind: MailKind,
    pub(crate) subject: Uuid,
}

/// Publishes what this service has to tell.
#[derive(Clone)]
pub(crate) struct Publisher {
    events: Arc<dyn Events>,
    clock: SharedClock,
    declared: Arc<OnceCell<()>>,
}

impl Publisher {
    pub(crate) fn new(events: Arc<dyn Events>, clock: SharedClock) -> Self {
        Self {
            events,
            clock,
            declared: Arc::default(),
        }
    }

    pub(crate) async fn account_changed(&self, subject: Uuid) -> ApiResult<()> {
        let event = self
            .event(ACCOUNT_CHANGED)
            .with_subject(subject.to_string());
        Ok(self
            .events
            .publish(event.with_data(json!({ "id": subject })))
            .await?)
    }

    /// Tells every verifier to read the key set again.
    pub(crate) async fn keys_changed(&self) -> ApiResult<()> {
        Ok(self
            .events
            .publish(self.event(riwaq_identity::EVENT_KEYS_CHANGED))
            .await?)
    }

    pub(crate) async fn request_mail(&self, request: &MailRequest) -> ApiResult<()> {
        self.declare().await?;
        let data = serde_json::to_value(request).map_err(Problem::internal)?;
        Ok(self
            .events
            .publish(self.event(MAIL_REQUESTED).with_data(data))
            .await?)
    }

    /// Has mail requests kept from the first one on, whether or not anybody listens yet.
    async fn declare(&self) -> ApiResult<()> {
        let group = Group::new(MAIL_GROUP, [MAIL_REQUESTED]);
        self.declared
            .get_or_try_init(|| self.events.declare_group(&group))
            .await?;
        Ok(())
    }

    fn event(&self, kind: &str) -> CloudEvent {
        let id = riwaq_kit::new_id(&*self.clock).to_string();
        CloudEvent::new(id, SOURCE, kind, self.clock.now())
            .with_traceparent(context::current().map(|trace| trace.traceparent()))
    }
}

/// Sends the mails that were asked for.
pub(crate) struct MailHandler(pub(crate) Mailer);

#[async_trait]
impl Handler for MailHandler {
    async fn handle(&self, event: &CloudEvent) -> Result<(), HandleError> {
        let request: MailRequest = event.data_as().map_err(HandleError::new)?;
        self.0
            .send(&event.id, event.time, &request)
            .await
            .map_err(HandleError::new)
    }
}
