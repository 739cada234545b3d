//! State documents: what is known of a source.

use std::collections::BTreeMap;

use riwaq_index::{Source, SourceKind, SourceState, Stats};
use tantivy::query::{Query as _, TermQuery};
use tantivy::schema::{IndexRecordOption, Value};
use tantivy::{DocId, DocSet, Searcher, SegmentReader, TERMINATED, TantivyDocument, Term};
use uuid::Uuid;

use crate::schema::{Fields, key_of_kind, kinds, names, source_key};

/// Blocks of the document store kept for one look.
const STORE_BLOCKS: usize = 1;

/// The state of a source.
pub(crate) fn find(
    searcher: &Searcher,
    fields: &Fields,
    source: Source,
) -> tantivy::Result<Option<SourceState>> {
    let term = Term::from_field_bytes(fields.state, &source_key(source));
    for segment in searcher.segment_readers() {
        let inverted = segment.inverted_index(fields.state)?;
        let Some(info) = inverted.get_term_info(&term)? else {
            continue;
        };
        let postings = inverted.read_postings_from_terminfo(&info, IndexRecordOption::Basic)?;
        if let Some(doc) = first_alive(segment, postings) {
            return read(segment, fields, doc, source).map(Some);
        }
    }
    Ok(None)
}

/// States of a kind after an id, by id.
pub(crate) fn list(
    searcher: &Searcher,
    fields: &Fields,
    kind: SourceKind,
    after: Option<Uuid>,
    limit: usize,
) -> tantivy::Result<Vec<SourceState>> {
    let prefix = key_of_kind(kind);
    let mut found = BTreeMap::new();
    for segment in searcher.segment_readers() {
        let inverted = segment.inverted_index(fields.state)?;
        let range = inverted.terms().range().lt([prefix + 1]);
        let range = match after {
            Some(id) => range.gt(source_key(Source { kind, id })),
            None => range.ge([prefix]),
        };
        let mut stream = range.into_stream()?;
        let mut taken = 0;
        while taken < limit && stream.advance() {
            let Some(id) = stream
                .key()
                .get(1..)
                .and_then(|id| Uuid::from_slice(id).ok())
            else {
                continue;
            };
            let postings =
                inverted.read_postings_from_terminfo(stream.value(), IndexRecordOption::Basic)?;
            let Some(doc) = first_alive(segment, postings) else {
                continue;
            };
            found.insert(id, read(segment, fields, doc, Source { kind, id })?);
            taken += 1;
        }
    }
    Ok(found.into_values().take(limit).collect())
}

/// How many documents of each kind there are.
pub(crate) fn count(searcher: &Searcher, fields: &Fields) -> tantivy::Result<Stats> {
    let of_kind = |kind| {
        let term = Term::from_field_u64(fields.kind, kind);
        let count = TermQuery::new(term, IndexRecordOption::Basic).count(searcher)?;
        tantivy::Result::Ok(u64::try_from(count).unwrap_or(u64::MAX))
    };
    Ok(Stats {
        passages: of_kind(kinds::PASSAGE)?,
        courses: of_kind(kinds::COURSE)?,
        sources: of_kind(kinds::SOURCE)?,
        tombstones: of_kind(kinds::TOMBSTONE)?,
    })
}

fn first_alive(segment: &SegmentReader, mut postings: impl DocSet) -> Option<DocId> {
    let mut doc = postings.doc();
    while doc != TERMINATED {
        if !segment.is_deleted(doc) {
            return Some(doc);
        }
        doc = postings.advance();
    }
    None
}

fn read(
    segment: &SegmentReader,
    fields: &Fields,
    doc: DocId,
    source: Source,
) -> tantivy::Result<SourceState> {
    let fast = segment.fast_fields();
    let version = fast.u64(names::VERSION)?.first(doc).unwrap_or(0);
    let deleted = fast.u64(names::KIND)?.first(doc) == Some(kinds::TOMBSTONE);
    let stored: TantivyDocument = segment.get_store_reader(STORE_BLOCKS)?.get(doc)?;
    let note = stored
        .get_first(fields.stored)
        .and_then(|value| value.as_bytes().map(<[u8]>::to_vec));
    let note = note
        .and_then(|note| String::from_utf8(note).ok())
        .unwrap_or_default();
    Ok(SourceState {
        source,
        version,
        deleted,
        note,
    })
}
