//! Which technology stands behind each port: the only place that knows.

use std::sync::Arc;

use anyhow::Result;
use riwaq_blobs::Blobs;
use riwaq_clock::SharedClock;
use riwaq_directory::Directory;
use riwaq_events::Events;
use riwaq_index::Index;
use riwaq_kit::Secret;
use riwaq_mail::Mail;
use riwaq_mail_folder::FolderMail;
use riwaq_records::{Records, Store, TableSchema};

use crate::config::{BlobsEngine, Config, EventsEngine, IndexEngine, RecordsEngine};
use crate::secrets::Secrets;

mod blobs;
mod directory;
mod events;
mod index;
mod mail;
mod records;

pub(crate) use blobs::blobs;
pub(crate) use directory::{client_secret, directory};
pub(crate) use events::events;
pub(crate) use index::index;
pub(crate) use mail::mail;
pub(crate) use records::records;

/// The opened adapters.
pub(crate) struct Adapters {
    pub(crate) records: Arc<dyn Records>,
    pub(crate) events: Arc<dyn Events>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) index: Arc<dyn Index>,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) mail: Arc<dyn Mail>,
    /// Where mail goes into a folder: for `GET /dev/mail`.
    pub(crate) mail_folder: Option<FolderMail>,
}

impl Adapters {
    /// Opens them all.
    pub(crate) async fn open(
        config: &Config,
        secrets: &Secrets,
        clock: &SharedClock,
    ) -> Result<Self> {
        let records = records(config, clock).await?;
        let events = events(config, clock).await?;
        let blobs = blobs(config, clock).await?;
        let index = index(config, clock).await?;
        let directory = directory(config, secrets, Arc::clone(&records), clock).await?;
        let (mail, mail_folder) = mail(config, clock)?;
        Ok(Self {
            records,
            events,
            blobs,
            index,
            directory,
            mail,
            mail_folder,
        })
    }

    /// The typed store.
    pub(crate) fn store(&self) -> Store {
        Store::new(Arc::clone(&self.records))
    }
}

/// Tables of adapters that keep theirs in the records.
pub(crate) fn tables() -> Vec<&'static TableSchema> {
    // Keycloak's directory needs those of the aggregates only.
    riwaq_directory_local::tables()
}

/// Ports whose configured adapter works within one process only, each with its setting.
pub(crate) fn embedded(config: &Config) -> Vec<&'static str> {
    let ports = [
        (
            config.records.engine == RecordsEngine::Sqlite,
            "records (records.engine = sqlite)",
        ),
        (
            config.events.engine == EventsEngine::Sqlite,
            "events (events.engine = sqlite)",
        ),
        (
            config.blobs.engine == BlobsEngine::Folder,
            "blobs (blobs.engine = folder)",
        ),
        (
            config.index.engine == IndexEngine::Tantivy,
            "index (index.engine = tantivy)",
        ),
    ];
    let embedded = ports.into_iter().filter(|(embedded, _)| *embedded);
    embedded.map(|(_, setting)| setting).collect()
}

/// A secret as the drivers take it; none is an empty one.
fn expose(secret: Option<&Secret>) -> String {
    secret
        .map(|secret| secret.expose().to_owned())
        .unwrap_or_default()
}
