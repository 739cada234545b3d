//! What other services ask about courses.

use std::sync::Arc;

use riwaq_aggregates::Version;
use riwaq_api::courses::v1 as api;
use riwaq_api::courses::v1::courses_server::{Courses, CoursesServer};
use riwaq_identity::{CallerPolicy, Callers, Identity, PermissionSet};
use riwaq_kit::Problem;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::app::App;
use crate::domain::{Course, Viewer};
use crate::readable::readable;

/// The most courses in one question.
const GET_COURSES_MAX: usize = 200;
/// The largest question and answer, in bytes.
const MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// The routes behind the table of who may call them.
pub(crate) fn routes(app: Arc<App>, identity: &Identity) -> Routes {
    let server = CoursesServer::new(Service { app })
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    callers().protect(Routes::new(server), identity)
}

fn callers() -> CallerPolicy {
    CallerPolicy::new()
        .allow(
            "/riwaq.courses.v1.Courses/GetAccess",
            Callers::any_service(),
        )
        .allow(
            "/riwaq.courses.v1.Courses/ListReadable",
            Callers::any_service(),
        )
        .allow(
            "/riwaq.courses.v1.Courses/GetCourses",
            Callers::any_service(),
        )
}

struct Service {
    app: Arc<App>,
}

#[tonic::async_trait]
impl Courses for Service {
    async fn get_access(
        &self,
        request: Request<api::GetAccessRequest>,
    ) -> Result<Response<api::Access>, Status> {
        let asked = request.into_inner();
        let course_id = id("course_id", &asked.course_id)?;
        let viewer = viewer(&asked.user_id, &asked.permissions)?;
        let head = self
            .app
            .head(course_id)
            .await?
            .ok_or_else(|| Problem::not_found("course"))?;
        // Asked whatever the rights are: callers are told about it.
        let enrolled = self.app.is_enrolled(course_id, viewer.id).await?;
        let access = crate::domain::Access::of(&viewer, &head.facts(), enrolled);
        Ok(Response::new(api::Access {
            course_id: asked.course_id,
            can_read: access.read,
            can_write: access.write,
            enrolled: access.enrolled,
            status: head.status.as_str().to_owned(),
        }))
    }

    async fn list_readable(
        &self,
        request: Request<api::ListReadableRequest>,
    ) -> Result<Response<api::ListReadableResponse>, Status> {
        let asked = request.into_inner();
        let viewer = viewer(&asked.user_id, &asked.permissions)?;
        let most = self.app.config.readable_max;
        let found = readable(&self.app.store, &self.app.semesters, &viewer, most)
            .await
            .map_err(Problem::from)?;
        Ok(Response::new(api::ListReadableResponse {
            course_ids: found.course_ids.iter().map(Uuid::to_string).collect(),
            all: found.all,
            truncated: found.truncated,
        }))
    }

    async fn get_courses(
        &self,
        request: Request<api::GetCoursesRequest>,
    ) -> Result<Response<api::GetCoursesResponse>, Status> {
        let asked = request.into_inner().ids;
        if asked.len() > GET_COURSES_MAX {
            return Err(
                Problem::field("ids", format!("must have at most {GET_COURSES_MAX} ids")).into(),
            );
        }
        let ids = asked
            .iter()
            .map(|text| id("ids", text))
            .collect::<Result<Vec<_>, _>>()?;
        let found = self
            .app
            .courses
            .load_many(&ids)
            .await
            .map_err(Problem::from)?;
        let courses = found.into_iter().map(message).collect();
        Ok(Response::new(api::GetCoursesResponse { courses }))
    }
}

fn viewer(user_id: &str, permissions: &[String]) -> Result<Viewer, Problem> {
    Ok(Viewer {
        id: id("user_id", user_id)?,
        permissions: PermissionSet::from_names(permissions),
    })
}

fn id(field: &str, text: &str) -> Result<Uuid, Problem> {
    Uuid::parse_str(text).map_err(|_| Problem::field(field, "is not an id"))
}

fn message(version: Version<Course>) -> api::Course {
    let course = version.state;
    let section = |section: crate::domain::Section| api::Section {
        id: section.id.to_string(),
        title: section.title,
        body: section.body,
    };
    api::Course {
        id: version.id.to_string(),
        title: course.fields.title,
        description: course.fields.description,
        language: course.fields.language.unwrap_or_default(),
        status: course.status.as_str().to_owned(),
        visibility: course.fields.visibility.as_str().to_owned(),
        owner: course.owner.to_string(),
        teachers: course.teachers.iter().map(Uuid::to_string).collect(),
        version: version.version,
        deleted: course.deleted,
        sections: course.sections.into_iter().map(section).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_says_who_may_call_it() {
        assert_eq!(callers().gaps(), Vec::<String>::new());
    }
}
