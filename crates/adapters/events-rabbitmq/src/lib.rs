//! The event bus on RabbitMQ, by the `lapin` driver.
//!
//! Owns the topology of one installation in a virtual host, its connections, and the translation of
//! events into AMQP messages. Must not know what an event means.
//!
//! | | |
//! |---|---|
//! | exchange | one, durable and direct: a type is matched as a whole, never as a pattern |
//! | group | a quorum queue for each type; so a member gets the types that it asked for, and a type can be retired |
//! | backoff | a quorum queue for each step, whose messages return by themselves (time to live, at-least-once dead lettering) |
//! | dead letters | a quorum queue for each group; reason, attempts and time are headers |
//! | broadcast | a durable queue that the replica named, and that expires after it |
//! | publish | confirmed, many at once; sent again on a new connection until it is, or [`Config::publish_timeout_ms`] is over |
//! | subscribe | manual acknowledgement; a member is sent what it asks for (see `member`) |
//!
//! Publications have a connection of their own: a broker that is short of memory or disk stops
//! reading from connections that publish, and acknowledgements must get through. A connection that
//! broke is not mended but made again by whoever needs it next; every wait has a limit of its own.
//!
//! Nothing here is refused by RabbitMQ 4: no mirrored classic queues, no queues that are neither
//! durable nor exclusive, no global prefetch, an explicit delivery limit. It needs RabbitMQ 3.10 or
//! newer, for the time to live and the at-least-once dead lettering of quorum queues.
//!
//! Metrics: those of `riwaq-calls` and
//! `riwaq_backend_connections`, with `backend="rabbitmq"`; `riwaq_events_unconfirmed`,
//! `riwaq_events_repeated_total`, `riwaq_events_unroutable_total`, `riwaq_events_unreadable_total`.
#![warn(missing_docs)]

mod broadcast;
mod bus;
mod config;
mod dead;
mod declare;
mod events;
mod fault;
mod link;
mod lock;
mod member;
mod message;
mod metrics;
mod names;
mod publisher;
mod topology;
mod wanted;

pub use config::Config;
pub use events::RabbitmqEvents;
