//! What the service does: rights first, then rules, then the journal.

mod courses;
mod enrolments;
mod people;
mod sections;

use std::sync::Arc;

use chrono::{DateTime, SubsecRound as _, Utc};
use riwaq_aggregates::records::Store;
use riwaq_aggregates::{CursorKey, Idempotency, Journal, Outbox};
use riwaq_api::Channel;
use riwaq_clock::SharedClock;
use riwaq_kit::{Problem, TaskGroup};
use uuid::Uuid;

use crate::domain::{Access, Course, Enrolment, Facts, Viewer};
use crate::lists::Lists;
use crate::records::{CourseHead, EnrolmentByCourse};
use crate::semesters::Semesters;
use crate::{Config, CoursesError, Deps};

pub(crate) use enrolments::Enrolled;
pub(crate) use sections::no_section;

/// Everything that handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) clock: SharedClock,
    pub(crate) store: Store,
    pub(crate) courses: Journal<Course>,
    pub(crate) enrolments: Journal<Enrolment>,
    pub(crate) semesters: Semesters,
    pub(crate) lists: Lists,
    pub(crate) users: Channel,
    pub(crate) cursors: CursorKey,
    pub(crate) idempotency: Idempotency,
    pub(crate) tasks: TaskGroup,
}

impl App {
    /// The application and its outbox, whose relay is to be run.
    pub(crate) fn new(config: Config, deps: &Deps) -> Result<(Arc<Self>, Outbox), CoursesError> {
        config.validate()?;
        let (store, clock) = (deps.store.clone(), Arc::clone(&deps.clock));
        let outbox = Outbox::new(
            crate::NAME,
            store.clone(),
            Arc::clone(&deps.events),
            Arc::clone(&clock),
            config.outbox.clone(),
            Arc::new(riwaq_kit::context::traceparent),
        )?;
        let semesters = Semesters::new(store.clone(), Arc::clone(&clock));
        let keys = config.idempotency.clone();
        let app = Self {
            courses: outbox.journal()?,
            enrolments: outbox.journal()?,
            lists: Lists::new(store.clone(), semesters.clone()),
            semesters,
            users: deps.users.clone(),
            cursors: deps.cursors.clone(),
            idempotency: Idempotency::new(crate::NAME, store.clone(), Arc::clone(&clock), keys)?,
            tasks: deps.tasks.clone(),
            config,
            clock,
            store,
        };
        Ok((Arc::new(app), outbox))
    }

    /// Now, in whole milliseconds, as the tables keep it: what is answered is what is read later.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now().trunc_subsecs(3)
    }

    /// What decides about rights over a course, if there is such a course.
    pub(crate) async fn head(&self, course_id: Uuid) -> Result<Option<CourseHead>, Problem> {
        Ok(self.store.get::<CourseHead>((course_id,)).await?)
    }

    pub(crate) async fn is_enrolled(
        &self,
        course_id: Uuid,
        user_id: Uuid,
    ) -> Result<bool, Problem> {
        Ok(self
            .store
            .get::<EnrolmentByCourse>((course_id, user_id))
            .await?
            .is_some())
    }

    /// What the viewer may do, reading the enrolment only where it decides.
    pub(crate) async fn access(
        &self,
        viewer: &Viewer,
        course_id: Uuid,
        facts: &Facts,
    ) -> Result<Access, Problem> {
        let enrolled = Access::depends_on_enrolment(viewer, facts)
            && self.is_enrolled(course_id, viewer.id).await?;
        Ok(Access::of(viewer, facts, enrolled))
    }

    /// The course's head and the viewer's rights; 404 where the viewer may not know of it.
    pub(crate) async fn readable_head(
        &self,
        viewer: &Viewer,
        course_id: Uuid,
    ) -> Result<(CourseHead, Access), Problem> {
        let head = self.head(course_id).await?.ok_or_else(no_course)?;
        let access = self.access(viewer, course_id, &head.facts()).await?;
        if access.read {
            Ok((head, access))
        } else {
            Err(no_course())
        }
    }

    /// 404 where the viewer may not know of the course, 403 where it may only be read.
    pub(crate) async fn insist_on_write(
        &self,
        viewer: &Viewer,
        course_id: Uuid,
    ) -> Result<CourseHead, Problem> {
        let (head, access) = self.readable_head(viewer, course_id).await?;
        if access.write {
            Ok(head)
        } else {
            Err(only_teachers())
        }
    }
}

/// Checks once more on what is about to be changed: the rights may have gone since they were looked at.
fn still_writable(viewer: &Viewer, course: &Course) -> Result<(), Problem> {
    if course.deleted {
        return Err(no_course());
    }
    if viewer.writes_any() || course.is_taught_by(viewer.id) {
        Ok(())
    } else {
        Err(only_teachers())
    }
}

pub(crate) fn no_course() -> Problem {
    Problem::not_found("course")
}

fn only_teachers() -> Problem {
    Problem::forbidden("only those who teach the course may do this")
}
