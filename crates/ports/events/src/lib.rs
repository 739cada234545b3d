//! The events port: facts that one service tells the others.
//!
//! Owns the envelope ([`CloudEvent`]), the promises of delivery ([`Events`], [`Consumer`],
//! [`Delivery`]), a memory version ([`MemoryEvents`]), the conformance suite that every adapter
//! runs ([`conformance`]), a decorator that injects faults ([`faults`]) and the loop that feeds a
//! handler ([`worker`]). Must not know what an event means, nor who publishes which.
//!
//! What an event bus promises here, on every adapter:
//!
//! | | |
//! |---|---|
//! | publish | durable when it returns `Ok`; an error leaves the outcome unknown: publish again with the same id |
//! | group | each event to one member at a time, again until one acknowledges; kept while no member is connected |
//! | broadcast | each event to every live replica; what happens while a replica is away is lost to it |
//! | order | none |
//! | duplicates | possible at any time: a consumer keys its effect by ([`CloudEvent::source`], [`CloudEvent::id`]) |
//! | failure | retried after the steps of [`RetryPolicy`], then a dead letter that an operator sees and replays |
//! | size | an event of more than [`MAX_EVENT_BYTES`] is refused |
#![warn(missing_docs)]

pub mod conformance;
pub mod dispatch;
mod error;
mod event;
pub mod faults;
mod memory;
mod policy;
mod port;
pub mod worker;

pub use error::{EventsError, Result};
pub use event::{CloudEvent, MAX_EVENT_BYTES};
pub use memory::MemoryEvents;
pub use policy::RetryPolicy;
pub use port::{
    Consumer, DeadLetter, DeadLetterPage, Delivery, Events, Group, GroupDepth, Receipt,
    Subscription, check_page, limits,
};
