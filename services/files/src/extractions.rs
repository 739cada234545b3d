//! How taking the text out of files went, as the search service reports it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use riwaq_aggregates::{Error, new_op_id};
use riwaq_clock::SharedClock;
use riwaq_kit::ApiResult;
use riwaq_records::{Decision, Expect, ReadLevel, Store};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::file::File;
use crate::domain::media::Status;
use crate::records::{ExtractionRow, FileByCourse};

/// How often a report is tried when others come at the same time.
const ATTEMPTS: usize = 8;

/// How far taking the text out has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExtractionState {
    /// Not reported yet.
    Pending,
    /// The text is in the search.
    Done,
    /// It cannot be read; `reason` says why.
    Failed,
    /// Files of this kind hold no text.
    None,
}

impl ExtractionState {
    pub(crate) const ALL: [Self; 4] = [Self::Pending, Self::Done, Self::Failed, Self::None];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::None => "none",
        }
    }

    /// A state that can be reported.
    pub(crate) fn reported(text: &str) -> Option<Self> {
        [Self::Done, Self::Failed, Self::None]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// How taking the text out of the present content went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Extraction {
    /// How far it has come.
    pub(crate) state: ExtractionState,
    /// Why it failed, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// How many pages were read, where there are pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pages: Option<i64>,
}

impl Extraction {
    fn unreported(status: Status) -> Self {
        let state = match status {
            Status::Available => ExtractionState::Pending,
            // Nobody will read it.
            Status::Quarantined => ExtractionState::None,
        };
        Self {
            state,
            reason: None,
            pages: None,
        }
    }

    fn read(row: Option<&ExtractionRow>, content_version: i64, status: Status) -> Self {
        let row =
            row.filter(|row| row.content_version == content_version && status == Status::Available);
        let state = row.and_then(|row| ExtractionState::reported(&row.state));
        match (row, state) {
            (Some(row), Some(state)) => Self {
                state,
                reason: row.reason.clone(),
                pages: row.pages,
            },
            _ => Self::unreported(status),
        }
    }
}

/// A report of the search service.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) content_version: i64,
    pub(crate) state: ExtractionState,
    pub(crate) reason: Option<String>,
    pub(crate) pages: Option<i64>,
}

/// Keeps the reports beside the files: they are no change of a file by a person, and make no version of it.
pub(crate) struct Extractions {
    store: Store,
    clock: SharedClock,
}

impl Extractions {
    pub(crate) fn new(store: Store, clock: SharedClock) -> Self {
        Self { store, clock }
    }

    /// Of one file.
    pub(crate) async fn of(&self, id: Uuid, file: &File) -> ApiResult<Extraction> {
        let Some(content) = file.current() else {
            return Ok(Extraction::unreported(Status::Quarantined));
        };
        let key = (file.course_id, file.created_at, id);
        let row = self.store.get::<ExtractionRow>(key).await?;
        Ok(Extraction::read(
            row.as_ref(),
            content.version,
            content.verdict.status,
        ))
    }

    /// Of a page of a course's files, by one scan.
    pub(crate) async fn of_page(&self, files: &[FileByCourse]) -> ApiResult<Vec<Extraction>> {
        let (Some(first), Some(last)) = (files.first(), files.last()) else {
            return Ok(Vec::new());
        };
        // A page of files spans at most as many rows here: who has no report has no row.
        let rows = self
            .store
            .scan::<ExtractionRow>((first.course_id,))
            .at_least(first.created_at)
            .at_most(last.created_at)
            .all()
            .await?;
        let by_file: HashMap<Uuid, ExtractionRow> =
            rows.into_iter().map(|row| (row.file_id, row)).collect();
        let read = |file: &FileByCourse| {
            let listed = &file.listed;
            Extraction::read(
                by_file.get(&file.file_id),
                listed.content_version,
                listed.status,
            )
        };
        Ok(files.iter().map(read).collect())
    }

    /// Takes a report. One about an older content than was reported before is dropped.
    pub(crate) async fn report(&self, id: Uuid, file: &File, report: &Report) -> ApiResult<()> {
        let row = self.row(id, file, report, self.clock.now());
        let op_id = new_op_id();
        for _ in 0..ATTEMPTS {
            let key = (file.course_id, file.created_at, id);
            let current = self
                .store
                .get_stored::<ExtractionRow>(key, ReadLevel::Serial)
                .await?;
            let decision = match current {
                None => self.store.insert_if_absent(&row, op_id).await?,
                Some(current) if current.row.content_version > row.content_version => return Ok(()),
                Some(current) => {
                    self.store
                        .compare_and_set(&row, Expect::op_id(current.op_id), op_id)
                        .await?
                }
            };
            if matches!(decision, Decision::Applied) {
                return Ok(());
            }
        }
        Err(Error::Contended { kind: "extraction" }.into())
    }

    fn row(&self, id: Uuid, file: &File, report: &Report, now: DateTime<Utc>) -> ExtractionRow {
        ExtractionRow {
            course_id: file.course_id,
            created_at: file.created_at,
            file_id: id,
            content_version: report.content_version,
            state: report.state.as_str().to_owned(),
            reason: report.reason.clone(),
            pages: report.pages,
            reported_at: now,
        }
    }
}
