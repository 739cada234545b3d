//! Sections: parts of a course, versioned with it.

use riwaq_aggregates::Version;
use riwaq_kit::{IfMatch, Problem};
use uuid::Uuid;

use super::App;
use crate::domain::{Course, NewSection, SectionEdit, Viewer, check_section};

impl App {
    /// Adds a section. Repeating it with the same id changes nothing more.
    pub(crate) async fn add_section(
        &self,
        viewer: &Viewer,
        course_id: Uuid,
        new: NewSection,
    ) -> Result<Version<Course>, Problem> {
        check_section(&new.title, &new.body, &self.config)?;
        self.change_course(
            viewer,
            course_id,
            &IfMatch::ABSENT,
            "section_added",
            |course| {
                Ok(match course.section(new.id) {
                    Some(_) => course.clone(),
                    None => course.with_section(new.clone()),
                })
            },
        )
        .await
    }

    pub(crate) async fn edit_section(
        &self,
        viewer: &Viewer,
        (course_id, section_id): (Uuid, Uuid),
        if_match: &IfMatch,
        edit: &SectionEdit,
    ) -> Result<Version<Course>, Problem> {
        edit.check(&self.config)?;
        let now = self.now();
        self.change_course(viewer, course_id, if_match, "section_edited", |course| {
            course.section(section_id).ok_or_else(no_section)?;
            Ok(course.with_section_edited(section_id, edit, now))
        })
        .await
    }

    pub(crate) async fn delete_section(
        &self,
        viewer: &Viewer,
        (course_id, section_id): (Uuid, Uuid),
        if_match: &IfMatch,
    ) -> Result<(), Problem> {
        self.change_course(viewer, course_id, if_match, "section_deleted", |course| {
            course.section(section_id).ok_or_else(no_section)?;
            Ok(course.without_section(section_id))
        })
        .await?;
        Ok(())
    }

    pub(crate) async fn order_sections(
        &self,
        viewer: &Viewer,
        course_id: Uuid,
        if_match: &IfMatch,
        ids: &[Uuid],
    ) -> Result<Version<Course>, Problem> {
        self.change_course(viewer, course_id, if_match, "sections_ordered", |course| {
            let message = "must name every section of the course exactly once";
            course
                .reordered(ids)
                .ok_or_else(|| Problem::field("ids", message))
        })
        .await
    }
}

pub(crate) fn no_section() -> Problem {
    Problem::not_found("section")
}
