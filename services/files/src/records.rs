//! The tables of this service.

use chrono::{DateTime, Utc};
use riwaq_aggregates::records::{Table, TableSchema};
use riwaq_blobs::Sha256;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::media::Status;

riwaq_aggregates::version_table! {
    /// Every version of every file.
    pub(crate) fn file_versions() = "file_versions", since 1;
    key { id: Uuid }
    columns { course_id: Uuid, name: String, status: String, deleted: bool }
}

/// The files of a course in the order in which they came.
#[derive(Clone, Debug, PartialEq, Table)]
#[table(
    name = "files_by_course",
    write = "timestamped",
    partition(course_id),
    clustering(created_at, file_id)
)]
pub(crate) struct FileByCourse {
    pub(crate) course_id: Uuid,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) file_id: Uuid,
    pub(crate) version: i64,
    pub(crate) updated_at: DateTime<Utc>,
    #[column(json)]
    pub(crate) listed: Listed,
}

/// What lists show of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Listed {
    pub(crate) section_id: Option<Uuid>,
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) size: u64,
    pub(crate) media_type: String,
    pub(crate) sha256: Sha256,
    pub(crate) content_version: i64,
    pub(crate) status: Status,
    pub(crate) quarantine_reason: Option<String>,
    pub(crate) created_by: Uuid,
}

/// How taking the text out of a file ended. In the order of [`FileByCourse`], so that one scan serves a list.
#[derive(Clone, Debug, PartialEq, Table)]
#[table(
    name = "file_extractions",
    write = "conditional",
    partition(course_id),
    clustering(created_at, file_id)
)]
pub(crate) struct ExtractionRow {
    pub(crate) course_id: Uuid,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) file_id: Uuid,
    pub(crate) content_version: i64,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    pub(crate) pages: Option<i64>,
    pub(crate) reported_at: DateTime<Utc>,
}

/// Which file a blob was received for: written before the file's version, so that no reference is ever missed.
#[derive(Clone, Debug, PartialEq, Table)]
#[table(name = "blob_owners", write = "timestamped", partition(blob))]
pub(crate) struct BlobOwner {
    pub(crate) blob: String,
    pub(crate) file_id: Uuid,
}

/// One entry of the access journal.
#[derive(Clone, Debug, PartialEq, Table)]
#[table(
    name = "file_accesses",
    write = "timestamped",
    partition(file_id, day),
    clustering(at desc, access_id desc)
)]
pub(crate) struct AccessRow {
    pub(crate) file_id: Uuid,
    /// Days since 1970.
    pub(crate) day: i64,
    pub(crate) at: DateTime<Utc>,
    pub(crate) access_id: Uuid,
    /// To whom the link was issued.
    pub(crate) user_id: Uuid,
    /// `issued` or `used`.
    pub(crate) kind: String,
    pub(crate) link_id: Uuid,
    pub(crate) content_version: i64,
    pub(crate) method: Option<String>,
    pub(crate) range: Option<String>,
    pub(crate) status: Option<i64>,
}

/// The days on which a file has entries in the access journal.
#[derive(Clone, Debug, PartialEq, Table)]
#[table(name = "file_access_days", write = "timestamped", partition(file_id), clustering(day desc))]
pub(crate) struct AccessDay {
    pub(crate) file_id: Uuid,
    pub(crate) day: i64,
}

/// The tables of this service; those of `riwaq-aggregates` come beside them.
#[must_use]
pub fn tables() -> Vec<&'static TableSchema> {
    vec![
        file_versions(),
        FileByCourse::schema(),
        ExtractionRow::schema(),
        BlobOwner::schema(),
        AccessRow::schema(),
        AccessDay::schema(),
    ]
}
