//! A file of a course: its state, and what each change makes of it.

use chrono::{DateTime, Utc};
use riwaq_aggregates::records::{RecordsError, TableSchema, Value};
use riwaq_aggregates::{Aggregate, Draft, Version, ViewRows};
use riwaq_blobs::{BlobInfo, BlobKey, Sha256};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::media::{Status, Verdict, judge};
use super::sniffed::Sniffed;
use crate::records::{FileByCourse, Listed, file_versions};

/// The type of the event that every change causes.
pub const EVENT_FILE_CHANGED: &str = "riwaq.files.file.changed";

/// One upload of a file's bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Content {
    /// Counts uploads of this file, from 1.
    pub(crate) version: i64,
    pub(crate) blob: BlobKey,
    pub(crate) size: u64,
    pub(crate) sha256: Sha256,
    /// The media type that the sender declared.
    pub(crate) declared: Option<String>,
    pub(crate) sniffed: Sniffed,
    pub(crate) verdict: Verdict,
    pub(crate) uploaded_by: Uuid,
    pub(crate) uploaded_at: DateTime<Utc>,
    /// The operation that added it: a repetition finds it by this.
    pub(crate) operation: Uuid,
}

/// A file, whole in every version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct File {
    pub(crate) course_id: Uuid,
    pub(crate) section_id: Option<Uuid>,
    pub(crate) name: String,
    pub(crate) title: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) created_by: Uuid,
    /// The uploads that are kept, oldest first; never empty.
    pub(crate) contents: Vec<Content>,
    pub(crate) deleted: bool,
}

/// Bytes that were received and looked at, not yet of any file.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) name: String,
    pub(crate) declared: Option<String>,
    pub(crate) blob: BlobInfo,
    pub(crate) sniffed: Sniffed,
}

/// Who uploads, when, in which operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upload {
    pub(crate) by: Uuid,
    pub(crate) at: DateTime<Utc>,
    pub(crate) operation: Uuid,
}

/// What a person changes besides the bytes; none leaves a thing as it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edit {
    pub(crate) name: Option<String>,
    pub(crate) title: Option<Option<String>>,
    pub(crate) section_id: Option<Option<Uuid>>,
}

impl Received {
    fn content(&self, version: i64, upload: Upload) -> Content {
        Content {
            version,
            blob: self.blob.key,
            size: self.blob.size,
            sha256: self.blob.sha256,
            declared: self.declared.clone(),
            sniffed: self.sniffed.clone(),
            verdict: judge(&self.name, self.declared.as_deref(), &self.sniffed),
            uploaded_by: upload.by,
            uploaded_at: upload.at,
            operation: upload.operation,
        }
    }
}

impl File {
    /// A new file of a course.
    pub(crate) fn create(
        course_id: Uuid,
        section_id: Option<Uuid>,
        title: Option<String>,
        received: &Received,
        upload: Upload,
    ) -> Draft<Self> {
        let file = Self {
            course_id,
            section_id,
            name: received.name.clone(),
            title,
            created_at: upload.at,
            created_by: upload.by,
            contents: vec![received.content(1, upload)],
            deleted: false,
        };
        Draft::new("uploaded", file)
    }

    /// With new bytes; none when this very operation has added them already. The oldest uploads beyond `keep` are let go.
    pub(crate) fn replace(
        &self,
        received: &Received,
        upload: Upload,
        keep: usize,
    ) -> Option<Draft<Self>> {
        if self
            .contents
            .iter()
            .any(|content| content.operation == upload.operation)
        {
            return None;
        }
        let mut file = self.clone();
        let version = self.contents.last().map_or(0, |content| content.version) + 1;
        file.name.clone_from(&received.name);
        file.contents.push(received.content(version, upload));
        let surplus = file.contents.len().saturating_sub(keep.max(1));
        file.contents.drain(..surplus);
        Some(Draft::new("replaced", file))
    }

    /// With other metadata; none when nothing is different.
    pub(crate) fn edit(&self, edit: &Edit) -> Option<Draft<Self>> {
        let mut file = self.clone();
        if let Some(title) = &edit.title {
            file.title.clone_from(title);
        }
        if let Some(section_id) = edit.section_id {
            file.section_id = section_id;
        }
        if let Some(name) = &edit.name {
            file.name.clone_from(name);
            // Another name promises something else about the same bytes.
            if let Some(content) = file.contents.last_mut() {
                content.verdict = judge(name, content.declared.as_deref(), &content.sniffed);
            }
        }
        (file != *self).then(|| Draft::new("edited", file))
    }

    /// Deleted.
    pub(crate) fn delete(&self) -> Draft<Self> {
        Draft::new(
            "deleted",
            Self {
                deleted: true,
                ..self.clone()
            },
        )
    }

    /// The upload that people get. A file without one was never written.
    pub(crate) fn current(&self) -> Option<&Content> {
        self.contents.last()
    }

    /// One of the uploads that are kept.
    pub(crate) fn content(&self, version: i64) -> Option<&Content> {
        self.contents
            .iter()
            .find(|content| content.version == version)
    }

    /// What is shown above the name.
    pub(crate) fn shown_title(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }

    /// Whether this file still needs the blob.
    pub(crate) fn needs(&self, blob: BlobKey) -> bool {
        !self.deleted && self.contents.iter().any(|content| content.blob == blob)
    }

    /// The file as lists have it.
    pub(crate) fn listed(&self) -> Option<Listed> {
        let content = self.current()?;
        Some(Listed {
            section_id: self.section_id,
            name: self.name.clone(),
            title: self.shown_title().to_owned(),
            size: content.size,
            media_type: content.verdict.media_type.clone(),
            sha256: content.sha256,
            content_version: content.version,
            status: content.verdict.status,
            quarantine_reason: content.verdict.reason.clone(),
            created_by: self.created_by,
        })
    }
}

impl Aggregate for File {
    type Id = Uuid;
    const KIND: &'static str = "file";
    const EVENT: Option<&'static str> = Some(EVENT_FILE_CHANGED);

    fn table() -> &'static TableSchema {
        file_versions()
    }

    fn columns(&self) -> Vec<Value> {
        let status = self
            .current()
            .map_or(Status::Quarantined, |content| content.verdict.status);
        vec![
            Value::Uuid(self.course_id),
            Value::from(self.name.as_str()),
            Value::from(status.to_string().as_str()),
            Value::from(self.deleted),
        ]
    }

    fn views(version: &Version<Self>, rows: &mut ViewRows) -> Result<(), RecordsError> {
        let file = &version.state;
        let Some(listed) = file.listed().filter(|_| !file.deleted) else {
            return Ok(());
        };
        rows.put(&FileByCourse {
            course_id: file.course_id,
            created_at: file.created_at,
            file_id: version.id,
            version: version.version,
            updated_at: version.at,
            listed,
        })
    }

    fn event_data(version: &Version<Self>) -> serde_json::Value {
        serde_json::json!({
            "id": version.id,
            "version": version.version,
            "course_id": version.state.course_id,
            "content_version": version.state.current().map(|content| content.version),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(operation: u128) -> Upload {
        Upload {
            by: Uuid::from_u128(7),
            at: DateTime::UNIX_EPOCH,
            operation: Uuid::from_u128(operation),
        }
    }

    fn received(name: &str, head: &[u8]) -> Received {
        Received {
            name: name.into(),
            declared: None,
            blob: BlobInfo {
                key: BlobKey::random(),
                size: head.len() as u64,
                sha256: Sha256::of(head),
                created_at: DateTime::UNIX_EPOCH,
                marked_at: None,
            },
            sniffed: Sniffed::by_head(head).unwrap(),
        }
    }

    fn file() -> File {
        File::create(
            Uuid::from_u128(1),
            None,
            None,
            &received("a.txt", b"one"),
            upload(1),
        )
        .state
    }

    #[test]
    fn a_new_upload_takes_the_place_of_the_old_one_which_is_kept() {
        let next = received("b.md", b"two");
        let replaced = file().replace(&next, upload(2), 10).unwrap().state;
        assert_eq!(replaced.name, "b.md");
        assert_eq!(replaced.current().unwrap().version, 2);
        assert_eq!(replaced.content(1).unwrap().size, 3);
        assert!(replaced.needs(file().contents[0].blob) || replaced.contents.len() == 2);
        assert!(
            replaced.replace(&next, upload(2), 10).is_none(),
            "the same operation again"
        );
    }

    #[test]
    fn only_so_many_uploads_are_kept_and_numbers_go_on() {
        let mut file = file();
        for operation in 2..10 {
            file = file
                .replace(&received("a.txt", b"x"), upload(operation), 3)
                .unwrap()
                .state;
        }
        let versions: Vec<i64> = file
            .contents
            .iter()
            .map(|content| content.version)
            .collect();
        assert_eq!(versions, [7, 8, 9]);
    }

    #[test]
    fn a_name_that_promises_something_else_is_judged_again() {
        let renamed = |name: &str, file: &File| {
            file.edit(&Edit {
                name: Some(name.into()),
                ..Edit::default()
            })
            .unwrap()
            .state
        };
        let disguised = renamed("a.pdf", &file());
        assert_eq!(
            disguised.current().unwrap().verdict.status,
            Status::Quarantined
        );
        let honest = renamed("a.txt", &disguised);
        assert_eq!(honest.current().unwrap().verdict.status, Status::Available);
    }

    #[test]
    fn an_edit_that_changes_nothing_is_no_change() {
        let file = file();
        assert!(file.edit(&Edit::default()).is_none());
        assert!(
            file.edit(&Edit {
                name: Some("a.txt".into()),
                ..Edit::default()
            })
            .is_none()
        );
        let titled = file
            .edit(&Edit {
                title: Some(Some("Intro".into())),
                ..Edit::default()
            })
            .unwrap()
            .state;
        assert_eq!(
            (titled.shown_title(), file.shown_title()),
            ("Intro", "a.txt")
        );
        let plain = titled
            .edit(&Edit {
                title: Some(None),
                ..Edit::default()
            })
            .unwrap()
            .state;
        assert_eq!(plain, file);
    }

    #[test]
    fn a_deleted_file_needs_no_blob() {
        let file = file();
        let blob = file.contents[0].blob;
        assert!(file.needs(blob));
        assert!(!file.delete().state.needs(blob));
    }
}
