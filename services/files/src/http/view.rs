//! The JSON of files.

use chrono::{DateTime, Utc};
use riwaq_aggregates::Version;
use riwaq_kit::{ApiResult, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::file::File;
use crate::domain::media::Status;
use crate::extractions::Extraction;
use crate::records::{FileByCourse, Listed};

/// A file of a course.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = File)]
pub(crate) struct FileView {
    /// Its id.
    id: Uuid,
    /// The course that it belongs to.
    course_id: Uuid,
    /// The section of the course that it belongs to, if any.
    section_id: Option<Uuid>,
    /// The name under which it is saved.
    name: String,
    /// What is shown above it; its name where nobody gave a title.
    title: String,
    /// Its size in bytes.
    size: u64,
    /// Its media type.
    media_type: String,
    /// The SHA-256 of its content, in hexadecimal digits.
    sha256: String,
    /// Counts every change of it.
    version: i64,
    /// Counts uploads of its content.
    content_version: i64,
    /// Whether it may be handed out.
    status: Status,
    /// Why it is quarantined.
    quarantine_reason: Option<String>,
    /// How taking its text out went.
    extraction: Extraction,
    /// The id of who uploaded it first.
    created_by: Uuid,
    /// When it was uploaded first.
    created_at: DateTime<Utc>,
    /// When it was changed last.
    updated_at: DateTime<Utc>,
}

/// A page of files.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FilePage {
    /// In the order in which they were uploaded.
    pub(crate) items: Vec<FileView>,
    /// Where to go on; null at the end.
    pub(crate) next_cursor: Option<String>,
}

struct Head {
    id: Uuid,
    course_id: Uuid,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl FileView {
    pub(crate) fn of_version(file: &Version<File>, extraction: Extraction) -> ApiResult<Self> {
        let listed = file
            .state
            .listed()
            .ok_or_else(|| Problem::not_found("file"))?;
        let head = Head {
            id: file.id,
            course_id: file.state.course_id,
            version: file.version,
            created_at: file.state.created_at,
            updated_at: file.at,
        };
        Ok(Self::new(head, listed, extraction))
    }

    pub(crate) fn of_row(row: FileByCourse, extraction: Extraction) -> Self {
        let head = Head {
            id: row.file_id,
            course_id: row.course_id,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        };
        Self::new(head, row.listed, extraction)
    }

    fn new(head: Head, listed: Listed, extraction: Extraction) -> Self {
        Self {
            id: head.id,
            course_id: head.course_id,
            section_id: listed.section_id,
            name: listed.name,
            title: listed.title,
            size: listed.size,
            media_type: listed.media_type,
            sha256: listed.sha256.to_string(),
            version: head.version,
            content_version: listed.content_version,
            status: listed.status,
            quarantine_reason: listed.quarantine_reason,
            extraction,
            created_by: listed.created_by,
            created_at: head.created_at,
            updated_at: head.updated_at,
        }
    }
}
