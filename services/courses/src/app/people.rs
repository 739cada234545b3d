//! Who teaches a course, and whether people exist at all.

use std::collections::HashSet;

use riwaq_aggregates::Version;
use riwaq_api::clients;
use riwaq_api::users::v1::GetUsersRequest;
use riwaq_kit::{IfMatch, Problem};
use uuid::Uuid;

use super::App;
use crate::domain::{Course, Viewer};

impl App {
    /// Lets somebody teach the course, too. Again: nothing changes.
    pub(crate) async fn add_teacher(
        &self,
        viewer: &Viewer,
        course_id: Uuid,
        user_id: Uuid,
        if_match: &IfMatch,
    ) -> Result<Version<Course>, Problem> {
        let head = self.insist_on_write(viewer, course_id).await?;
        if !head.teachers.contains(&user_id) && !self.unknown_people(&[user_id]).await?.is_empty() {
            return Err(Problem::field("user_id", "is not the id of anybody"));
        }
        self.change_course(viewer, course_id, if_match, "teacher_added", |course| {
            Ok(course.with_teacher(user_id))
        })
        .await
    }

    /// Ends somebody's teaching; the owner stays.
    pub(crate) async fn remove_teacher(
        &self,
        viewer: &Viewer,
        course_id: Uuid,
        user_id: Uuid,
        if_match: &IfMatch,
    ) -> Result<(), Problem> {
        self.change_course(viewer, course_id, if_match, "teacher_removed", |course| {
            if course.owner == user_id {
                return Err(Problem::conflict(
                    "the owner of the course always teaches it",
                ));
            }
            if !course.is_taught_by(user_id) {
                return Err(Problem::not_found("teacher"));
            }
            Ok(course.without_teacher(user_id))
        })
        .await?;
        Ok(())
    }

    /// Those of these ids that the users service does not know.
    pub(crate) async fn unknown_people(&self, ids: &[Uuid]) -> Result<HashSet<Uuid>, Problem> {
        let request = GetUsersRequest {
            ids: ids.iter().map(Uuid::to_string).collect(),
        };
        let answer = clients::users(&self.users).get_users(request).await?;
        let mut unknown: HashSet<Uuid> = ids.iter().copied().collect();
        for user in answer.into_inner().users {
            if let Ok(known) = Uuid::parse_str(&user.id) {
                unknown.remove(&known);
            }
        }
        Ok(unknown)
    }
}
