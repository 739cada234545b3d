//! The port: publishing, subscribing, answering, and what an operator does with dead letters.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::future::try_join_all;

use crate::error::{EventsError, Result};
use crate::event::{CloudEvent, attribute};

/// Limits of names and pages, the same on every adapter.
pub mod limits {
    /// The longest name of a group or replica, in bytes (a queue name is made from it).
    pub const MAX_NAME_BYTES: usize = 100;
    /// The most event types in one group or subscription.
    pub const MAX_TYPES: usize = 100;
    /// The most dead letters in one page.
    pub const MAX_PAGE: usize = 200;
    /// The longest reason that is kept with a failure, in bytes; what is longer is cut.
    pub const MAX_REASON_BYTES: usize = 1024;
    /// Events that a broadcast subscriber may be behind before the oldest are dropped.
    pub const BROADCAST_BUFFER: usize = 1024;
}

/// An event bus. See the crate's page for the promises.
#[async_trait]
pub trait Events: Send + Sync + fmt::Debug + 'static {
    /// Makes the group keep events of these types from now on, members or not.
    ///
    /// To be called at start for every group, so that nothing published before the first
    /// subscription is missed. Declaring again adds types and never takes any away: in a rolling
    /// update the old and the new version of a service declare different lists.
    ///
    /// # Errors
    /// [`EventsError::InvalidInput`] or [`EventsError::Unavailable`].
    async fn declare_group(&self, group: &Group) -> Result<()>;

    /// Declares several, as [`Events::declare_group`] does each. What has to be waited for is waited for once: meant
    /// for the start of a program.
    ///
    /// # Errors
    /// As [`Events::declare_group`]; then some may have been declared.
    async fn declare_groups(&self, groups: &[Group]) -> Result<()> {
        for group in groups {
            self.declare_group(group).await?;
        }
        Ok(())
    }

    /// Takes these types from the group and throws away its waiting events and dead letters of
    /// them. For operators, when a consumer is retired. Returns how many were thrown away.
    ///
    /// # Errors
    /// [`EventsError::InvalidInput`] or [`EventsError::Unavailable`].
    async fn retire_group(&self, group: &Group) -> Result<u64>;

    /// Publishes to every group and live replica that wants the type.
    ///
    /// When it returns `Ok`, every group has it durably. Publishing the same event again is
    /// allowed and may deliver it again. An event that nobody wants is dropped.
    ///
    /// # Errors
    /// [`EventsError::InvalidInput`], [`EventsError::TooLarge`]: nothing was published.
    /// [`EventsError::Unavailable`]: unknown whether it was.
    async fn publish(&self, event: CloudEvent) -> Result<()>;

    /// Publishes many, concurrently; not all or nothing.
    ///
    /// # Errors
    /// As [`Events::publish`]; then some may have been published.
    async fn publish_all(&self, events: Vec<CloudEvent>) -> Result<()> {
        try_join_all(events.into_iter().map(|event| self.publish(event)))
            .await
            .map(drop)
    }

    /// Starts to receive. A group that does not exist is declared. What is published after this
    /// returns reaches the subscription.
    ///
    /// # Errors
    /// [`EventsError::InvalidInput`] or [`EventsError::Unavailable`].
    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn Consumer>>;

    /// Dead letters of a group, oldest first.
    ///
    /// `after` is the `id` of the last one seen; `limit` is 1 to [`limits::MAX_PAGE`].
    ///
    /// # Errors
    /// [`EventsError::InvalidInput`] or [`EventsError::Unavailable`].
    async fn dead_letters(
        &self,
        group: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<DeadLetterPage>;

    /// Gives one dead letter to the group again, as a first attempt.
    ///
    /// # Errors
    /// [`EventsError::NoSuchDeadLetter`] or [`EventsError::Unavailable`].
    async fn replay(&self, group: &str, id: &str) -> Result<()>;

    /// Gives every dead letter of the group to it again; returns how many.
    ///
    /// # Errors
    /// [`EventsError::Unavailable`]; then some may have been given.
    async fn replay_all(&self, group: &str) -> Result<u64>;

    /// Throws one dead letter away.
    ///
    /// # Errors
    /// [`EventsError::NoSuchDeadLetter`] or [`EventsError::Unavailable`].
    async fn discard(&self, group: &str, id: &str) -> Result<()>;

    /// How much waits in each declared group, by name. For metrics: cheap, and a moment old.
    ///
    /// # Errors
    /// [`EventsError::Unavailable`].
    async fn depths(&self) -> Result<Vec<GroupDepth>>;

    /// Whether the bus takes events now.
    ///
    /// # Errors
    /// [`EventsError::Unavailable`] with the reason.
    async fn ping(&self) -> Result<()>;
}

/// A subscription's receiving end. Dropping it gives back what it holds, at once.
#[async_trait]
pub trait Consumer: Send + Sync + fmt::Debug {
    /// Waits for the next event. May be called again before the last one was answered, so that
    /// several are worked on at once. Cancel safe: dropping the future loses nothing.
    ///
    /// # Errors
    /// [`EventsError::Lagged`] (broadcast only) and [`EventsError::Unavailable`]: call again.
    async fn next(&mut self) -> Result<Delivery>;
}

/// The adapter's half of a delivery. Dropping it unanswered counts as a failure.
#[async_trait]
pub trait Receipt: Send + Sync {
    /// See [`Delivery::ack`].
    async fn ack(self: Box<Self>) -> Result<()>;
    /// See [`Delivery::nack`].
    async fn nack(self: Box<Self>, reason: &str) -> Result<()>;
}

/// One event in a consumer's hands, to be answered by [`Delivery::ack`] or [`Delivery::nack`].
///
/// Dropped unanswered (a handler panicked) it counts as a failure, and is retried as after nack.
pub struct Delivery {
    /// The event.
    pub event: Arc<CloudEvent>,
    /// How often it was delivered, this time included, as far as the bus knows: at least 1.
    pub attempt: u32,
    receipt: Box<dyn Receipt>,
}

impl Delivery {
    /// For adapters: a delivery and how to answer it.
    #[must_use]
    pub fn new(event: Arc<CloudEvent>, attempt: u32, receipt: Box<dyn Receipt>) -> Self {
        Self {
            event,
            attempt,
            receipt,
        }
    }

    /// The effect is durable: never deliver it to this group again. Not a promise: an
    /// acknowledgement that a crash swallowed means one more delivery.
    ///
    /// # Errors
    /// [`EventsError::NotHeld`] when it had been given back before, [`EventsError::Unavailable`].
    pub async fn ack(self) -> Result<()> {
        self.receipt.ack().await
    }

    /// It failed: deliver it again after the backoff, or keep it as a dead letter with this
    /// reason when it was the last attempt. (Broadcast: after the last attempt it is dropped.)
    ///
    /// # Errors
    /// As [`Delivery::ack`].
    pub async fn nack(self, reason: &str) -> Result<()> {
        self.receipt.nack(reason).await
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("event", &self.event)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// Consumers that share the work: each event goes to one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name, such as `search.courses`: ASCII letters, digits, `.`, `-`, `_`.
    pub name: String,
    /// The exact types that it wants. A member is given only the types that it subscribed to.
    pub types: Vec<String>,
}

impl Group {
    /// A group that wants these types.
    #[must_use]
    pub fn new<T: Into<String>>(
        name: impl Into<String>,
        types: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            name: name.into(),
            types: types.into_iter().map(Into::into).collect(),
        }
    }

    /// Checks name and types.
    ///
    /// # Errors
    /// [`EventsError::InvalidInput`] names the field.
    pub fn validate(&self) -> Result<()> {
        check_name("group", &self.name)?;
        check_types(&self.types)
    }
}

/// How to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subscription {
    /// As a member of a group.
    Group(Group),
    /// As a replica that wants every event while it lives (key change, revocation, fan-out).
    Broadcast {
        /// The replica's name, for the operator. Two subscriptions may bear the same one.
        replica: String,
        /// The exact types that it wants.
        types: Vec<String>,
    },
}

impl Subscription {
    /// A member of the group `name`.
    #[must_use]
    pub fn group<T: Into<String>>(
        name: impl Into<String>,
        types: impl IntoIterator<Item = T>,
    ) -> Self {
        Self::Group(Group::new(name, types))
    }

    /// A replica.
    #[must_use]
    pub fn broadcast<T: Into<String>>(
        replica: impl Into<String>,
        types: impl IntoIterator<Item = T>,
    ) -> Self {
        Self::Broadcast {
            replica: replica.into(),
            types: types.into_iter().map(Into::into).collect(),
        }
    }

    /// Checks names and types.
    ///
    /// # Errors
    /// [`EventsError::InvalidInput`] names the field.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Group(group) => group.validate(),
            Self::Broadcast { replica, types } => {
                check_name("replica", replica)?;
                check_types(types)
            }
        }
    }
}

fn check_name(field: &'static str, name: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if name.is_empty() || name.len() > limits::MAX_NAME_BYTES || !name.bytes().all(allowed) {
        let message = format!(
            "must have 1 to {} of: letters, digits, '.', '-', '_'",
            limits::MAX_NAME_BYTES
        );
        return Err(EventsError::invalid(field, message));
    }
    Ok(())
}

fn check_types(types: &[String]) -> Result<()> {
    if types.is_empty() || types.len() > limits::MAX_TYPES {
        return Err(EventsError::invalid(
            "types",
            format!("must have 1 to {} entries", limits::MAX_TYPES),
        ));
    }
    types.iter().try_for_each(|kind| attribute("types", kind))
}

/// For adapters that number their dead letters: checks `after` and `limit` of
/// [`Events::dead_letters`]; the number is 0 for the first page.
///
/// # Errors
/// [`EventsError::InvalidInput`] names the argument.
pub fn check_page(after: Option<&str>, limit: usize) -> Result<u64> {
    if limit == 0 || limit > limits::MAX_PAGE {
        return Err(EventsError::invalid(
            "limit",
            format!("must be 1 to {}", limits::MAX_PAGE),
        ));
    }
    let after = after
        .map(str::parse)
        .transpose()
        .map_err(|_| EventsError::invalid("after", "is not an id of a dead letter"))?;
    Ok(after.unwrap_or(0))
}

/// An event that failed too often.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// Names it among the group's dead letters; opaque.
    pub id: String,
    /// The group that failed to handle it.
    pub group: String,
    /// The event.
    pub event: CloudEvent,
    /// How often it was delivered.
    pub attempts: u32,
    /// Why the last delivery failed.
    pub reason: String,
    /// When it was given up.
    pub died_at: DateTime<Utc>,
}

/// A page of dead letters.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeadLetterPage {
    /// Oldest first.
    pub items: Vec<DeadLetter>,
    /// What to pass as `after` for the next page; none when this is the last.
    pub next: Option<String>,
}

/// How much waits in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDepth {
    /// The group.
    pub group: String,
    /// To be delivered now.
    pub ready: u64,
    /// Failed, waiting for their backoff.
    pub delayed: u64,
    /// In a consumer's hands.
    pub in_flight: u64,
    /// Dead letters.
    pub dead: u64,
}
