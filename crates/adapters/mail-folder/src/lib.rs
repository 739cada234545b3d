//! Mail into a folder, for development: nothing leaves the machine.
//!
//! Owns the folder's `.eml` files, one for each message, which any mail program opens. Must not
//! know what the messages say, apart from finding the links in them for [`FolderMail::list`].
//!
//! A file appears whole or not at all: it is written beside, synced and renamed.
#![warn(missing_docs)]

mod links;
mod store;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use riwaq_clock::SharedClock;
use riwaq_mail::{Mail, MailError, Message, Result, mime};
use serde::{Deserialize, Serialize};

/// How the folder is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FolderMailConfig {
    /// The newest messages that are kept; older ones are deleted. At least 1.
    pub keep_messages: usize,
}

impl Default for FolderMailConfig {
    fn default() -> Self {
        Self {
            keep_messages: 1000,
        }
    }
}

/// A message in the folder, as `GET /dev/mail` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredMail {
    /// [`Message::id`].
    pub id: String,
    /// The reader's address.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The plain text; lines end in `\n`.
    pub text: String,
    /// The HTML.
    pub html: Option<String>,
    /// Every `http` and `https` address in text and HTML, each once, in order.
    pub links: Vec<String>,
    /// When it was sent.
    pub at: DateTime<Utc>,
}

/// A [`Mail`] that writes files. Clones share the folder.
#[derive(Debug, Clone)]
pub struct FolderMail {
    folder: Arc<PathBuf>,
    config: FolderMailConfig,
    clock: SharedClock,
}

impl FolderMail {
    /// Mail into this folder, which is made if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(
        folder: &Path,
        config: FolderMailConfig,
        clock: SharedClock,
    ) -> std::io::Result<Self> {
        store::open(folder)?;
        Ok(Self {
            folder: Arc::new(folder.to_owned()),
            config,
            clock,
        })
    }

    /// The newest messages first, at most `limit`. A file that is no mail is left out.
    ///
    /// # Errors
    /// [`MailError::Temporary`] when the folder cannot be read.
    pub async fn list(&self, limit: usize) -> Result<Vec<StoredMail>> {
        let folder = Arc::clone(&self.folder);
        blocking(move || store::list(&folder, limit)).await
    }
}

#[async_trait]
impl Mail for FolderMail {
    async fn send(&self, message: &Message) -> Result<()> {
        message.validate()?;
        let now = self.clock.now();
        let bytes = mime::encode(message, now);
        let (folder, keep) = (Arc::clone(&self.folder), self.config.keep_messages.max(1));
        let message_id = message.message_id();
        blocking(move || {
            store::write(&folder, now, &message_id, &bytes)?;
            store::prune(&folder, keep)
        })
        .await
    }

    async fn ping(&self) -> Result<()> {
        let folder = Arc::clone(&self.folder);
        blocking(move || store::names(&folder).map(drop)).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    let temporary = |message: String| MailError::Temporary {
        code: None,
        message,
    };
    let done = tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| temporary(error.to_string()))?;
    done.map_err(|error| temporary(error.to_string()))
}
