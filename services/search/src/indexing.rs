//! Brings the index to the present state of one file or one course.

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use riwaq_api::courses::v1::{Course, GetCoursesRequest};
use riwaq_api::files::v1::{File, GetFilesRequest, ReadContentRequest, ReportExtractionRequest};
use riwaq_api::{Channel, clients};
use riwaq_extraction::{ExtractError, Extractor, Format, Passage, Splitter, language_of};
use riwaq_index::{
    Change, Content, Document, Index, IndexError, Kind, Language, Outcome, Source, limits,
};
use tonic::Status;
use uuid::Uuid;

use crate::Deps;
use crate::domain::note::{Ending, Note, made_from, passage_id};

/// What was reported of a file that holds no text.
const NOTHING_TO_READ: &str = "none";

/// What may go better another time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexingError {
    /// The owner of the thing does not answer, or answers nonsense.
    #[error("{what}: {reason}")]
    Owner {
        /// What was asked.
        what: &'static str,
        /// What came back.
        reason: String,
    },
    /// The index does not take it.
    #[error("index: {0}")]
    Index(#[from] IndexError),
    /// The document could not be read for reasons that are not its own.
    #[error("extraction: {0}")]
    Extraction(#[from] ExtractError),
}

impl IndexingError {
    fn status(what: &'static str) -> impl FnOnce(Status) -> Self {
        move |status| Self::Owner {
            what,
            reason: format!("{:?}: {}", status.code(), status.message()),
        }
    }

    fn nonsense(what: &'static str, reason: impl ToString) -> Self {
        Self::Owner {
            what,
            reason: reason.to_string(),
        }
    }
}

/// Fetches, reads, writes and reports.
#[derive(Debug)]
pub(crate) struct Indexer {
    index: Arc<dyn Index>,
    files: Channel,
    courses: Channel,
    extractor: Arc<Extractor>,
}

impl Indexer {
    pub(crate) fn new(deps: &Deps, extractor: Extractor) -> Self {
        Self {
            index: Arc::clone(&deps.index),
            files: deps.files.clone(),
            courses: deps.courses.clone(),
            extractor: Arc::new(extractor),
        }
    }

    /// The same onto another index.
    pub(crate) fn onto(&self, index: Arc<dyn Index>) -> Self {
        Self {
            index,
            files: self.files.clone(),
            courses: self.courses.clone(),
            extractor: Arc::clone(&self.extractor),
        }
    }

    /// Brings a file's passages to its present state; its course. `told` is the version that an
    /// event told of: a file that its owner does not know any more is deleted as of that.
    pub(crate) async fn file(
        &self,
        id: Uuid,
        told: Option<u64>,
    ) -> Result<Option<Uuid>, IndexingError> {
        let source = Source::file(id);
        let request = GetFilesRequest {
            ids: vec![id.to_string()],
        };
        let answer = clients::files(&self.files).get_files(request).await;
        let files = answer
            .map_err(IndexingError::status("GetFiles"))?
            .into_inner()
            .files;
        let Some(file) = files.into_iter().find(|file| file.id == id.to_string()) else {
            self.bury(source, told).await?;
            return Ok(None);
        };
        let version = version("file.version", file.version)?;
        if file.deleted {
            self.bury(source, Some(version)).await?;
            return Ok(None);
        }
        let course: Uuid = file
            .course_id
            .parse()
            .map_err(|error| IndexingError::nonsense("file.course_id", error))?;
        let made_from = made_from(&file);
        let known = self
            .index
            .source(source)
            .await?
            .filter(|state| !state.deleted);
        let known = known.and_then(|state| Note::read(&state.note));
        if let Some(note) = known.filter(|note| note.made_from == made_from) {
            // Once more: whoever handled this before may have stopped just before reporting.
            self.report(&file, note.ending).await?;
            return Ok(Some(course));
        }
        let (passages, ending) = self.read(&file).await?;
        let documents = passages.into_iter().enumerate();
        let documents =
            documents.map(|(place, passage)| document(id, course, &file, place, passage));
        let change = Change {
            source,
            version,
            content: Content::Documents(documents.take(limits::DOCUMENTS_PER_SOURCE).collect()),
            note: Note {
                made_from,
                ending: ending.clone(),
            }
            .write(),
        };
        // Where it is refused, a newer version was written meanwhile, and is reported by whoever did.
        if self.write(change).await? == Outcome::Applied {
            self.report(&file, ending).await?;
        }
        Ok(Some(course))
    }

    /// Brings a course to its present state.
    pub(crate) async fn course(&self, id: Uuid, told: Option<u64>) -> Result<(), IndexingError> {
        let source = Source::course(id);
        let request = GetCoursesRequest {
            ids: vec![id.to_string()],
        };
        let answer = clients::courses(&self.courses).get_courses(request).await;
        let courses = answer
            .map_err(IndexingError::status("GetCourses"))?
            .into_inner()
            .courses;
        let Some(course) = courses
            .into_iter()
            .find(|course| course.id == id.to_string())
        else {
            return self.bury(source, told).await;
        };
        let version = version("course.version", course.version)?;
        if course.deleted {
            return self.bury(source, Some(version)).await;
        }
        let content = Content::Documents(vec![course_document(id, &course)]);
        self.write(Change {
            source,
            version,
            content,
            note: String::new(),
        })
        .await
        .map(drop)
    }

    /// Deletes; without a version nobody can tell what it would overrule, so nothing is done.
    async fn bury(&self, source: Source, version: Option<u64>) -> Result<(), IndexingError> {
        let Some(version) = version else {
            return Ok(());
        };
        let change = Change {
            source,
            version,
            content: Content::Deleted,
            note: String::new(),
        };
        self.write(change).await.map(drop)
    }

    async fn write(&self, change: Change) -> Result<Outcome, IndexingError> {
        let outcomes = self.index.write(vec![change]).await?;
        outcomes.into_iter().next().ok_or_else(|| {
            IndexError::Unavailable("the index said nothing of a change".to_owned()).into()
        })
    }

    /// The passages of a file, and how reading it ended.
    async fn read(&self, file: &File) -> Result<(Vec<Passage>, Ending), IndexingError> {
        let format = match file.status.as_str() {
            "available" => Format::of(&file.media_type, &file.name),
            _ => None,
        };
        let Some(format) = format else {
            let ending = Ending {
                state: NOTHING_TO_READ.to_owned(),
                reason: String::new(),
                pages: 0,
            };
            return Ok((Vec::new(), ending));
        };
        let request = ReadContentRequest {
            id: file.id.clone(),
            content_version: file.content_version,
        };
        let content = clients::files(&self.files).read_content(request).await;
        let content = content
            .map_err(IndexingError::status("ReadContent"))?
            .into_inner();
        let chunks = content.map(|chunk| chunk.map(|chunk| chunk.data.into()));
        let mut splitter = Splitter::new();
        let summary = self
            .extractor
            .extract(format, chunks, |page| splitter.push(&page))
            .await?;
        let reason = summary.failure.map(|failure| {
            tracing::info!(file.id, reason = %failure.reason, detail = failure.detail, "a document was not read");
            failure.reason
        });
        metrics::counter!(
            "riwaq_search_extractions_total",
            "outcome" => reason.map_or("done", riwaq_extraction::Reason::as_str)
        )
        .increment(1);
        let ending = Ending {
            state: if reason.is_some() { "failed" } else { "done" }.to_owned(),
            reason: reason.map(|reason| reason.to_string()).unwrap_or_default(),
            pages: summary.pages,
        };
        Ok((splitter.finish(), ending))
    }

    async fn report(&self, file: &File, ending: Ending) -> Result<(), IndexingError> {
        let Ending {
            state,
            reason,
            pages,
        } = ending;
        let request = ReportExtractionRequest {
            id: file.id.clone(),
            content_version: file.content_version,
            state,
            reason,
            pages,
        };
        let answer = clients::files(&self.files).report_extraction(request).await;
        answer
            .map(drop)
            .map_err(IndexingError::status("ReportExtraction"))
    }

    /// Runs `each` over many ids, `workers` at a time; how many failed, each told in the log.
    pub(crate) async fn many<T, F>(
        ids: Vec<Uuid>,
        workers: usize,
        each: impl Fn(Uuid) -> F,
    ) -> (Vec<T>, u64)
    where
        F: Future<Output = Result<T, IndexingError>>,
    {
        let work = ids.into_iter().map(|id| {
            let work = each(id);
            async move { (id, work.await) }
        });
        let mut done = Vec::new();
        let mut failed = 0;
        let mut results = stream::iter(work).buffer_unordered(workers.max(1));
        while let Some((id, result)) = results.next().await {
            match result {
                Ok(value) => done.push(value),
                Err(error) => {
                    tracing::warn!(%id, %error, "not indexed");
                    failed += 1;
                }
            }
        }
        (done, failed)
    }
}

fn version(field: &'static str, version: i64) -> Result<u64, IndexingError> {
    u64::try_from(version).map_err(|error| IndexingError::nonsense(field, error))
}

fn document(id: Uuid, course_id: Uuid, file: &File, place: usize, passage: Passage) -> Document {
    let title = if file.title.is_empty() {
        &file.name
    } else {
        &file.title
    };
    Document {
        id: passage_id(id, file.content_version, place),
        kind: Kind::Passage,
        course_id,
        file_id: Some(id),
        file_version: u64::try_from(file.content_version).unwrap_or(0),
        title: cut(title, limits::TITLE_BYTES),
        page: passage.page,
        heading: cut(&passage.heading, limits::TITLE_BYTES),
        text: cut(&passage.text, limits::TEXT_BYTES),
        language: Language::from_code(passage.language),
    }
}

fn course_document(id: Uuid, course: &Course) -> Document {
    let mut text = course.description.clone();
    for section in &course.sections {
        for part in [&section.title, &section.body] {
            if !part.is_empty() {
                text.push('\n');
                text.push_str(part);
            }
        }
    }
    let text = cut(text.trim(), limits::TEXT_BYTES);
    let language = match course.language.as_str() {
        "" => language_of(&format!("{} {text}", course.title)).unwrap_or_default(),
        code => code,
    };
    Document {
        id,
        kind: Kind::Course,
        course_id: id,
        file_id: None,
        file_version: 0,
        title: cut(&course.title, limits::TITLE_BYTES),
        page: 0,
        heading: String::new(),
        language: Language::from_code(language),
        text,
    }
}

/// The first bytes of a text, no character cut in two.
fn cut(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}
