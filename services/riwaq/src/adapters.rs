//! Which technology stands behind each port: the only place that knows.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use riwaq_blobs::Blobs;
use riwaq_blobs_fs::FolderBlobs;
use riwaq_clock::SharedClock;
use riwaq_directory::Directory;
use riwaq_directory_local::{LocalDirectory, LoginKey};
use riwaq_events::Events;
use riwaq_events_sqlite::SqliteEvents;
use riwaq_index::Index;
use riwaq_index_tantivy::TantivyIndex;
use riwaq_kit::Secret;
use riwaq_mail::Mail;
use riwaq_mail_folder::FolderMail;
use riwaq_mail_smtp::SmtpMail;
use riwaq_records::{Records, Store, TableSchema};
use riwaq_records_cassandra::CassandraRecords;
use riwaq_records_sqlite::SqliteRecords;

use crate::config::{Config, MailEngine, RecordsEngine};
use crate::secrets::Secrets;

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
        let data = &config.data_dir;
        let records = records(config, clock).await?;
        let events = events(config, data, clock)?;
        let blobs = blobs(config, data, clock).await?;
        let index = index(config, data)?;
        let directory = directory(config, secrets, Arc::clone(&records), clock)?;
        let (mail, mail_folder) = mail(config, data, clock)?;
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
    riwaq_directory_local::tables()
}

/// Ports whose configured adapter works within one process only, each with its setting.
pub(crate) fn embedded(config: &Config) -> Vec<&'static str> {
    let mut embedded = Vec::new();
    if config.records.engine == RecordsEngine::Sqlite {
        embedded.push("records (records.engine = sqlite)");
    }
    // These have no distributed adapter yet.
    embedded.extend(["events (sqlite)", "blobs (folder)", "index (tantivy)"]);
    embedded
}

/// The records alone, for commands that need nothing else.
pub(crate) async fn records(config: &Config, clock: &SharedClock) -> Result<Arc<dyn Records>> {
    match config.records.engine {
        RecordsEngine::Sqlite => {
            let mut sqlite = config.records.sqlite.clone();
            if sqlite.path.as_os_str().is_empty() {
                sqlite.path = config.data_dir.join("records.db");
            }
            let records =
                SqliteRecords::open(sqlite, Arc::clone(clock)).context("records in SQLite")?;
            Ok(Arc::new(records))
        }
        RecordsEngine::Cassandra => {
            let mut cassandra = config.records.cassandra.clone();
            cassandra.password = expose(config.records.cassandra_password.as_ref());
            let records = CassandraRecords::connect(cassandra, Arc::clone(clock))
                .await
                .context("records in Cassandra")?;
            Ok(Arc::new(records))
        }
    }
}

/// The event bus alone.
pub(crate) fn events(config: &Config, data: &Path, clock: &SharedClock) -> Result<Arc<dyn Events>> {
    let folder = data.join("events");
    let events = SqliteEvents::open(&folder, &config.events.sqlite, Arc::clone(clock))
        .context("events in SQLite")?;
    Ok(Arc::new(events))
}

async fn blobs(config: &Config, data: &Path, clock: &SharedClock) -> Result<Arc<dyn Blobs>> {
    let mut folder = config.blobs.folder.clone();
    if folder.folder.as_os_str().is_empty() {
        folder.folder = data.join("blobs");
    }
    Ok(Arc::new(
        FolderBlobs::open(folder, Arc::clone(clock))
            .await
            .context("blobs in a folder")?,
    ))
}

fn index(config: &Config, data: &Path) -> Result<Arc<dyn Index>> {
    let mut tantivy = config.index.tantivy.clone();
    if tantivy.folder.as_os_str().is_empty() {
        tantivy.folder = data.join("index");
    }
    Ok(Arc::new(
        TantivyIndex::open(&tantivy).context("the index in tantivy")?,
    ))
}

fn directory(
    config: &Config,
    secrets: &Secrets,
    records: Arc<dyn Records>,
    clock: &SharedClock,
) -> Result<Arc<dyn Directory>> {
    let key = LoginKey::new(&secrets.derive("directory login names"))?;
    let store = Store::new(records);
    let local = LocalDirectory::new(
        store,
        Arc::clone(clock),
        key,
        config.directory.local.clone(),
    )
    .context("directory.local")?;
    Ok(Arc::new(local))
}

fn mail(
    config: &Config,
    data: &Path,
    clock: &SharedClock,
) -> Result<(Arc<dyn Mail>, Option<FolderMail>)> {
    match config.mail.engine {
        MailEngine::Folder => {
            let folder = FolderMail::open(
                &data.join("mail"),
                config.mail.folder.clone(),
                Arc::clone(clock),
            )
            .context("mail in a folder")?;
            Ok((Arc::new(folder.clone()), Some(folder)))
        }
        MailEngine::Smtp => {
            if config.mail.smtp.host.is_empty() {
                bail!("mail.smtp.host is not set, and mail.engine is smtp");
            }
            let password = config.mail.smtp_password.as_ref().map(Secret::expose);
            let smtp = SmtpMail::new(&config.mail.smtp, password, Arc::clone(clock))
                .context("mail.smtp")?;
            Ok((Arc::new(smtp), None))
        }
    }
}

fn expose(secret: Option<&Secret>) -> String {
    secret
        .map(|secret| secret.expose().to_owned())
        .unwrap_or_default()
}
