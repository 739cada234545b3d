//! What is indexed, what is asked, and what comes back.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::IndexError;

/// Limits that every adapter keeps alike.
pub mod limits {
    /// Most documents of one source.
    pub const DOCUMENTS_PER_SOURCE: usize = 50_000;
    /// Most bytes of a document's text.
    pub const TEXT_BYTES: usize = 64 * 1024;
    /// Most bytes of a title or a heading.
    pub const TITLE_BYTES: usize = 4 * 1024;
    /// Most bytes of a note.
    pub const NOTE_BYTES: usize = 1_024;
    /// Most changes in one [`write`](crate::Index::write).
    pub const CHANGES_PER_WRITE: usize = 1_000;
    /// Most hits of one page.
    pub const HITS_PER_PAGE: usize = 200;
    /// How many bytes of a query's text are read; the rest is ignored.
    pub const QUERY_BYTES: usize = 4 * 1024;
    /// How many different words of a query are looked for; the rest is ignored.
    pub const QUERY_WORDS: usize = 32;
    /// Most courses of a question's [`Readable`](crate::Readable).
    pub const READABLE_COURSES: usize = 100_000;
    /// Most sources of one page of [`sources`](crate::Index::sources).
    pub const SOURCES_PER_PAGE: usize = 1_000;
}

/// The language of a text, as far as the analysis knows languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Language {
    /// French: elision, French stems and stop words.
    #[serde(rename = "fr")]
    French,
    /// Arabic. Words in Arabic script are analysed as Arabic in any text.
    #[serde(rename = "ar")]
    Arabic,
    /// English: English stems and stop words.
    #[serde(rename = "en")]
    English,
    /// Anything else: words are folded but not stemmed, except those in Arabic script.
    #[default]
    #[serde(rename = "")]
    Other,
}

impl Language {
    /// The two-letter code (ISO 639-1); empty for [`Language::Other`].
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::French => "fr",
            Self::Arabic => "ar",
            Self::English => "en",
            Self::Other => "",
        }
    }

    /// The language of a code; whatever is unknown is [`Language::Other`].
    #[must_use]
    pub fn from_code(code: &str) -> Self {
        match code {
            "fr" => Self::French,
            "ar" => Self::Arabic,
            "en" => Self::English,
            _ => Self::Other,
        }
    }
}

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A piece of a file's text.
    Passage,
    /// A course: title and description.
    Course,
}

/// What a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A file; its documents are passages.
    File,
    /// A course; its document is one of kind course.
    Course,
}

impl SourceKind {
    /// The kind of the documents of such a source.
    #[must_use]
    pub fn documents(self) -> Kind {
        match self {
            Self::File => Kind::Passage,
            Self::Course => Kind::Course,
        }
    }
}

/// A thing of another service whose text is indexed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// What it is.
    pub kind: SourceKind,
    /// Its id at its owner.
    pub id: Uuid,
}

impl Source {
    /// A file.
    #[must_use]
    pub fn file(id: Uuid) -> Self {
        Self {
            kind: SourceKind::File,
            id,
        }
    }

    /// A course.
    #[must_use]
    pub fn course(id: Uuid) -> Self {
        Self {
            kind: SourceKind::Course,
            id,
        }
    }
}

/// One searchable text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Unique over the whole index; the caller makes it.
    pub id: Uuid,
    /// What it is.
    pub kind: Kind,
    /// The course that decides who may read it.
    pub course_id: Uuid,
    /// The file it is a piece of; absent for a course.
    pub file_id: Option<Uuid>,
    /// The version of the file's bytes that the text was taken from; 0 for a course. For
    /// citations only: the order of writes is [`Change::version`].
    pub file_version: u64,
    /// The title of the file or of the course.
    pub title: String,
    /// The page, from 1; 0 where there are no pages.
    pub page: u32,
    /// The nearest heading above the text; may be empty.
    pub heading: String,
    /// The text itself, as it is shown.
    pub text: String,
    /// The language that the text is analysed in.
    pub language: Language,
}

/// What a source becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Exactly these documents, instead of all that were there.
    Documents(Vec<Document>),
    /// Nothing; a tombstone keeps the version, so that a late older write stays refused.
    Deleted,
}

/// One source in one version. Applied as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What changes.
    pub source: Source,
    /// The owner's version. A change is refused where the index has a newer one, or a tombstone
    /// of the same one. The same version again replaces the documents.
    pub version: u64,
    /// What the source becomes.
    pub content: Content,
    /// What the writer wants to remember with this version, given back by
    /// [`SourceState::note`]; durable together with the documents, means nothing to the index.
    pub note: String,
}

impl Change {
    /// Checks the rules of the port.
    ///
    /// # Errors
    /// [`IndexError::InvalidInput`] naming the field.
    pub fn check(&self) -> Result<(), IndexError> {
        if self.note.len() > limits::NOTE_BYTES {
            return Err(IndexError::invalid(
                "note",
                format!("at most {} bytes", limits::NOTE_BYTES),
            ));
        }
        let Content::Documents(documents) = &self.content else {
            return Ok(());
        };
        if documents.len() > limits::DOCUMENTS_PER_SOURCE {
            return Err(IndexError::invalid(
                "documents",
                format!("at most {}", limits::DOCUMENTS_PER_SOURCE),
            ));
        }
        let mut ids = HashSet::with_capacity(documents.len());
        for document in documents {
            self.check_document(document)?;
            if !ids.insert(document.id) {
                return Err(IndexError::invalid("id", "the same id twice in one source"));
            }
        }
        Ok(())
    }

    fn check_document(&self, document: &Document) -> Result<(), IndexError> {
        if document.kind != self.source.kind.documents() {
            return Err(IndexError::invalid("kind", "does not fit the source"));
        }
        let names_its_source = match self.source.kind {
            SourceKind::File => document.file_id == Some(self.source.id),
            SourceKind::Course => {
                document.file_id.is_none() && document.course_id == self.source.id
            }
        };
        if !names_its_source {
            return Err(IndexError::invalid("file_id", "names another source"));
        }
        if document.text.len() > limits::TEXT_BYTES {
            return Err(IndexError::invalid(
                "text",
                format!("at most {} bytes", limits::TEXT_BYTES),
            ));
        }
        if document.title.len() > limits::TITLE_BYTES {
            return Err(IndexError::invalid(
                "title",
                format!("at most {} bytes", limits::TITLE_BYTES),
            ));
        }
        if document.heading.len() > limits::TITLE_BYTES {
            return Err(IndexError::invalid(
                "heading",
                format!("at most {} bytes", limits::TITLE_BYTES),
            ));
        }
        Ok(())
    }
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the index, durably.
    Applied,
    /// The index has a newer version, or this version deleted; nothing was changed.
    Refused {
        /// The version in the index.
        current: u64,
    },
}

/// What the index knows of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceState {
    /// The source.
    pub source: Source,
    /// The newest version that was applied.
    pub version: u64,
    /// Whether that version was a deletion.
    pub deleted: bool,
    /// The note that came with it.
    pub note: String,
}

/// What the reader may read: part of every question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readable {
    /// Every course (a person with the right to read any).
    All,
    /// These courses and no other; an empty set finds nothing.
    Courses(Arc<HashSet<Uuid>>),
}

impl Readable {
    /// These courses and no other.
    pub fn courses(ids: impl IntoIterator<Item = Uuid>) -> Self {
        Self::Courses(Arc::new(ids.into_iter().collect()))
    }

    /// Whether documents of this course may be found.
    #[must_use]
    pub fn allows(&self, course: Uuid) -> bool {
        match self {
            Self::All => true,
            Self::Courses(ids) => ids.contains(&course),
        }
    }
}

/// A place in the order of hits: by falling score, then by id.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    /// The score of the last hit that was given.
    pub score: f32,
    /// Its id.
    pub id: Uuid,
}

impl Position {
    /// Whether a hit with this score and id comes after this place.
    #[must_use]
    pub fn precedes(&self, score: f32, id: Uuid) -> bool {
        match score.total_cmp(&self.score) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Equal => id > self.id,
            std::cmp::Ordering::Greater => false,
        }
    }
}

/// A question.
#[derive(Debug, Clone)]
pub struct Query {
    /// What a person typed. There is no query language: operators, quotes and wildcards are
    /// separators. See [`limits::QUERY_BYTES`] and [`limits::QUERY_WORDS`].
    pub text: String,
    /// What the reader may read.
    pub readable: Readable,
    /// Only this course.
    pub course_id: Option<Uuid>,
    /// Only this kind.
    pub kind: Option<Kind>,
    /// Most hits to give, 1 to [`limits::HITS_PER_PAGE`].
    pub limit: usize,
    /// Only what comes after this place: the [`Hits::next`] of the page before.
    pub after: Option<Position>,
}

impl Query {
    /// The first page of ten hits.
    pub fn new(text: impl Into<String>, readable: Readable) -> Self {
        Self {
            text: text.into(),
            readable,
            course_id: None,
            kind: None,
            limit: 10,
            after: None,
        }
    }

    /// Checks the rules of the port.
    ///
    /// # Errors
    /// [`IndexError::InvalidInput`] naming the field.
    pub fn check(&self) -> Result<(), IndexError> {
        if self.limit == 0 || self.limit > limits::HITS_PER_PAGE {
            return Err(IndexError::invalid(
                "limit",
                format!("1 to {}", limits::HITS_PER_PAGE),
            ));
        }
        if let Readable::Courses(ids) = &self.readable
            && ids.len() > limits::READABLE_COURSES
        {
            return Err(IndexError::invalid(
                "readable",
                format!("at most {} courses", limits::READABLE_COURSES),
            ));
        }
        if self.after.is_some_and(|after| !after.score.is_finite()) {
            return Err(IndexError::invalid(
                "after",
                "not a place in a list of hits",
            ));
        }
        Ok(())
    }
}

/// A document that answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The document as it was written.
    pub document: Document,
    /// How well it answers; comparable within one answer only.
    pub score: f32,
    /// The share of the query's content words (stop words left out) that stand in the text or
    /// its heading, 0 to 1.
    pub coverage: f32,
    /// Where words of the query stand in [`Document::text`]: character (not byte) ranges, in
    /// order, not overlapping.
    pub highlights: Vec<Range<usize>>,
}

/// One page of hits.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hits {
    /// Best first; equal scores by id.
    pub hits: Vec<Hit>,
    /// Where the next page starts; none when there is no more.
    pub next: Option<Position>,
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Stats {
    /// Passages that can be found.
    pub passages: u64,
    /// Courses that can be found.
    pub courses: u64,
    /// Sources with a version, tombstones left out.
    pub sources: u64,
    /// Tombstones.
    pub tombstones: u64,
}
