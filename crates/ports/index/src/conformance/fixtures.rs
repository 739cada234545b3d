//! Short ways to write and to ask.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::{
    Change, Content, Document, Hits, Index, Kind, Language, Outcome, Query, Readable, Source,
};

/// An id that tests can tell apart.
pub(super) fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + number)
}

/// The id of a passage: file and place.
pub(super) fn passage_id(file: u128, place: u128) -> Uuid {
    id(file * 100_000 + place)
}

/// A passage of `file` in `course`.
pub(super) fn passage(course: u128, file: u128, place: u32, text: &str) -> Document {
    Document {
        id: passage_id(file, u128::from(place)),
        kind: Kind::Passage,
        course_id: id(course),
        file_id: Some(id(file)),
        file_version: 1,
        title: String::new(),
        page: place,
        heading: String::new(),
        text: text.to_owned(),
        language: Language::French,
    }
}

/// A file with one passage a text.
pub(super) fn file(course: u128, file: u128, version: u64, texts: &[&str]) -> Change {
    let documents = (1..)
        .zip(texts)
        .map(|(place, text)| passage(course, file, place, text));
    Change {
        source: Source::file(id(file)),
        version,
        content: Content::Documents(documents.collect()),
        note: String::new(),
    }
}

/// A file in a language with one passage.
pub(super) fn text_in(language: Language, course: u128, number: u128, text: &str) -> Change {
    let mut document = passage(course, number, 1, text);
    document.language = language;
    Change {
        source: Source::file(id(number)),
        version: 1,
        content: Content::Documents(vec![document]),
        note: String::new(),
    }
}

/// A course with title and description.
pub(super) fn course(number: u128, version: u64, title: &str, text: &str) -> Change {
    let document = Document {
        id: id(number),
        kind: Kind::Course,
        course_id: id(number),
        file_id: None,
        file_version: 0,
        title: title.to_owned(),
        page: 0,
        heading: String::new(),
        text: text.to_owned(),
        language: Language::French,
    };
    Change {
        source: Source::course(id(number)),
        version,
        content: Content::Documents(vec![document]),
        note: String::new(),
    }
}

/// The deletion of a file.
pub(super) fn deleted(file: u128, version: u64) -> Change {
    Change {
        source: Source::file(id(file)),
        version,
        content: Content::Deleted,
        note: String::new(),
    }
}

/// Writes; the outcomes.
pub(super) async fn write(index: &dyn Index, changes: Vec<Change>) -> Vec<Outcome> {
    index.write(changes).await.expect("writes")
}

/// Asks; the whole answer.
pub(super) async fn ask(index: &dyn Index, query: &Query) -> Hits {
    index.search(query).await.expect("searches")
}

/// The ids that one who may read everything finds.
pub(super) async fn found(index: &dyn Index, text: &str) -> BTreeSet<Uuid> {
    found_by(index, text, Readable::All).await
}

/// The ids that this reader finds.
pub(super) async fn found_by(index: &dyn Index, text: &str, readable: Readable) -> BTreeSet<Uuid> {
    let query = Query {
        limit: 200,
        ..Query::new(text, readable)
    };
    ask(index, &query)
        .await
        .hits
        .into_iter()
        .map(|hit| hit.document.id)
        .collect()
}

/// These passages, as (file, place).
pub(super) fn passages(all: &[(u128, u128)]) -> BTreeSet<Uuid> {
    all.iter()
        .map(|(file, place)| passage_id(*file, *place))
        .collect()
}
