//! A world to test in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use bytes::Bytes;
use chrono::DateTime;
use futures::StreamExt;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use riwaq_aggregates::CursorKey;
use riwaq_aggregates::records::{Memory, MigrationPlan, Records, Store};
use riwaq_api::Channel;
use riwaq_api::courses::v1::courses_server::{Courses, CoursesServer};
use riwaq_api::courses::v1::{
    Access, Course, GetAccessRequest, GetCoursesRequest, GetCoursesResponse, ListReadableRequest,
    ListReadableResponse, Section,
};
use riwaq_api::files::v1::files_client::FilesClient;
use riwaq_blobs::{Blobs, LinkKey, LinkSigner, MemoryBlobs};
use riwaq_clock::{ManualClock, SharedClock};
use riwaq_events::{MemoryEvents, RetryPolicy};
use riwaq_identity::testing::TestIssuer;
use riwaq_kit::{HttpService, ServerConfig, TaskGroup};
use serde_json::Value;
use tonic::service::Routes;
use uuid::Uuid;

use crate::app::App;
use crate::{Config, Deps};

pub(super) const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89";
pub(super) const PDF: &[u8] = b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n";

/// Courses as the test has them.
#[derive(Default)]
pub(super) struct FakeCourses {
    courses: Mutex<HashMap<String, FakeCourse>>,
}

#[derive(Clone, Default)]
struct FakeCourse {
    teachers: Vec<String>,
    students: Vec<String>,
    sections: Vec<String>,
}

struct CoursesService(Arc<FakeCourses>);

#[tonic::async_trait]
impl Courses for CoursesService {
    async fn get_access(
        &self,
        request: tonic::Request<GetAccessRequest>,
    ) -> Result<tonic::Response<Access>, tonic::Status> {
        let request = request.into_inner();
        let courses = self.0.courses.lock().unwrap();
        let course = courses
            .get(&request.course_id)
            .ok_or_else(|| tonic::Status::not_found("no such course"))?;
        let may = |name: &str| {
            request
                .permissions
                .iter()
                .any(|permission| permission == name)
        };
        let can_write = course.teachers.contains(&request.user_id) || may("courses:write_any");
        let enrolled = course.students.contains(&request.user_id);
        let can_read = can_write || enrolled || may("courses:read_any");
        let status = "published".into();
        Ok(tonic::Response::new(Access {
            course_id: request.course_id,
            can_read,
            can_write,
            enrolled,
            status,
        }))
    }

    async fn list_readable(
        &self,
        _: tonic::Request<ListReadableRequest>,
    ) -> Result<tonic::Response<ListReadableResponse>, tonic::Status> {
        Err(tonic::Status::unimplemented(
            "the files service does not ask this",
        ))
    }

    async fn get_courses(
        &self,
        request: tonic::Request<GetCoursesRequest>,
    ) -> Result<tonic::Response<GetCoursesResponse>, tonic::Status> {
        let courses = self.0.courses.lock().unwrap();
        let found = request.into_inner().ids.into_iter().filter_map(|id| {
            let sections = courses.get(&id)?.sections.clone();
            let sections = sections
                .into_iter()
                .map(|id| Section {
                    id,
                    ..Section::default()
                })
                .collect();
            Some(Course {
                id,
                sections,
                ..Course::default()
            })
        });
        Ok(tonic::Response::new(GetCoursesResponse {
            courses: found.collect(),
        }))
    }
}

/// The service and everything around it.
pub(super) struct World {
    pub(super) clock: Arc<ManualClock>,
    pub(super) blobs: MemoryBlobs,
    pub(super) events: MemoryEvents,
    pub(super) app: App,
    pub(super) relay: riwaq_aggregates::Relay,
    pub(super) issuer: Arc<TestIssuer>,
    http: HttpService,
    grpc: Routes,
    pub(super) course: Uuid,
    pub(super) section: Uuid,
    pub(super) teacher: Uuid,
    pub(super) student: Uuid,
    pub(super) outsider: Uuid,
    pub(super) admin: Uuid,
}

/// What may be put beneath.
pub(super) struct Beneath {
    pub(super) config: Config,
    pub(super) wrap_blobs: Box<dyn FnOnce(MemoryBlobs) -> Arc<dyn Blobs>>,
    pub(super) wrap_records: Box<dyn FnOnce(Memory) -> Arc<dyn Records>>,
}

impl Default for Beneath {
    fn default() -> Self {
        Self {
            config: Config::default(),
            wrap_blobs: Box::new(|blobs| Arc::new(blobs)),
            wrap_records: Box::new(|records| Arc::new(records)),
        }
    }
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(Beneath::default()).await
    }

    pub(super) async fn limited(max_file_bytes: u64) -> Self {
        let config = Config {
            max_file_bytes,
            ..Config::default()
        };
        Self::with(Beneath {
            config,
            ..Beneath::default()
        })
        .await
    }

    pub(super) async fn with(beneath: Beneath) -> Self {
        let clock = ManualClock::at(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let shared: SharedClock = clock.clone();
        let records = Memory::new();
        let mut tables = riwaq_aggregates::tables();
        tables.extend(crate::tables());
        records
            .migrate(&MigrationPlan::new(tables).unwrap())
            .await
            .unwrap();
        let issuer = TestIssuer::new(shared.clone());
        let blobs = MemoryBlobs::new(shared.clone());
        let events = MemoryEvents::new(shared.clone(), RetryPolicy::default()).unwrap();
        let [course, section, teacher, student, outsider, admin] =
            std::array::from_fn(|_| Uuid::new_v4());
        let fake = FakeCourses::default();
        let one = FakeCourse {
            teachers: vec![teacher.to_string()],
            students: vec![student.to_string()],
            sections: vec![section.to_string()],
        };
        fake.courses.lock().unwrap().insert(course.to_string(), one);
        let courses = Routes::new(CoursesServer::new(CoursesService(Arc::new(fake))));
        let identity = issuer.identity();
        let deps = Deps {
            clock: shared.clone(),
            store: Store::new((beneath.wrap_records)(records)),
            events: Arc::new(events.clone()),
            blobs: (beneath.wrap_blobs)(blobs.clone()),
            courses: Channel::local(courses).with_tokens(issuer.service_tokens("files")),
            identity: identity.clone(),
            links: LinkSigner::new(LinkKey::new(&[1; 32]).unwrap(), None),
            cursors: CursorKey::new(&[2; 32]).unwrap(),
            public_url: "https://riwaq.example/".parse().unwrap(),
        };
        let tasks = TaskGroup::new();
        let (app, relay) = App::new(beneath.config, deps, tasks.clone()).unwrap();
        let (router, openapi) = crate::http::routes(app.clone(), &identity);
        let service = riwaq_kit::Service::new("files", tasks).rest(router, openapi);
        let http = service.http(&ServerConfig::default(), &shared);
        let grpc = crate::grpc::routes(app.clone(), &identity);
        Self {
            clock,
            blobs,
            events,
            app,
            relay,
            issuer,
            http,
            grpc,
            course,
            section,
            teacher,
            student,
            outsider,
            admin,
        }
    }

    pub(super) fn token(&self, user: Uuid) -> String {
        let role = match user {
            user if user == self.admin => "admin",
            user if user == self.teacher => "teacher",
            _ => "student",
        };
        self.issuer.user_token(user, &[role])
    }

    /// A gRPC client that calls as the search service.
    pub(super) fn search(&self) -> FilesClient<Channel> {
        let channel =
            Channel::local(self.grpc.clone()).with_tokens(self.issuer.service_tokens("search"));
        riwaq_api::clients::files(&channel)
    }

    pub(super) fn grpc_as(&self, service: &str) -> FilesClient<Channel> {
        let channel =
            Channel::local(self.grpc.clone()).with_tokens(self.issuer.service_tokens(service));
        riwaq_api::clients::files(&channel)
    }

    /// Asks with whatever headers.
    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.http.call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// A request as somebody.
    pub(super) fn request(&self, user: Uuid, method: Method, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header(AUTHORIZATION, format!("Bearer {}", self.token(user)))
    }

    pub(super) async fn get(&self, user: Uuid, path: &str) -> Answer {
        self.send(
            self.request(user, Method::GET, path)
                .body(Body::empty())
                .unwrap(),
        )
        .await
    }

    pub(super) async fn json(
        &self,
        user: Uuid,
        method: Method,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self
            .request(user, method, path)
            .header(CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_string())).unwrap())
            .await
    }

    /// Sends a form.
    pub(super) async fn post(
        &self,
        user: Uuid,
        path: &str,
        form: &Form,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self
            .request(user, Method::POST, path)
            .header(CONTENT_TYPE, Form::media_type());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(form.body(4_096)).unwrap()).await
    }

    pub(super) fn files_path(&self) -> String {
        format!("/api/courses/{}/files", self.course)
    }

    /// The teacher uploads a file.
    pub(super) async fn upload(&self, name: &str, media_type: &str, bytes: &[u8]) -> Value {
        let form = Form::new().file(name, media_type, bytes);
        self.post(self.teacher, &self.files_path(), &form, &[])
            .await
            .expect(201)
            .json()
    }

    /// A link to a file, as path and query.
    pub(super) async fn link(&self, user: Uuid, id: &str, query: &str) -> String {
        let link = self
            .get(user, &format!("/api/files/{id}/link{query}"))
            .await
            .expect(200)
            .json();
        link["url"]
            .as_str()
            .unwrap()
            .strip_prefix("https://riwaq.example")
            .unwrap()
            .to_owned()
    }

    /// Nothing unfinished and no blob besides these many is in the store.
    pub(super) async fn assert_blobs(&self, count: usize) {
        let stored = self.blobs.list(None, 1_000).await.unwrap();
        assert_eq!(
            stored
                .iter()
                .filter(|info| info.marked_at.is_none())
                .count(),
            count,
            "{stored:?}"
        );
    }
}

/// A form being put together.
#[derive(Clone, Default)]
pub(super) struct Form(Vec<u8>);

const BOUNDARY: &str = "----riwaqtest7e3f";

impl Form {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn media_type() -> String {
        format!("multipart/form-data; boundary={BOUNDARY}")
    }

    pub(super) fn file(self, name: &str, media_type: &str, bytes: &[u8]) -> Self {
        self.part(
            &format!("name=\"file\"; filename=\"{name}\""),
            Some(media_type),
            bytes,
        )
    }

    pub(super) fn text(self, name: &str, value: &str) -> Self {
        self.part(&format!("name=\"{name}\""), None, value.as_bytes())
    }

    pub(super) fn part(
        mut self,
        disposition: &str,
        media_type: Option<&str>,
        bytes: &[u8],
    ) -> Self {
        let mut head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n");
        if let Some(media_type) = media_type {
            head.push_str(&format!("Content-Type: {media_type}\r\n"));
        }
        self.0.extend_from_slice(head.as_bytes());
        self.0.extend_from_slice(b"\r\n");
        self.0.extend_from_slice(bytes);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        [&self.0, format!("--{BOUNDARY}--\r\n").as_bytes()].concat()
    }

    /// The whole form in pieces of this size.
    pub(super) fn body(&self, piece: usize) -> Body {
        let pieces: Vec<Bytes> = self
            .bytes()
            .chunks(piece)
            .map(Bytes::copy_from_slice)
            .collect();
        Body::from_stream(futures::stream::iter(pieces).map(Ok::<_, std::io::Error>))
    }

    /// The form up to somewhere, and then the sender is gone.
    pub(super) fn broken_off(&self, at: usize) -> Body {
        let start = Bytes::from(self.bytes()[..at].to_vec());
        let gone = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        Body::from_stream(futures::stream::iter([Ok(start), Err(gone)]))
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn expect(self, status: u16) -> Self {
        assert_eq!(
            self.status.as_u16(),
            status,
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        self
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    }

    /// A problem with this status and code.
    pub(super) fn problem(self, status: u16, code: &str) -> Value {
        let answer = self.expect(status);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let problem = answer.json();
        assert_eq!(problem["code"], code, "{problem}");
        problem
    }

    /// A 422 that names this field.
    pub(super) fn field(self, field: &str) {
        let problem = self.problem(422, "validation_failed");
        let named = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .any(|error| error["field"] == field);
        assert!(named, "{problem}");
    }
}

pub(super) fn id(file: &Value) -> String {
    file["id"].as_str().unwrap().to_owned()
}
