//! The sections that choose a technology for each port.

use std::path::PathBuf;

use riwaq_kit::Secret;
use serde::{Deserialize, Serialize};

/// Where records are kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RecordsConfig {
    /// `sqlite` (embedded) or `cassandra`.
    pub(crate) engine: RecordsEngine,
    pub(crate) sqlite: riwaq_records_sqlite::SqliteConfig,
    pub(crate) cassandra: riwaq_records_cassandra::Config,
    /// The password of `records.cassandra.user`.
    pub(crate) cassandra_password: Option<Secret>,
}

/// An engine of the records port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RecordsEngine {
    Sqlite,
    Cassandra,
}

/// How events travel.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EventsConfig {
    /// `sqlite` (embedded) or `rabbitmq`.
    pub(crate) engine: EventsEngine,
    pub(crate) sqlite: riwaq_events_sqlite::SqliteEventsConfig,
    pub(crate) rabbitmq: riwaq_events_rabbitmq::Config,
    /// The password of `events.rabbitmq.user`.
    pub(crate) rabbitmq_password: Option<Secret>,
}

/// An engine of the events port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventsEngine {
    #[default]
    Sqlite,
    Rabbitmq,
}

/// Where the bytes of files are kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BlobsConfig {
    /// `folder` (embedded) or `s3`.
    pub(crate) engine: BlobsEngine,
    pub(crate) folder: riwaq_blobs_fs::Config,
    pub(crate) s3: riwaq_blobs_s3::Config,
    /// The secret of `blobs.s3.access_key`.
    pub(crate) s3_secret_key: Option<Secret>,
}

/// An engine of the blobs port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BlobsEngine {
    #[default]
    Folder,
    S3,
}

/// Where the search index is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct IndexConfig {
    /// `tantivy` (embedded) or `opensearch`.
    pub(crate) engine: IndexEngine,
    pub(crate) tantivy: riwaq_index_tantivy::Config,
    pub(crate) opensearch: riwaq_index_opensearch::Config,
    /// The password of `index.opensearch.user`.
    pub(crate) opensearch_password: Option<Secret>,
}

/// An engine of the index port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum IndexEngine {
    #[default]
    Tantivy,
    Opensearch,
}

/// Where accounts are kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DirectoryConfig {
    /// `local` (our own, in the records) or `keycloak`.
    pub(crate) engine: DirectoryEngine,
    pub(crate) keycloak: riwaq_directory_keycloak::Config,
    /// The secret of `directory.keycloak.client_id`; none: the one that `riwaq keycloak provision` sets, which comes
    /// from the master key.
    pub(crate) keycloak_client_secret: Option<Secret>,
    pub(crate) local: riwaq_directory_local::LocalDirectoryConfig,
}

/// An engine of the directory port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DirectoryEngine {
    #[default]
    Local,
    Keycloak,
}

/// How mail is sent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MailConfig {
    /// `folder` (for development) or `smtp`.
    pub(crate) engine: MailEngine,
    pub(crate) folder: riwaq_mail_folder::FolderMailConfig,
    pub(crate) smtp: riwaq_mail_smtp::SmtpConfig,
    /// The password of `mail.smtp.username`.
    pub(crate) smtp_password: Option<Secret>,
}

/// An engine of the mail port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MailEngine {
    #[default]
    Folder,
    Smtp,
}

// Empty paths mean: in the data folder.
impl Default for RecordsConfig {
    fn default() -> Self {
        Self {
            engine: RecordsEngine::Sqlite,
            sqlite: riwaq_records_sqlite::SqliteConfig::at(""),
            cassandra: riwaq_records_cassandra::Config::default(),
            cassandra_password: None,
        }
    }
}

impl Default for BlobsConfig {
    fn default() -> Self {
        Self {
            folder: riwaq_blobs_fs::Config {
                folder: PathBuf::new(),
                ..Default::default()
            },
            engine: BlobsEngine::default(),
            s3: riwaq_blobs_s3::Config::default(),
            s3_secret_key: None,
        }
    }
}

impl Default for IndexConfig {
    fn default() -> Self {
        Self {
            engine: IndexEngine::default(),
            tantivy: riwaq_index_tantivy::Config::in_folder(""),
            opensearch: riwaq_index_opensearch::Config::default(),
            opensearch_password: None,
        }
    }
}
