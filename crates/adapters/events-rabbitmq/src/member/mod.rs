//! A member of a group: takes events when it is asked for one, and only then.
//!
//! RabbitMQ pushes: whoever consumes gets up to `prefetch` messages, whether it can use them or not,
//! and what lies with a member that is busy is missing to one that is idle. So a member subscribes
//! with a small window while somebody waits in [`Consumer::next`]; the window grows as long as events
//! are handled quickly, and what was sent on but is not asked for within
//! [`crate::Config::linger_ms`] goes back.
//!
//! | file | what |
//! |---|---|
//! | `state.rs` | who holds what; no input or output |
//! | `shared.rs` | the state, its channel, and what becomes of an answered delivery |
//! | `keeper.rs` | the task that receives, watches the time and gives back |

mod keeper;
mod shared;
mod state;

use std::sync::Arc;

use async_trait::async_trait;
use riwaq_events::{Consumer, Delivery, EventsError, Group, Receipt, Result};

use crate::bus::Bus;
pub(crate) use shared::Shared;
use state::Take;

/// The receiving end of a group's subscription.
#[derive(Debug)]
pub(crate) struct Member {
    bus: Arc<Bus>,
    group: Group,
    /// None after its connection was lost, until the next call.
    shared: Option<Arc<Shared>>,
}

impl Member {
    pub(crate) async fn join(bus: &Arc<Bus>, group: Group) -> Result<Self> {
        let shared = keeper::start(bus, &group).await?;
        Ok(Self {
            bus: Arc::clone(bus),
            group,
            shared: Some(shared),
        })
    }
}

#[async_trait]
impl Consumer for Member {
    async fn next(&mut self) -> Result<Delivery> {
        let shared = match &self.shared {
            Some(shared) => Arc::clone(shared),
            None => Arc::clone(
                self.shared
                    .insert(keeper::start(&self.bus, &self.group).await?),
            ),
        };
        let _asking = Asking(&shared);
        loop {
            // Registered before the look, so that an arrival between the two is not missed.
            let arrived = shared.arrived();
            match shared.take() {
                Take::Event(taken) => {
                    let receipt = GroupReceipt {
                        shared: Arc::clone(&shared),
                        tag: taken.tag,
                    };
                    return Ok(Delivery::new(taken.event, taken.attempt, Box::new(receipt)));
                }
                Take::Ended(reason) => {
                    self.shared = None;
                    return Err(EventsError::Unavailable(reason));
                }
                Take::Nothing => arrived.await,
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.leave();
        }
    }
}

/// Somebody waits; tells when the wait is given up.
struct Asking<'a>(&'a Shared);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.stop_asking();
    }
}

struct GroupReceipt {
    shared: Arc<Shared>,
    tag: u64,
}

#[async_trait]
impl Receipt for GroupReceipt {
    async fn ack(self: Box<Self>) -> Result<()> {
        let metrics = Arc::clone(&self.shared.bus().metrics);
        metrics.of("ack", async { self.shared.ack(self.tag) }).await
    }

    async fn nack(self: Box<Self>, reason: &str) -> Result<()> {
        let metrics = Arc::clone(&self.shared.bus().metrics);
        metrics.of("nack", self.shared.nack(self.tag, reason)).await
    }
}

impl Drop for GroupReceipt {
    fn drop(&mut self) {
        // Does nothing for one that was answered: it is no longer held.
        self.shared.dropped(self.tag);
    }
}
