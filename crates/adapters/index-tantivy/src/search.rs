//! One question: the best documents among those that the reader may read.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use riwaq_index::analysis::{QueryTerms, Word};
use riwaq_index::{Document, Hit, Hits, Position, Query};
use tantivy::columnar::Column;
use tantivy::query::{BooleanQuery, BoostQuery, EnableScoring, Occur, Query as _, TermQuery};
use tantivy::schema::{Field, IndexRecordOption, Value};
use tantivy::{
    DocAddress, DocId, Searcher, SegmentOrdinal, SegmentReader, TantivyDocument, TantivyError, Term,
};
use uuid::Uuid;

use crate::filter::{CourseTables, SegmentFilter};
use crate::schema::{Fields, names};

/// How much a word counts as it was typed, beside its stem.
const EXACT_BOOST: f32 = 2.0;
/// How much a word counts in a title or heading, beside the text.
const HEAD_BOOST: f32 = 0.8;

/// Answers a question.
pub(crate) fn run(
    searcher: &Searcher,
    fields: &Fields,
    tables: &CourseTables,
    query: &Query,
) -> tantivy::Result<Hits> {
    let terms = QueryTerms::parse(&query.text);
    if terms.is_empty() {
        return Ok(Hits::default());
    }
    let weight =
        words_query(fields, &terms).weight(EnableScoring::enabled_from_searcher(searcher))?;
    let mut best = Best::new(query);
    for (ordinal, segment) in (0..).zip(searcher.segment_readers()) {
        let Some(filter) = SegmentFilter::new(query, tables, searcher, segment)? else {
            continue;
        };
        let ids = Ids::of(segment)?;
        let alive = segment.alive_bitset();
        weight.for_each(segment, &mut |doc, score| {
            if best.may_take(score)
                && alive.is_none_or(|alive| alive.is_alive(doc))
                && filter.allows(doc)
            {
                best.take(
                    score,
                    ids.of_doc(doc),
                    DocAddress::new(ordinal as SegmentOrdinal, doc),
                );
            }
        })?;
    }
    let (found, next) = best.into_page();
    let hits = found
        .iter()
        .map(|candidate| hit(searcher, fields, &terms, candidate));
    Ok(Hits {
        hits: hits.collect::<tantivy::Result<_>>()?,
        next,
    })
}

/// Any of the words in any of the fields.
fn words_query(fields: &Fields, terms: &QueryTerms) -> BooleanQuery {
    let mut clauses: Vec<(Occur, Box<dyn tantivy::query::Query>)> = Vec::new();
    let mut add = |field: Field, word: &str, boost: f32| {
        let term = Term::from_field_text(field, word);
        let query = Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs));
        clauses.push((Occur::Should, Box::new(BoostQuery::new(query, boost))));
    };
    for Word { exact, stems, .. } in terms.words() {
        for (words, boost) in [(fields.text, 1.0), (fields.head, HEAD_BOOST)] {
            add(words.exact, exact, boost * EXACT_BOOST);
            for stem in stems {
                add(words.stem, stem, boost);
            }
        }
    }
    BooleanQuery::new(clauses)
}

/// The ids of a segment's documents.
struct Ids {
    high: Column<u64>,
    low: Column<u64>,
}

impl Ids {
    fn of(segment: &SegmentReader) -> tantivy::Result<Self> {
        let fast = segment.fast_fields();
        Ok(Self {
            high: fast.u64(names::ID_HIGH)?,
            low: fast.u64(names::ID_LOW)?,
        })
    }

    fn of_doc(&self, doc: DocId) -> Uuid {
        let half = |column: &Column<u64>| column.first(doc).unwrap_or(0);
        Uuid::from_u64_pair(half(&self.high), half(&self.low))
    }
}

#[derive(Debug, PartialEq)]
struct Candidate {
    score: f32,
    id: Uuid,
    address: DocAddress,
}

impl Eq for Candidate {}

/// The better one is the smaller, so that a heap keeps the worst on top.
impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .score
            .total_cmp(&self.score)
            .then_with(|| self.id.cmp(&other.id))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The best so far: one more than a page, to know whether there is another.
struct Best {
    page: usize,
    after: Option<Position>,
    kept: BinaryHeap<Candidate>,
    /// What a score must reach to be kept.
    least: f32,
}

impl Best {
    fn new(query: &Query) -> Self {
        let kept = BinaryHeap::with_capacity(query.limit + 2);
        Self {
            page: query.limit,
            after: query.after,
            kept,
            least: f32::NEG_INFINITY,
        }
    }

    /// The cheap check, before the filter is asked.
    fn may_take(&self, score: f32) -> bool {
        score >= self.least && self.after.is_none_or(|after| score <= after.score)
    }

    fn take(&mut self, score: f32, id: Uuid, address: DocAddress) {
        if self.after.is_some_and(|after| !after.precedes(score, id)) {
            return;
        }
        self.kept.push(Candidate { score, id, address });
        if self.kept.len() > self.page + 1 {
            self.kept.pop();
        }
        if self.kept.len() > self.page {
            self.least = self
                .kept
                .peek()
                .map_or(f32::NEG_INFINITY, |worst| worst.score);
        }
    }

    fn into_page(self) -> (Vec<Candidate>, Option<Position>) {
        let more = self.kept.len() > self.page;
        let mut found = self.kept.into_sorted_vec();
        found.truncate(self.page);
        let next = found.last().filter(|_| more).map(|last| Position {
            score: last.score,
            id: last.id,
        });
        (found, next)
    }
}

fn hit(
    searcher: &Searcher,
    fields: &Fields,
    terms: &QueryTerms,
    candidate: &Candidate,
) -> tantivy::Result<Hit> {
    let stored: TantivyDocument = searcher.doc(candidate.address)?;
    let document: Document = stored
        .get_first(fields.stored)
        .and_then(|value| value.as_bytes().map(serde_json::from_slice))
        .and_then(Result::ok)
        .ok_or_else(|| {
            TantivyError::DataCorruption(tantivy::error::DataCorruption::comment_only(
                "a document without its text",
            ))
        })?;
    let mut matches = terms.matches(&document.text, document.language);
    matches.also(&terms.matches(&document.heading, document.language));
    Ok(Hit {
        document,
        score: candidate.score,
        coverage: matches.coverage(),
        highlights: matches.highlights,
    })
}
