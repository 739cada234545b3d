//! What lies in the indexes: passages under the write that brought them, and one entry a source
//! that says which write counts.

use riwaq_index::analysis::for_each_spelling;
use riwaq_index::{Change, Content, Document, IndexError, Kind, Source, SourceKind, SourceState};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The key of a source: `file:ID` or `course:ID`.
pub(crate) fn source_key(source: Source) -> String {
    format!("{}:{}", kind_name(source.kind), source.id)
}

/// The source of a key; none for what is no key.
pub(crate) fn source_of(key: &str) -> Option<Source> {
    let (kind, id) = key.split_once(':')?;
    let kind = match kind {
        "file" => SourceKind::File,
        "course" => SourceKind::Course,
        _ => return None,
    };
    Some(Source {
        kind,
        id: id.parse().ok()?,
    })
}

/// How a kind of source is written.
pub(crate) fn kind_name(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::File => "file",
        SourceKind::Course => "course",
    }
}

/// How a kind of document is written.
pub(crate) fn document_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Passage => "passage",
        Kind::Course => "course",
    }
}

/// A passage or course on its way into the index.
#[derive(Serialize)]
pub(crate) struct Passage<'d> {
    id: Uuid,
    source: &'d str,
    write: Uuid,
    written_at: i64,
    kind: &'static str,
    course: Uuid,
    text_exact: String,
    text_words: String,
    head_exact: String,
    head_words: String,
    document: &'d Document,
}

impl<'d> Passage<'d> {
    /// The passage of a document, brought by `write`.
    pub(crate) fn new(document: &'d Document, source: &'d str, write: Uuid, at: i64) -> Self {
        let (text_exact, text_words) = words(&[&document.text]);
        let (head_exact, head_words) = words(&[&document.title, &document.heading]);
        Self {
            id: document.id,
            source,
            write,
            written_at: at,
            kind: document_kind(document.kind),
            course: document.course_id,
            text_exact,
            text_words,
            head_exact,
            head_words,
            document,
        }
    }
}

/// The words of texts with spaces between: normalised, and as they are spelt.
fn words(texts: &[&str]) -> (String, String) {
    let (mut exact, mut spelt) = (String::new(), String::new());
    for text in texts {
        for_each_spelling(text, |word| {
            for (all, one) in [(&mut exact, &word.exact), (&mut spelt, &word.spelt)] {
                if !all.is_empty() {
                    all.push(' ');
                }
                all.push_str(one);
            }
        });
    }
    (exact, spelt)
}

/// A passage as a search gives it back.
#[derive(Debug, Deserialize)]
pub(crate) struct Found {
    pub(crate) source: String,
    pub(crate) write: Uuid,
    pub(crate) written_at: i64,
    pub(crate) document: Document,
}

/// What an entry says of its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It is there, maybe without documents.
    Present,
    /// It was deleted: a tombstone.
    Deleted,
    /// Nothing is known; the entry only keeps out a write that was abandoned.
    Fence,
}

/// The entry of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) kind: String,
    pub(crate) id: Uuid,
    pub(crate) state: State,
    /// A whole number without sign; OpenSearch's own have one.
    #[serde(with = "as_text")]
    pub(crate) version: u64,
    /// The write whose passages count.
    pub(crate) write: Uuid,
    /// How many they are.
    pub(crate) documents: u32,
    pub(crate) note: String,
}

impl Entry {
    /// What the source becomes by a change.
    pub(crate) fn of(change: &Change, write: Uuid) -> Self {
        let (state, documents) = match &change.content {
            Content::Documents(all) => (State::Present, all.len()),
            Content::Deleted => (State::Deleted, 0),
        };
        Self {
            kind: kind_name(change.source.kind).into(),
            id: change.source.id,
            state,
            version: change.version,
            write,
            documents: u32::try_from(documents).unwrap_or(u32::MAX),
            note: change.note.clone(),
        }
    }

    /// An entry that says nothing of its source.
    pub(crate) fn fence(source: Source) -> Self {
        Self {
            kind: kind_name(source.kind).into(),
            id: source.id,
            state: State::Fence,
            version: 0,
            write: Uuid::nil(),
            documents: 0,
            note: String::new(),
        }
    }

    /// In the port's words; none for a fence.
    pub(crate) fn state(&self) -> Result<Option<SourceState>, IndexError> {
        if self.state == State::Fence {
            return Ok(None);
        }
        let key = format!("{}:{}", self.kind, self.id);
        let source = source_of(&key)
            .ok_or_else(|| IndexError::Corrupt(format!("a source that is called {key}")))?;
        Ok(Some(SourceState {
            source,
            version: self.version,
            deleted: self.state == State::Deleted,
            note: self.note.clone(),
        }))
    }
}

mod as_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<u64, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_source_and_nothing_else_does() {
        for source in [Source::file(Uuid::max()), Source::course(Uuid::nil())] {
            assert_eq!(source_of(&source_key(source)), Some(source));
        }
        for other in ["", "file", "file:", "user:0", "file:zz"] {
            assert_eq!(source_of(other), None, "{other}");
        }
    }

    #[test]
    fn the_largest_version_is_kept() {
        let change = Change {
            source: Source::file(Uuid::max()),
            version: u64::MAX,
            content: Content::Deleted,
            note: "é\"\0".into(),
        };
        let entry = Entry::of(&change, Uuid::max());
        let text = serde_json::to_string(&entry).expect("is written");
        let read: Entry = serde_json::from_str(&text).expect("is read");
        assert_eq!(read, entry);
        let state = read.state().expect("is ours").expect("is known");
        assert_eq!((state.version, state.deleted), (u64::MAX, true));
        assert_eq!(Entry::fence(change.source).state(), Ok(None));
    }
}
