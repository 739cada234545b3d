//! What one process of the installation does at a time.
//!
//! An exclusive queue is the lock: RabbitMQ gives it to one connection of the whole cluster, and takes it back when
//! that connection ends.

use std::time::Duration;

use futures::FutureExt;
use lapin::Channel;
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use riwaq_events::{EventsError, Result};
use tokio::sync::OwnedMutexGuard;

use crate::bus::Bus;
use crate::fault::{Fault, RESOURCE_LOCKED, within};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// Held until it is released; dropped, it is given back without waiting for the broker.
#[derive(Debug)]
pub(crate) struct Lock {
    /// Its connection holds the exclusive queue.
    channel: Channel,
    name: String,
    released: bool,
    _in_process: OwnedMutexGuard<()>,
}

impl Bus {
    /// Takes a lock by its name; `busy` says what others do with it.
    pub(crate) async fn lock(&self, name: String, patience: Duration, busy: &str) -> Result<Lock> {
        let is_busy = || EventsError::Unavailable(busy.to_owned());
        let deadline = self.clock.monotonic().saturating_add(patience);
        // To the broker all of this process is one.
        let in_process = tokio::time::timeout(patience, self.turn(&name).lock_owned())
            .await
            .map_err(|_| is_busy())?;
        let mut pause = FIRST_PAUSE;
        loop {
            // A refusal closes the channel.
            let channel = self.consuming.channel().await?;
            let options = QueueDeclareOptions::exclusive().auto_delete();
            let declare =
                channel.queue_declare(name.as_str().into(), options, FieldTable::default());
            match within(self.config.request_timeout(), "take the lock", declare).await {
                Ok(_) => {
                    return Ok(Lock {
                        channel,
                        name,
                        released: false,
                        _in_process: in_process,
                    });
                }
                Err(fault) if fault.code() != Some(RESOURCE_LOCKED) => return Err(fault.into()),
                Err(_) if self.clock.monotonic() >= deadline => return Err(is_busy()),
                Err(_) => self.clock.sleep(pause).await,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

impl Lock {
    pub(crate) async fn release(mut self, bus: &Bus) {
        self.released = true;
        let limit = bus.config.request_timeout();
        let released = within(limit, "give the lock back", self.delete()).await;
        if let Err(fault) = released {
            // It goes with the connection.
            tracing::warn!(%fault, lock = self.name, "a lock was not given back");
            if let Fault::Late(_) = fault
                && let Ok(connection) = bus.consuming.connection().await
            {
                bus.consuming.forget(&connection).await;
            }
        }
    }

    async fn delete(&self) -> lapin::Result<u32> {
        let name = self.name.as_str().into();
        let options = QueueDeleteOptions::default();
        self.channel.queue_delete(name, options).await
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if !self.released {
            drop(self.delete().now_or_never());
        }
    }
}
