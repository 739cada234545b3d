//! Fakes of the files and courses services.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures::{Stream, stream};
use riwaq_api::Channel;
use riwaq_api::courses::v1::courses_server::{Courses as CoursesApi, CoursesServer};
use riwaq_api::courses::v1::{
    Access, Course, GetAccessRequest, GetCoursesRequest, GetCoursesResponse, ListReadableRequest,
    ListReadableResponse,
};
use riwaq_api::files::v1::files_server::{Files as FilesApi, FilesServer};
use riwaq_api::files::v1::{
    ContentChunk, File, GetFilesRequest, GetFilesResponse, ListFileIdsRequest, ListFileIdsResponse,
    ReadContentRequest, ReportExtractionRequest, ReportExtractionResponse,
};
use tonic::service::Routes;
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;

/// Files that a test puts there.
#[derive(Clone, Default)]
pub(crate) struct Files(Arc<Mutex<FilesState>>);

#[derive(Default)]
struct FilesState {
    files: BTreeMap<String, (File, Vec<u8>)>,
    reports: Vec<ReportExtractionRequest>,
    reads: usize,
    /// So many calls fail before they work again.
    failures: usize,
}

impl Files {
    pub(crate) fn channel(&self) -> Channel {
        Channel::local(Routes::new(FilesServer::new(self.clone())))
    }

    /// A text file of a course, in a version.
    pub(crate) fn put(&self, course: Uuid, id: Uuid, version: i64, content: &str) -> File {
        let file = File {
            id: id.to_string(),
            course_id: course.to_string(),
            name: "cours.txt".to_owned(),
            title: "Cours d'algorithmique".to_owned(),
            size: content.len() as u64,
            media_type: "text/plain".to_owned(),
            version,
            content_version: version,
            status: "available".to_owned(),
            ..File::default()
        };
        self.put_file(file.clone(), content);
        file
    }

    pub(crate) fn put_file(&self, file: File, content: &str) {
        let mut state = self.0.lock().expect("not poisoned");
        state
            .files
            .insert(file.id.clone(), (file, content.as_bytes().to_vec()));
    }

    pub(crate) fn delete(&self, id: Uuid, version: i64) {
        let mut state = self.0.lock().expect("not poisoned");
        let (file, _) = state.files.get_mut(&id.to_string()).expect("is there");
        (file.deleted, file.version) = (true, version);
    }

    pub(crate) fn forget(&self, id: Uuid) {
        self.0
            .lock()
            .expect("not poisoned")
            .files
            .remove(&id.to_string());
    }

    pub(crate) fn fail_next(&self, calls: usize) {
        self.0.lock().expect("not poisoned").failures = calls;
    }

    /// What was reported, as (file, content version, state, reason, pages).
    pub(crate) fn reports(&self) -> Vec<(String, i64, String, String, u32)> {
        let state = self.0.lock().expect("not poisoned");
        let all = state.reports.iter().cloned();
        all.map(|report| {
            (
                report.id,
                report.content_version,
                report.state,
                report.reason,
                report.pages,
            )
        })
        .collect()
    }

    /// How often content was read.
    pub(crate) fn reads(&self) -> usize {
        self.0.lock().expect("not poisoned").reads
    }

    fn state(&self) -> Result<std::sync::MutexGuard<'_, FilesState>, Status> {
        let mut state = self.0.lock().expect("not poisoned");
        if state.failures > 0 {
            state.failures -= 1;
            return Err(Status::internal("on purpose"));
        }
        Ok(state)
    }
}

#[async_trait]
impl FilesApi for Files {
    async fn get_files(
        &self,
        request: Request<GetFilesRequest>,
    ) -> Result<Response<GetFilesResponse>, Status> {
        let state = self.state()?;
        let ids = request.into_inner().ids;
        let files = ids
            .iter()
            .filter_map(|id| state.files.get(id))
            .map(|(file, _)| file.clone())
            .collect();
        Ok(Response::new(GetFilesResponse { files }))
    }

    type ReadContentStream = Pin<Box<dyn Stream<Item = Result<ContentChunk, Status>> + Send>>;

    async fn read_content(
        &self,
        request: Request<ReadContentRequest>,
    ) -> Result<Response<Self::ReadContentStream>, Status> {
        let mut state = self.state()?;
        state.reads += 1;
        let ReadContentRequest {
            id,
            content_version,
        } = request.into_inner();
        let (file, content) = state
            .files
            .get(&id)
            .ok_or_else(|| Status::not_found("no such file"))?;
        if file.content_version != content_version {
            return Err(Status::not_found("no such version"));
        }
        let chunks: Vec<_> = content
            .chunks(10)
            .map(|data| {
                Ok(ContentChunk {
                    data: data.to_vec(),
                })
            })
            .collect();
        Ok(Response::new(Box::pin(stream::iter(chunks))))
    }

    async fn report_extraction(
        &self,
        request: Request<ReportExtractionRequest>,
    ) -> Result<Response<ReportExtractionResponse>, Status> {
        self.state()?.reports.push(request.into_inner());
        Ok(Response::new(ReportExtractionResponse {}))
    }

    async fn list_file_ids(
        &self,
        request: Request<ListFileIdsRequest>,
    ) -> Result<Response<ListFileIdsResponse>, Status> {
        // Pages of two, whatever is asked for: a server may give fewer.
        let state = self.state()?;
        let after = request.into_inner().cursor;
        let alive = state
            .files
            .values()
            .filter(|(file, _)| !file.deleted)
            .map(|(file, _)| file.id.clone());
        let ids: Vec<String> = alive.filter(|id| *id > after).take(2).collect();
        let next_cursor = if ids.len() == 2 {
            ids[1].clone()
        } else {
            String::new()
        };
        Ok(Response::new(ListFileIdsResponse { ids, next_cursor }))
    }
}

/// Courses that a test puts there, and who may read them.
#[derive(Clone, Default)]
pub(crate) struct Courses(Arc<Mutex<CoursesState>>);

#[derive(Default)]
struct CoursesState {
    courses: BTreeMap<String, Course>,
    readers: BTreeMap<String, BTreeSet<String>>,
    asked: Vec<ListReadableRequest>,
    down: bool,
}

impl Courses {
    pub(crate) fn channel(&self) -> Channel {
        Channel::local(Routes::new(CoursesServer::new(self.clone())))
    }

    pub(crate) fn put(&self, id: Uuid, version: i64, title: &str, description: &str) {
        let course = Course {
            id: id.to_string(),
            title: title.to_owned(),
            description: description.to_owned(),
            version,
            status: "published".to_owned(),
            ..Course::default()
        };
        self.0
            .lock()
            .expect("not poisoned")
            .courses
            .insert(id.to_string(), course);
    }

    pub(crate) fn delete(&self, id: Uuid, version: i64) {
        let mut state = self.0.lock().expect("not poisoned");
        let course = state.courses.get_mut(&id.to_string()).expect("is there");
        (course.deleted, course.version) = (true, version);
    }

    pub(crate) fn admit(&self, user: Uuid, course: Uuid) {
        let mut state = self.0.lock().expect("not poisoned");
        state
            .readers
            .entry(user.to_string())
            .or_default()
            .insert(course.to_string());
    }

    pub(crate) fn expel(&self, user: Uuid, course: Uuid) {
        let mut state = self.0.lock().expect("not poisoned");
        state
            .readers
            .entry(user.to_string())
            .or_default()
            .remove(&course.to_string());
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.0.lock().expect("not poisoned").down = down;
    }

    pub(crate) fn last_asked(&self) -> ListReadableRequest {
        self.0
            .lock()
            .expect("not poisoned")
            .asked
            .last()
            .cloned()
            .expect("was asked")
    }
}

#[async_trait]
impl CoursesApi for Courses {
    async fn get_access(&self, _: Request<GetAccessRequest>) -> Result<Response<Access>, Status> {
        Err(Status::unimplemented("search does not ask this"))
    }

    async fn list_readable(
        &self,
        request: Request<ListReadableRequest>,
    ) -> Result<Response<ListReadableResponse>, Status> {
        let mut state = self.0.lock().expect("not poisoned");
        if state.down {
            return Err(Status::unavailable("on purpose"));
        }
        let request = request.into_inner();
        state.asked.push(request.clone());
        let all = request
            .permissions
            .iter()
            .any(|permission| permission == "courses:read_any");
        let course_ids = state
            .readers
            .get(&request.user_id)
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        Ok(Response::new(ListReadableResponse {
            course_ids,
            all,
            truncated: false,
        }))
    }

    async fn get_courses(
        &self,
        request: Request<GetCoursesRequest>,
    ) -> Result<Response<GetCoursesResponse>, Status> {
        let state = self.0.lock().expect("not poisoned");
        let ids = request.into_inner().ids;
        let courses = ids
            .iter()
            .filter_map(|id| state.courses.get(id))
            .cloned()
            .collect();
        Ok(Response::new(GetCoursesResponse { courses }))
    }
}
