//! Delivery inside one process: the part that every adapter shares whose queue lives in the
//! process that consumes it (the memory version, the embedded queue).
//!
//! [`Dispatcher`] decides who gets which event and when; a [`Journal`] is told of every decision
//! and keeps the events, and tells [`Groups`] what it has. An adapter with a broker of its own leaves the groups to that and uses
//! [`Inbox`] only.

mod broadcast;
mod consumer;
mod dispatcher;
mod groups;
mod journal;
mod queue;

pub use broadcast::{BroadcastConsumer, Inbox};
pub use dispatcher::Dispatcher;
pub use groups::{Capacity, Groups};
pub use journal::{Change, Journal};
pub use queue::Entry;
