//! Which technology stands behind each port: the only place that knows.

use std::sync::Arc;

use anyhow::{Context, Result};
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

/// What a role may stand on beside records and events, which every role needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Blobs,
    Index,
    Directory,
    Mail,
}

/// The opened adapters: a process waits for no backend that its roles do not stand on, at its start or later.
pub(crate) struct Adapters {
    pub(crate) records: Arc<dyn Records>,
    pub(crate) events: Arc<dyn Events>,
    pub(crate) blobs: Option<Arc<dyn Blobs>>,
    pub(crate) index: Option<Arc<dyn Index>>,
    pub(crate) directory: Option<Arc<dyn Directory>>,
    pub(crate) mail: Option<Arc<dyn Mail>>,
    /// Where mail goes into a folder: for `GET /dev/mail`.
    pub(crate) mail_folder: Option<FolderMail>,
}

impl Adapters {
    /// Opens records, events and what is needed of the others.
    pub(crate) async fn open(
        config: &Config,
        secrets: &Secrets,
        clock: &SharedClock,
        needs: &[Need],
    ) -> Result<Self> {
        let mut opened = Self {
            records: records(config, clock).await?,
            events: events(config, clock).await?,
            blobs: None,
            index: None,
            directory: None,
            mail: None,
            mail_folder: None,
        };
        if needs.contains(&Need::Blobs) {
            opened.blobs = Some(blobs(config, clock).await?);
        }
        if needs.contains(&Need::Index) {
            opened.index = Some(index(config, clock).await?);
        }
        if needs.contains(&Need::Directory) {
            let records = Arc::clone(&opened.records);
            opened.directory = Some(directory(config, secrets, records, clock).await?);
        }
        if needs.contains(&Need::Mail) {
            let (mail, folder) = mail(config, clock)?;
            (opened.mail, opened.mail_folder) = (Some(mail), folder);
        }
        Ok(opened)
    }

    /// Files' content.
    pub(crate) fn blobs(&self) -> Result<Arc<dyn Blobs>> {
        opened(&self.blobs, Need::Blobs)
    }

    /// The search index.
    pub(crate) fn index(&self) -> Result<Arc<dyn Index>> {
        opened(&self.index, Need::Index)
    }

    /// Accounts.
    pub(crate) fn directory(&self) -> Result<Arc<dyn Directory>> {
        opened(&self.directory, Need::Directory)
    }

    /// Mail.
    pub(crate) fn mail(&self) -> Result<Arc<dyn Mail>> {
        opened(&self.mail, Need::Mail)
    }

    /// The typed store.
    pub(crate) fn store(&self) -> Store {
        Store::new(Arc::clone(&self.records))
    }
}

fn opened<T: ?Sized>(adapter: &Option<Arc<T>>, need: Need) -> Result<Arc<T>> {
    adapter
        .clone()
        .with_context(|| format!("a role uses {need:?} and does not name it among its needs"))
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
