//! What lies in the folder: documents that are found, and one state document a source.

use riwaq_index::analysis::{Token, for_each_token};
use riwaq_index::{Document, Kind, Source, SourceKind, SourceState};
use tantivy::TantivyDocument;
use tantivy::schema::{
    BytesOptions, FAST, Field, INDEXED, IndexRecordOption, STORED, Schema, TextFieldIndexing,
    TextOptions,
};
use tantivy::tokenizer::{PreTokenizedString, Token as TantivyToken};

/// Part of the folder's name; count up when anything here changes.
pub(crate) const VERSION: u32 = 1;

/// Values of the field `kind`.
pub(crate) mod kinds {
    /// A passage.
    pub(crate) const PASSAGE: u64 = 0;
    /// A course.
    pub(crate) const COURSE: u64 = 1;
    /// The state of a source that is there.
    pub(crate) const SOURCE: u64 = 2;
    /// The state of a source that was deleted.
    pub(crate) const TOMBSTONE: u64 = 3;
}

/// The fields of the schema.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    /// One of [`kinds`].
    pub(crate) kind: Field,
    /// Of documents: the key of their source; they are replaced by it.
    pub(crate) source: Field,
    /// Of state documents: the key of the source. Sorted, so sources can be listed by page.
    pub(crate) state: Field,
    /// Of state documents: the version.
    pub(crate) version: Field,
    /// Of documents: the course, for the filter.
    pub(crate) course: Field,
    /// The upper half of the document's id, for the order of equal scores.
    pub(crate) id_high: Field,
    /// The lower half.
    pub(crate) id_low: Field,
    /// The document as JSON; of state documents, the note.
    pub(crate) stored: Field,
    /// Words and stems of the text.
    pub(crate) text: Words,
    /// Words and stems of title and heading.
    pub(crate) head: Words,
}

/// Where the words of a text go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words {
    /// Normalised words.
    pub(crate) exact: Field,
    /// Their stems.
    pub(crate) stem: Field,
}

/// Names of the fields that are read by name.
pub(crate) mod names {
    pub(crate) const KIND: &str = "kind";
    pub(crate) const VERSION: &str = "version";
    pub(crate) const COURSE: &str = "course";
    pub(crate) const ID_HIGH: &str = "id_high";
    pub(crate) const ID_LOW: &str = "id_low";
}

/// The schema.
pub(crate) fn build() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let key = BytesOptions::default().set_indexed();
    // Words come analysed; positions are not asked for, so they are not kept.
    let indexing = TextFieldIndexing::default()
        .set_tokenizer("raw")
        .set_index_option(IndexRecordOption::WithFreqs);
    let words = TextOptions::default().set_indexing_options(indexing);
    let fields = Fields {
        kind: schema.add_u64_field(names::KIND, INDEXED | FAST),
        source: schema.add_bytes_field("source", key.clone()),
        state: schema.add_bytes_field("state", key),
        version: schema.add_u64_field(names::VERSION, FAST),
        course: schema.add_bytes_field(names::COURSE, FAST),
        id_high: schema.add_u64_field(names::ID_HIGH, FAST),
        id_low: schema.add_u64_field(names::ID_LOW, FAST),
        stored: schema.add_bytes_field("stored", STORED),
        text: Words {
            exact: schema.add_text_field("text_exact", words.clone()),
            stem: schema.add_text_field("text_stem", words.clone()),
        },
        head: Words {
            exact: schema.add_text_field("head_exact", words.clone()),
            stem: schema.add_text_field("head_stem", words),
        },
    };
    (schema.build(), fields)
}

/// The key of a source: its kind, then its id, so that keys of a kind are in the order of ids.
pub(crate) fn source_key(source: Source) -> [u8; 17] {
    let mut key = [0; 17];
    key[0] = key_of_kind(source.kind);
    key[1..].copy_from_slice(source.id.as_bytes());
    key
}

/// The first byte of the keys of a kind.
pub(crate) fn key_of_kind(kind: SourceKind) -> u8 {
    match kind {
        SourceKind::File => b'f',
        SourceKind::Course => b'k',
    }
}

/// The document of tantivy for a document of the port.
pub(crate) fn document(
    fields: &Fields,
    source: Source,
    document: &Document,
) -> serde_json::Result<TantivyDocument> {
    let (id_high, id_low) = document.id.as_u64_pair();
    let mut made = TantivyDocument::default();
    made.add_u64(
        fields.kind,
        match document.kind {
            Kind::Passage => kinds::PASSAGE,
            Kind::Course => kinds::COURSE,
        },
    );
    made.add_bytes(fields.source, &source_key(source));
    made.add_bytes(fields.course, document.course_id.as_bytes());
    made.add_u64(fields.id_high, id_high);
    made.add_u64(fields.id_low, id_low);
    made.add_bytes(fields.stored, &serde_json::to_vec(document)?);
    let Document {
        text,
        title,
        heading,
        language,
        ..
    } = document;
    for (words, parts) in [
        (fields.text, &[text][..]),
        (fields.head, &[title, heading][..]),
    ] {
        let (mut exact, mut stems) = (Vec::new(), Vec::new());
        for part in parts {
            for_each_token(
                part,
                *language,
                |Token {
                     exact: word, stem, ..
                 }| {
                    exact.push(word);
                    stems.extend(stem);
                },
            );
        }
        made.add_pre_tokenized_text(words.exact, pre_tokenized(exact));
        made.add_pre_tokenized_text(words.stem, pre_tokenized(stems));
    }
    Ok(made)
}

fn pre_tokenized(words: Vec<String>) -> PreTokenizedString {
    let tokens = words
        .into_iter()
        .enumerate()
        .map(|(position, text)| TantivyToken {
            text,
            position,
            ..TantivyToken::default()
        })
        .collect();
    PreTokenizedString {
        text: String::new(),
        tokens,
    }
}

/// The state document of a source.
pub(crate) fn state(fields: &Fields, state: &SourceState) -> TantivyDocument {
    let mut made = TantivyDocument::default();
    made.add_u64(
        fields.kind,
        if state.deleted {
            kinds::TOMBSTONE
        } else {
            kinds::SOURCE
        },
    );
    made.add_bytes(fields.state, &source_key(state.source));
    made.add_u64(fields.version, state.version);
    made.add_bytes(fields.stored, state.note.as_bytes());
    made
}
