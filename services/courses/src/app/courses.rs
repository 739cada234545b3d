//! Courses: making, changing, reading, their history.

use riwaq_aggregates::{Act, Draft, Version};
use riwaq_identity::{Actor, Permission};
use riwaq_kit::{IfMatch, Problem};
use uuid::Uuid;

use super::{App, no_course, still_writable};
use crate::domain::{Course, CourseEdit, CourseFields, Viewer, check_course, semester_of};

impl App {
    /// Makes a course. Repeating it with the same id gives what the first time made.
    pub(crate) async fn create_course(
        &self,
        actor: &Actor,
        course_id: Uuid,
        fields: CourseFields,
    ) -> Result<Version<Course>, Problem> {
        actor.require(Permission::CoursesCreate)?;
        let course = Course::new(fields, actor.id(), self.now());
        check_course(&course, &self.config)?;
        self.semesters.open(semester_of(course_id)).await?;
        let act = Act::by(actor.id()).with_op_id(course_id);
        Ok(self
            .courses
            .create(&course_id, act, Draft::new("created", course))
            .await?)
    }

    /// The newest version; 404 where the viewer may not know of it.
    pub(crate) async fn read_course(
        &self,
        viewer: &Viewer,
        course_id: Uuid,
    ) -> Result<Version<Course>, Problem> {
        let newest = self.courses.load(&course_id).await?;
        let newest = newest
            .filter(|newest| !newest.state.deleted)
            .ok_or_else(no_course)?;
        let access = self
            .access(viewer, course_id, &(&newest.state).into())
            .await?;
        if access.read {
            Ok(newest)
        } else {
            Err(no_course())
        }
    }

    pub(crate) async fn edit_course(
        &self,
        viewer: &Viewer,
        course_id: Uuid,
        if_match: &IfMatch,
        edit: &CourseEdit,
    ) -> Result<Version<Course>, Problem> {
        edit.check(&self.config)?;
        self.change_course(viewer, course_id, if_match, edit.change(), |course| {
            Ok(course.edited(edit))
        })
        .await
    }

    pub(crate) async fn delete_course(
        &self,
        viewer: &Viewer,
        course_id: Uuid,
        if_match: &IfMatch,
    ) -> Result<(), Problem> {
        self.change_course(viewer, course_id, if_match, "deleted", |course| {
            Ok(course.deleted())
        })
        .await?;
        Ok(())
    }

    /// Changes a course by somebody who may. What changes nothing makes no version.
    pub(crate) async fn change_course(
        &self,
        viewer: &Viewer,
        course_id: Uuid,
        if_match: &IfMatch,
        change: &'static str,
        next: impl Fn(&Course) -> Result<Course, Problem>,
    ) -> Result<Version<Course>, Problem> {
        self.insist_on_write(viewer, course_id).await?;
        self.courses
            .update(&course_id, None, Act::by(viewer.id), |current| {
                still_writable(viewer, &current.state)?;
                if_match.check_version(current.version.cast_unsigned())?;
                let next = next(&current.state)?;
                if next == current.state {
                    return Ok(None);
                }
                check_course(&next, &self.config)?;
                Ok::<_, Problem>(Some(Draft::new(change, next)))
            })
            .await
    }

    /// Versions, newest first, for those who may change the course.
    pub(crate) async fn course_history(
        &self,
        viewer: &Viewer,
        course_id: Uuid,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Version<Course>>, Problem> {
        self.insist_on_write(viewer, course_id).await?;
        Ok(self.courses.history(&course_id, before, limit).await?)
    }

    pub(crate) async fn course_version(
        &self,
        viewer: &Viewer,
        course_id: Uuid,
        version: i64,
    ) -> Result<Version<Course>, Problem> {
        self.insist_on_write(viewer, course_id).await?;
        let found = self.courses.at_version(&course_id, version).await?;
        found.ok_or_else(|| Problem::not_found("version"))
    }
}
