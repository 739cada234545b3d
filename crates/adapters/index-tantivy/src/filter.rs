//! Who may read a document, decided while it is searched.
//!
//! Courses of a segment are numbered by the dictionary of its fast field. A question turns its set
//! of readable courses into one table of booleans a segment, so that a document costs two lookups
//! in arrays; the set may hold thousands of courses.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use riwaq_index::{Kind, Query};
use tantivy::columnar::Column;
use tantivy::index::SegmentId;
use tantivy::{DocId, Searcher, SegmentReader};
use uuid::Uuid;

use crate::schema::{kinds, names};

/// The courses of each live segment, by their number in it.
#[derive(Debug, Default)]
pub(crate) struct CourseTables {
    known: Mutex<HashMap<SegmentId, Arc<[Uuid]>>>,
}

impl CourseTables {
    fn of(&self, searcher: &Searcher, segment: &SegmentReader) -> tantivy::Result<Arc<[Uuid]>> {
        let id = segment.segment_id();
        let known = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .cloned();
        if let Some(table) = known {
            return Ok(table);
        }
        let table: Arc<[Uuid]> = read_courses(segment)?.into();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Segments that were merged away will not be asked for again.
        known.retain(|id, _| searcher.generation().segments().contains_key(id));
        known.insert(id, Arc::clone(&table));
        Ok(table)
    }
}

fn read_courses(segment: &SegmentReader) -> tantivy::Result<Vec<Uuid>> {
    let mut courses = Vec::new();
    if let Some(column) = segment.fast_fields().bytes(names::COURSE)? {
        let mut stream = column.dictionary().stream()?;
        while stream.advance() {
            // A value that is no id (there is none) would be a course that nobody reads.
            courses.push(Uuid::from_slice(stream.key()).unwrap_or(Uuid::nil()));
        }
    }
    Ok(courses)
}

/// What one question may find in one segment.
pub(crate) struct SegmentFilter {
    allowed: Vec<bool>,
    course: Option<Column<u64>>,
    kind: Option<(Column<u64>, u64)>,
}

impl SegmentFilter {
    /// None when nothing of this segment may be found.
    pub(crate) fn new(
        query: &Query,
        tables: &CourseTables,
        searcher: &Searcher,
        segment: &SegmentReader,
    ) -> tantivy::Result<Option<Self>> {
        let courses = tables.of(searcher, segment)?;
        let wanted = |course: &Uuid| {
            query.course_id.is_none_or(|only| only == *course) && query.readable.allows(*course)
        };
        let allowed: Vec<bool> = courses.iter().map(wanted).collect();
        if !allowed.contains(&true) {
            return Ok(None);
        }
        let fast = segment.fast_fields();
        let course = fast
            .bytes(names::COURSE)?
            .map(|column| column.ords().clone());
        let kind = match query.kind {
            None => None,
            Some(Kind::Passage) => Some((fast.u64(names::KIND)?, kinds::PASSAGE)),
            Some(Kind::Course) => Some((fast.u64(names::KIND)?, kinds::COURSE)),
        };
        Ok(Some(Self {
            allowed,
            course,
            kind,
        }))
    }

    /// Whether this document may be found. What has no course may not.
    pub(crate) fn allows(&self, doc: DocId) -> bool {
        let ordinal = self.course.as_ref().and_then(|course| course.first(doc));
        let readable = ordinal
            .and_then(|ordinal| usize::try_from(ordinal).ok())
            .is_some_and(|ordinal| self.allowed.get(ordinal).copied().unwrap_or(false));
        readable
            && self
                .kind
                .as_ref()
                .is_none_or(|(kinds, kind)| kinds.first(doc) == Some(*kind))
    }
}
