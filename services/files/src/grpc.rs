//! gRPC: files for services that read their content (`proto/riwaq/files/v1`).

use std::pin::Pin;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use riwaq_aggregates::{CursorScope, Version};
use riwaq_api::files::v1::files_server::{Files, FilesServer};
use riwaq_api::files::v1::{
    ContentChunk, File as FileMessage, GetFilesRequest, GetFilesResponse, ListFileIdsRequest,
    ListFileIdsResponse, ReadContentRequest, ReportExtractionRequest, ReportExtractionResponse,
};
use riwaq_blobs::ByteRange;
use riwaq_identity::{CallerPolicy, Callers, Identity};
use riwaq_kit::Problem;
use riwaq_records::TableCursor;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::app::App;
use crate::domain::file::File;
use crate::domain::media;
use crate::extractions::{ExtractionState, Report};
use crate::records::FileByCourse;

/// The most ids of one question.
const MAX_IDS: usize = 200;
/// The largest piece of content in one message, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;
/// The most ids of one page, and how many where none are asked for.
const MAX_PAGE: usize = 1_000;
/// The longest reason that is kept, in characters.
const MAX_REASON_CHARS: usize = 500;

/// Everybody gets the same list.
const ALL_FILES: CursorScope<'_> = CursorScope {
    list: "grpc/files",
    query: "",
    user: "",
};

/// Who may call what.
pub(crate) fn policy() -> CallerPolicy {
    const READERS: Callers = Callers::only(&["search", "chatbot"]);
    const SEARCH: Callers = Callers::only(&["search"]);
    CallerPolicy::new()
        .allow("/riwaq.files.v1.Files/GetFiles", READERS)
        .allow("/riwaq.files.v1.Files/ReadContent", SEARCH)
        .allow("/riwaq.files.v1.Files/ReportExtraction", SEARCH)
        .allow("/riwaq.files.v1.Files/ListFileIds", SEARCH)
}

/// The routes, guarded.
pub(crate) fn routes(app: App, identity: &Identity) -> Routes {
    policy().protect(Routes::new(FilesServer::new(Server { app })), identity)
}

struct Server {
    app: App,
}

type Chunks = Pin<Box<dyn Stream<Item = Result<ContentChunk, Status>> + Send>>;

#[tonic::async_trait]
impl Files for Server {
    async fn get_files(
        &self,
        request: Request<GetFilesRequest>,
    ) -> Result<Response<GetFilesResponse>, Status> {
        let asked = request.into_inner().ids;
        if asked.len() > MAX_IDS {
            return Err(Problem::field("ids", format!("must have at most {MAX_IDS}")).into());
        }
        // What is no id is no file.
        let ids: Vec<Uuid> = asked.iter().filter_map(|id| id.parse().ok()).collect();
        let found = self
            .app
            .files
            .load_many(&ids)
            .await
            .map_err(Problem::from)?;
        Ok(Response::new(GetFilesResponse {
            files: found.iter().filter_map(message).collect(),
        }))
    }

    type ReadContentStream = Chunks;

    async fn read_content(
        &self,
        request: Request<ReadContentRequest>,
    ) -> Result<Response<Chunks>, Status> {
        let request = request.into_inner();
        let file = self.app.existing(id(&request.id)?).await?;
        let content = match request.content_version {
            0 => file.state.current(),
            version => file.state.content(version),
        };
        let content = content.ok_or_else(|| Problem::not_found("content"))?;
        if content.verdict.status == media::Status::Quarantined {
            return Err(Problem::conflict("the content is quarantined").into());
        }
        let opened = self
            .app
            .blobs
            .open(&content.blob, ByteRange::Full)
            .await
            .map_err(Problem::from)?;
        let pieces = opened
            .into_stream()
            .map_err(|error| Status::from(Problem::from(error)));
        let chunks = pieces
            .map_ok(|piece| futures::stream::iter(chunks(piece)))
            .try_flatten();
        Ok(Response::new(chunks.boxed()))
    }

    async fn report_extraction(
        &self,
        request: Request<ReportExtractionRequest>,
    ) -> Result<Response<ReportExtractionResponse>, Status> {
        let request = request.into_inner();
        let id = id(&request.id)?;
        let state = ExtractionState::reported(&request.state)
            .ok_or_else(|| Problem::field("state", "must be done, failed or none"))?;
        let file = self.app.files.load(&id).await.map_err(Problem::from)?;
        let file = file.ok_or_else(|| Problem::not_found("file"))?;
        let newest = file.state.current().map_or(0, |content| content.version);
        if request.content_version > newest {
            return Err(
                Problem::field("content_version", "is one that the file does not have").into(),
            );
        }
        if request.content_version == newest && !file.state.deleted {
            let reason: String = request.reason.chars().take(MAX_REASON_CHARS).collect();
            let report = Report {
                content_version: request.content_version,
                state,
                reason: (!reason.is_empty()).then_some(reason),
                pages: (request.pages > 0).then_some(i64::from(request.pages)),
            };
            self.app
                .extractions
                .report(id, &file.state, &report)
                .await?;
        }
        Ok(Response::new(ReportExtractionResponse {}))
    }

    async fn list_file_ids(
        &self,
        request: Request<ListFileIdsRequest>,
    ) -> Result<Response<ListFileIdsResponse>, Status> {
        let request = request.into_inner();
        let limit = match request.limit {
            0 => MAX_PAGE,
            limit => usize::try_from(limit).unwrap_or(MAX_PAGE).min(MAX_PAGE),
        };
        let after = match request.cursor.as_str() {
            "" => None,
            cursor => Some(self.open(cursor)?),
        };
        let page = self
            .app
            .store
            .scan_table::<FileByCourse>(after.as_ref(), limit)
            .await
            .map_err(Problem::from)?;
        let ids = page
            .rows
            .iter()
            .map(|stored| stored.row.file_id.to_string())
            .collect();
        let next_cursor = page
            .next
            .map(|next| self.seal(&next))
            .transpose()?
            .unwrap_or_default();
        Ok(Response::new(ListFileIdsResponse { ids, next_cursor }))
    }
}

impl Server {
    fn seal(&self, next: &TableCursor) -> Result<String, Problem> {
        let position = URL_SAFE_NO_PAD.encode(next.as_bytes());
        Ok(self.app.cursors.seal(ALL_FILES, &position)?)
    }

    fn open(&self, cursor: &str) -> Result<TableCursor, Problem> {
        let position: String = self.app.cursors.open(ALL_FILES, cursor)?;
        let bytes = URL_SAFE_NO_PAD
            .decode(position)
            .map_err(|_| Problem::bad_cursor())?;
        Ok(TableCursor::new(Bytes::from(bytes)))
    }
}

fn id(text: &str) -> Result<Uuid, Problem> {
    text.parse().map_err(|_| Problem::not_found("file"))
}

fn chunks(mut piece: Bytes) -> impl Iterator<Item = Result<ContentChunk, Status>> {
    std::iter::from_fn(move || {
        let data = piece.split_to(piece.len().min(CHUNK_BYTES));
        (!data.is_empty()).then(|| Ok(ContentChunk { data: data.into() }))
    })
}

fn message(file: &Version<File>) -> Option<FileMessage> {
    let state = &file.state;
    let content = state.current()?;
    Some(FileMessage {
        id: file.id.to_string(),
        course_id: state.course_id.to_string(),
        section_id: state
            .section_id
            .map(|id| id.to_string())
            .unwrap_or_default(),
        name: state.name.clone(),
        title: state.shown_title().to_owned(),
        size: content.size,
        media_type: content.verdict.media_type.clone(),
        sha256: content.sha256.to_string(),
        version: file.version,
        content_version: content.version,
        status: content.verdict.status.to_string(),
        deleted: state.deleted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_a_rule() {
        assert_eq!(policy().gaps(), Vec::<String>::new());
    }

    #[test]
    fn pieces_are_cut_to_the_size_of_a_message() {
        let piece = Bytes::from(vec![7; CHUNK_BYTES * 2 + 1]);
        let sizes: Vec<usize> = chunks(piece)
            .map(|chunk| chunk.unwrap().data.len())
            .collect();
        assert_eq!(sizes, [CHUNK_BYTES, CHUNK_BYTES, 1]);
    }
}
