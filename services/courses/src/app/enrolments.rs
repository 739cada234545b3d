//! Enrolments: beginning, ending, and the list of a course.

use std::collections::HashSet;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use riwaq_aggregates::{Act, Draft, Version};
use riwaq_kit::{FieldErrors, IfMatch, Problem};
use uuid::Uuid;

use super::{App, no_course};
use crate::domain::{Access, Enrolment, Status, Viewer, Visibility};
use crate::records::{CourseHead, EnrolmentByCourse};

/// How many enrolments are written at a time.
const AT_ONCE: usize = 8;

/// An enrolment that was asked for.
#[derive(Debug)]
pub(crate) struct Enrolled {
    pub(crate) version: Version<Enrolment>,
    /// Whether it began with this request.
    pub(crate) is_new: bool,
}

impl App {
    /// Enrols people, in the order asked. `fields` names where each id stands in the request.
    pub(crate) async fn enrol(
        &self,
        viewer: &Viewer,
        course_id: Uuid,
        people: &[(String, Uuid)],
        op_id: Uuid,
    ) -> Result<Vec<Enrolled>, Problem> {
        let head = self.head(course_id).await?.ok_or_else(no_course)?;
        let access = self.access(viewer, course_id, &head.facts()).await?;
        check_right(viewer, &head, access, people)?;
        self.check_people(viewer, &head, people).await?;
        self.check_places(course_id, people).await?;
        let act = Act {
            actor: Some(viewer.id),
            op_id,
        };
        let ids: Vec<Uuid> = people.iter().map(|(_, user_id)| *user_id).collect();
        stream::iter(
            ids.into_iter()
                .map(|user_id| self.begin(course_id, user_id, act)),
        )
        .buffered(AT_ONCE)
        .try_collect()
        .await
    }

    async fn begin(&self, course_id: Uuid, user_id: Uuid, act: Act) -> Result<Enrolled, Problem> {
        let now = self.now();
        let newest = self
            .enrolments
            .change(&(course_id, user_id), None, act, |current| {
                let active = current.is_some_and(|current| current.state.active);
                let begun = || Draft::new("enrolled", Enrolment::new(course_id, user_id, now));
                Ok::<_, Problem>((!active).then(begun))
            })
            .await?
            .ok_or_else(no_enrolment)?;
        let is_new = newest.op_id == act.op_id;
        Ok(Enrolled {
            version: newest,
            is_new,
        })
    }

    /// Everybody must exist and not teach the course. Who is signed in exists.
    async fn check_people(
        &self,
        viewer: &Viewer,
        head: &CourseHead,
        people: &[(String, Uuid)],
    ) -> Result<(), Problem> {
        let others: Vec<Uuid> = people
            .iter()
            .map(|(_, id)| *id)
            .filter(|id| *id != viewer.id)
            .collect();
        let unknown = if others.is_empty() {
            HashSet::new()
        } else {
            self.unknown_people(&others).await?
        };
        let mut errors = FieldErrors::new();
        for (field, id) in people {
            errors.check(!unknown.contains(id), field, "is not the id of anybody");
            errors.check(!head.teachers.contains(id), field, "teaches the course");
        }
        errors.finish()
    }

    /// Not for those who are enrolled already: repeating it must not fail where the course is full.
    async fn check_places(
        &self,
        course_id: Uuid,
        people: &[(String, Uuid)],
    ) -> Result<(), Problem> {
        let enrolled = self
            .store
            .scan::<EnrolmentByCourse>((course_id,))
            .all()
            .await?;
        let enrolled: HashSet<Uuid> = enrolled.into_iter().map(|row| row.user_id).collect();
        let more = people
            .iter()
            .filter(|(_, id)| !enrolled.contains(id))
            .count();
        if more > 0 && enrolled.len() + more > self.config.enrolments_max {
            let most = self.config.enrolments_max;
            return Err(Problem::conflict(format!(
                "a course has at most {most} people, and {} are enrolled",
                enrolled.len()
            )));
        }
        Ok(())
    }

    /// Ends an enrolment: a person's own, or by who may change the course.
    pub(crate) async fn leave(
        &self,
        viewer: &Viewer,
        (course_id, user_id): (Uuid, Uuid),
        if_match: &IfMatch,
    ) -> Result<(), Problem> {
        let own = viewer.id == user_id;
        let (_, access) = self.head_for_leaving(viewer, course_id, own).await?;
        if !own && !access.write {
            return Err(Problem::forbidden(
                "only those who teach the course may end another's enrolment",
            ));
        }
        self.enrolments
            .update(&(course_id, user_id), None, Act::by(viewer.id), |current| {
                if !current.state.active {
                    return Err(no_enrolment());
                }
                if_match.check_version(current.version.cast_unsigned())?;
                Ok(Some(Draft::new("left", current.state.ended())))
            })
            .await?;
        Ok(())
    }

    /// People may leave a course that they may not read at the moment (it was withdrawn), as long as
    /// they are enrolled.
    async fn head_for_leaving(
        &self,
        viewer: &Viewer,
        course_id: Uuid,
        own: bool,
    ) -> Result<(CourseHead, Access), Problem> {
        let head = self.head(course_id).await?.ok_or_else(no_course)?;
        let enrolled = self.is_enrolled(course_id, viewer.id).await?;
        let access = Access::of(viewer, &head.facts(), enrolled);
        if access.read || (own && enrolled) {
            Ok((head, access))
        } else {
            Err(no_course())
        }
    }

    /// One enrolment: for those who may change the course, and for the person.
    pub(crate) async fn read_enrolment(
        &self,
        viewer: &Viewer,
        (course_id, user_id): (Uuid, Uuid),
    ) -> Result<Version<Enrolment>, Problem> {
        let (_, access) = self.readable_head(viewer, course_id).await?;
        if !access.write && viewer.id != user_id {
            return Err(Problem::forbidden(
                "only those who teach the course may see who is enrolled",
            ));
        }
        let newest = self.enrolments.load(&(course_id, user_id)).await?;
        newest
            .filter(|newest| newest.state.active)
            .ok_or_else(no_enrolment)
    }

    /// A page of those who are enrolled, by id, for those who may change the course.
    pub(crate) async fn list_enrolments(
        &self,
        viewer: &Viewer,
        course_id: Uuid,
        after: Option<Uuid>,
        limit: usize,
    ) -> Result<(Vec<EnrolmentByCourse>, Option<Uuid>), Problem> {
        self.insist_on_write(viewer, course_id).await?;
        let mut scan = self
            .store
            .scan::<EnrolmentByCourse>((course_id,))
            .limit(limit + 1);
        if let Some(after) = after {
            scan = scan.after((after,));
        }
        let mut rows = scan.page().await?.rows;
        let next = (rows.len() > limit).then(|| rows[limit - 1].user_id);
        rows.truncate(limit);
        Ok((rows, next))
    }
}

/// Teachers enrol anybody; people enrol themselves where the course is open. Of a published course one
/// may learn by trying that it is there: whoever has its id was told by somebody.
fn check_right(
    viewer: &Viewer,
    head: &CourseHead,
    access: Access,
    people: &[(String, Uuid)],
) -> Result<(), Problem> {
    if access.write {
        return Ok(());
    }
    if !access.read && head.status != Status::Published {
        return Err(no_course());
    }
    if people.iter().any(|(_, id)| *id != viewer.id) {
        return Err(Problem::forbidden(
            "only those who teach the course may enrol others",
        ));
    }
    let open = head.status == Status::Published && head.visibility == Visibility::Open;
    if open || access.enrolled {
        return Ok(());
    }
    Err(Problem::forbidden(
        "those who teach this course enrol people; ask them",
    ))
}

fn no_enrolment() -> Problem {
    Problem::not_found("enrolment")
}
