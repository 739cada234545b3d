//! The dispatcher's side of the writer thread, and that thread's end.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use riwaq_events::dispatch::{Change, Journal};
use riwaq_events::{CloudEvent, EventsError, Result};
use tokio::sync::oneshot;

use crate::command::{Command, Reply};

/// Sends commands. When the last handle goes, the thread writes what it has and ends.
pub(crate) struct WriterHandle {
    sender: Option<Sender<Command>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl WriterHandle {
    pub(crate) fn new(sender: Sender<Command>) -> Self {
        Self {
            sender: Some(sender),
            thread: Mutex::new(None),
        }
    }

    pub(crate) fn started(&self, thread: JoinHandle<()>) {
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    }

    pub(crate) fn send(&self, command: Command) -> Result<()> {
        let sent = self
            .sender
            .as_ref()
            .map(|sender| sender.send(command).is_ok());
        if sent == Some(true) {
            Ok(())
        } else {
            Err(gone())
        }
    }

    /// Asks and waits for the answer.
    pub(crate) async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply))?;
        answer.await.map_err(|_| gone())?
    }
}

fn gone() -> EventsError {
    EventsError::Unavailable("the event store has stopped".to_owned())
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        self.sender = None;
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // The thread holds no handle, so it never waits for itself.
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread of the event store panicked");
        }
    }
}

#[async_trait]
impl Journal for WriterHandle {
    fn record(&self, group: &Arc<str>, change: Change) -> Result<()> {
        self.send(Command::Change {
            group: Arc::clone(group),
            change,
        })
    }

    async fn load(&self, _group: &Arc<str>, seq: u64) -> Result<Option<Arc<CloudEvent>>> {
        self.ask(|reply| Command::Load { seq, reply }).await
    }
}
