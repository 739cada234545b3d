//! What is remembered with a file in the index: what its passages were made from, and how that
//! ended. An event that changes nothing of it costs no second reading.

use riwaq_api::files::v1::File;
use serde::{Deserialize, Serialize};
use uuid::{Uuid, uuid};

/// Counted up when the same bytes give other passages: readers, cutting, languages.
const MAKING: u32 = 1;
const NAMESPACE: Uuid = uuid!("0a5f6c2e-7c1b-5d5e-9a43-3d1f7f0a6b52");

/// How the reading of a file ended, as it is reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ending {
    /// `done`, `failed` or `none`.
    pub(crate) state: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
    pub(crate) pages: u32,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// Names everything that the passages depend on.
    pub(crate) made_from: Uuid,
    pub(crate) ending: Ending,
}

impl Note {
    /// The note in its written form.
    pub(crate) fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a note; none when it was written by another version of this program.
    pub(crate) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// A name for everything of a file that its passages depend on.
pub(crate) fn made_from(file: &File) -> Uuid {
    let File {
        course_id,
        name,
        title,
        media_type,
        sha256,
        content_version,
        status,
        ..
    } = file;
    // JSON keeps the parts apart.
    let parts = serde_json::json!([
        MAKING,
        course_id,
        name,
        title,
        media_type,
        sha256,
        content_version,
        status
    ]);
    Uuid::new_v5(&NAMESPACE, parts.to_string().as_bytes())
}

/// The id of a passage: the same for the same place of the same content.
pub(crate) fn passage_id(file: Uuid, content_version: i64, place: usize) -> Uuid {
    Uuid::new_v5(&file, format!("{content_version}/{place}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passages_depend_on_changes_the_name() {
        let file = File {
            id: "1".into(),
            title: "ab".into(),
            name: "c".into(),
            version: 1,
            ..File::default()
        };
        let moved = File {
            section_id: "2".into(),
            version: 2,
            ..file.clone()
        };
        assert_eq!(made_from(&file), made_from(&moved));
        for other in [
            File {
                content_version: 2,
                ..file.clone()
            },
            File {
                course_id: "9".into(),
                ..file.clone()
            },
            File {
                status: "quarantined".into(),
                ..file.clone()
            },
            File {
                title: "a".into(),
                name: "bc".into(),
                ..file.clone()
            },
        ] {
            assert_ne!(made_from(&file), made_from(&other));
        }
    }

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let ending = Ending {
            state: "failed".into(),
            reason: "encrypted".into(),
            pages: 0,
        };
        let note = Note {
            made_from: Uuid::from_u128(7),
            ending,
        };
        assert_eq!(Note::read(&note.write()), Some(note));
        assert_eq!(Note::read(""), None);
        assert_eq!(Note::read("{}"), None);
    }
}
