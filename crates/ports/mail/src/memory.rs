//! Mail in memory: for tests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::Mail;
use crate::error::{MailError, Result};
use crate::message::Message;

/// Keeps what was sent. Clones share it.
#[derive(Debug, Clone)]
pub struct MemoryMail {
    sent: Arc<watch::Sender<Vec<Message>>>,
    failures: Arc<Mutex<VecDeque<MailError>>>,
}

impl Default for MemoryMail {
    fn default() -> Self {
        Self {
            sent: Arc::new(watch::Sender::new(Vec::new())),
            failures: Arc::default(),
        }
    }
}

impl MemoryMail {
    /// Everything that was sent, in order.
    #[must_use]
    pub fn sent(&self) -> Vec<Message> {
        self.sent.borrow().clone()
    }

    /// Waits until a message was sent that fits, and returns it.
    pub async fn wait_for(&self, fits: impl Fn(&Message) -> bool) -> Message {
        let mut sent = self.sent.subscribe();
        loop {
            if let Some(found) = sent
                .borrow_and_update()
                .iter()
                .find(|message| fits(message))
            {
                return found.clone();
            }
            if sent.changed().await.is_err() {
                // The sender lives in `self`: this is never reached.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The next calls of `send` answer these errors, one each, and send nothing.
    pub fn fail_next(&self, errors: impl IntoIterator<Item = MailError>) {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(errors);
    }
}

#[async_trait]
impl Mail for MemoryMail {
    async fn send(&self, message: &Message) -> Result<()> {
        message.validate()?;
        if let Some(error) = self
            .failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
        {
            return Err(error);
        }
        self.sent.send_modify(|sent| sent.push(message.clone()));
        Ok(())
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}
