//! What a person may do in a course: asked of the courses service, each time.

use riwaq_api::courses::v1::{GetAccessRequest, GetCoursesRequest};
use riwaq_api::{Channel, clients};
use riwaq_identity::Actor;
use riwaq_kit::{ApiResult, Problem};
use uuid::Uuid;

/// Asks the courses service. Nothing is kept between requests.
pub(crate) struct Rights {
    courses: Channel,
}

/// What the person may do, who may at least read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    /// Whether the person is a teacher of the course, or an administrator.
    can_write: bool,
}

impl Access {
    pub(crate) fn require_write(self) -> ApiResult<()> {
        if self.can_write {
            return Ok(());
        }
        Err(Problem::forbidden(
            "only teachers of the course may do this",
        ))
    }
}

impl Rights {
    pub(crate) fn new(courses: Channel) -> Self {
        Self { courses }
    }

    /// The person's rights over a course. Who may not read it, or asks for one that is not there, learns that
    /// there is no such `thing`.
    pub(crate) async fn of(
        &self,
        actor: &Actor,
        course_id: Uuid,
        thing: &str,
    ) -> ApiResult<Access> {
        let channel = self.courses.clone().with_actor_token(actor.raw_token());
        let request = GetAccessRequest {
            course_id: course_id.to_string(),
            user_id: actor.id().to_string(),
            permissions: actor.permissions().names(),
        };
        let access = match clients::courses(&channel).get_access(request).await {
            Ok(access) => access.into_inner(),
            Err(status) if status.code() == tonic::Code::NotFound => {
                return Err(Problem::not_found(thing));
            }
            Err(status) => return Err(status.into()),
        };
        if !access.can_read && !access.can_write {
            return Err(Problem::not_found(thing));
        }
        Ok(Access {
            can_write: access.can_write,
        })
    }

    /// Refuses a section that is not one of the course.
    pub(crate) async fn check_section(&self, course_id: Uuid, section_id: Uuid) -> ApiResult<()> {
        let request = GetCoursesRequest {
            ids: vec![course_id.to_string()],
        };
        let found = clients::courses(&self.courses)
            .get_courses(request)
            .await?
            .into_inner();
        let wanted = section_id.to_string();
        let known = found
            .courses
            .iter()
            .flat_map(|course| &course.sections)
            .any(|section| section.id == wanted);
        if known {
            return Ok(());
        }
        Err(Problem::field(
            "section_id",
            "is not a section of this course",
        ))
    }
}
