//! The tables: versions of courses and enrolments, and one table for each question that is asked often.

use chrono::{DateTime, Utc};
use riwaq_aggregates::records::{RecordsError, Table, TableSchema, Value};
use riwaq_aggregates::{Aggregate, Version, ViewRows, version_table};
use serde_json::json;
use uuid::Uuid;

use crate::domain::{Course, Enrolment, Facts, Role, Status, Visibility, semester_of};
use crate::events::{COURSE_CHANGED, ENROLMENT_CHANGED};
use crate::http::summary_json;

version_table! {
    /// Every version of every course: the source of truth.
    pub(crate) fn course_versions() = "course_versions", since 1;
    key { course_id: Uuid }
    columns { title: String, status: String, owner: Uuid, deleted: bool }
}

version_table! {
    /// Every version of every enrolment: the source of truth.
    pub(crate) fn enrolment_versions() = "enrolment_versions", since 1;
    key { course_id: Uuid, user_id: Uuid }
    columns { active: bool }
}

/// What decides about rights over a course; gone when the course is deleted.
#[derive(Debug, Clone, PartialEq, Table)]
#[table(name = "course_heads", write = "timestamped", partition(course_id))]
pub(crate) struct CourseHead {
    pub(crate) course_id: Uuid,
    pub(crate) version: i64,
    pub(crate) title: String,
    #[column(text)]
    pub(crate) status: Status,
    #[column(text)]
    pub(crate) visibility: Visibility,
    #[column(json)]
    pub(crate) teachers: Vec<Uuid>,
    /// The course as it stands in lists, ready to be sent.
    pub(crate) summary: String,
}

impl CourseHead {
    pub(crate) fn facts(&self) -> Facts {
        Facts {
            status: self.status,
            visibility: self.visibility,
            teachers: self.teachers.clone(),
        }
    }
}

/// The lists of [`CourseInList`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    /// Every course that is not deleted.
    All,
    /// Those that everybody may read.
    Open,
}

impl List {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Open => "open",
        }
    }
}

/// Courses of a list, newest first, by the half-year in which they were made.
#[derive(Debug, Clone, PartialEq, Table)]
#[table(
    name = "courses_by_semester",
    write = "timestamped",
    partition(list, semester),
    clustering(course_id desc)
)]
pub(crate) struct CourseInList {
    pub(crate) list: String,
    pub(crate) semester: i64,
    pub(crate) course_id: Uuid,
    pub(crate) version: i64,
    /// As in [`CourseHead`].
    pub(crate) summary: String,
}

/// Ids of courses that everybody may read: for filters, which need nothing else.
#[derive(Debug, Clone, PartialEq, Table)]
#[table(
    name = "open_course_ids",
    write = "timestamped",
    partition(semester),
    clustering(course_id desc)
)]
pub(crate) struct OpenCourseId {
    pub(crate) semester: i64,
    pub(crate) course_id: Uuid,
    pub(crate) version: i64,
}

/// The half-years in which courses were made. Written before the first course of one, never deleted.
#[derive(Debug, Clone, PartialEq, Table)]
#[table(name = "course_semesters", write = "timestamped", partition(scope), clustering(semester desc))]
pub(crate) struct SemesterRow {
    pub(crate) scope: String,
    pub(crate) semester: i64,
    /// For operators: `2026-1`. Always the same, since many write this row.
    pub(crate) name: String,
}

impl SemesterRow {
    /// Older than any other: every write of the row is the same one.
    pub(crate) const TIMESTAMP_MICROS: i64 = 1;
    const SCOPE: &'static str = "courses";

    pub(crate) fn partition() -> (String,) {
        (Self::SCOPE.to_owned(),)
    }

    pub(crate) fn new(semester: i64) -> Self {
        let name = format!("{}-{}", semester.div_euclid(2), semester.rem_euclid(2) + 1);
        Self {
            scope: Self::SCOPE.to_owned(),
            semester,
            name,
        }
    }
}

/// Why a course is a person's.
pub(crate) const ENROLLED: &str = "enrolled";
/// Why a course is a person's.
pub(crate) const TEACHES: &str = "teaches";

/// The courses of a person, newest first. Rows of those who teach come from the course and show it;
/// rows of those who are enrolled come from the enrolment, which does not know the course: only its id.
#[derive(Debug, Clone, PartialEq, Table)]
#[table(
    name = "courses_by_person",
    write = "timestamped",
    partition(user_id),
    clustering(course_id desc, relation)
)]
pub(crate) struct CourseByPerson {
    pub(crate) user_id: Uuid,
    pub(crate) course_id: Uuid,
    /// [`ENROLLED`] or [`TEACHES`].
    pub(crate) relation: String,
    /// Of the course, or of the enrolment.
    pub(crate) version: i64,
    /// As in [`CourseHead`], for [`TEACHES`].
    pub(crate) summary: Option<String>,
}

/// Who is enrolled in a course.
#[derive(Debug, Clone, PartialEq, Table)]
#[table(
    name = "enrolments_by_course",
    write = "timestamped",
    partition(course_id),
    clustering(user_id)
)]
pub(crate) struct EnrolmentByCourse {
    pub(crate) course_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) version: i64,
    #[column(text)]
    pub(crate) role: Role,
    pub(crate) since: DateTime<Utc>,
}

/// Every table of this service.
#[must_use]
pub fn tables() -> Vec<&'static TableSchema> {
    vec![
        course_versions(),
        enrolment_versions(),
        CourseHead::schema(),
        CourseInList::schema(),
        OpenCourseId::schema(),
        SemesterRow::schema(),
        CourseByPerson::schema(),
        EnrolmentByCourse::schema(),
    ]
}

impl Aggregate for Course {
    type Id = Uuid;
    const KIND: &'static str = "course";
    const EVENT: Option<&'static str> = Some(COURSE_CHANGED);

    fn table() -> &'static TableSchema {
        course_versions()
    }

    fn columns(&self) -> Vec<Value> {
        vec![
            Value::from(self.fields.title.as_str()),
            Value::from(self.status.as_str()),
            Value::from(self.owner),
            Value::from(self.deleted),
        ]
    }

    fn views(version: &Version<Self>, rows: &mut ViewRows) -> Result<(), RecordsError> {
        let course = &version.state;
        if course.deleted {
            return Ok(());
        }
        let (course_id, number) = (version.id, version.version);
        let summary = summary_json(version)?;
        let semester = semester_of(course_id);
        let in_list = |list: List| CourseInList {
            list: list.as_str().to_owned(),
            semester,
            course_id,
            version: number,
            summary: summary.clone(),
        };
        rows.put(&CourseHead {
            course_id,
            version: number,
            title: course.fields.title.clone(),
            status: course.status,
            visibility: course.fields.visibility,
            teachers: course.teachers.clone(),
            summary: summary.clone(),
        })?;
        rows.put(&in_list(List::All))?;
        if course.is_open_to_all() {
            rows.put(&in_list(List::Open))?;
            rows.put(&OpenCourseId {
                semester,
                course_id,
                version: number,
            })?;
        }
        course.teachers.iter().try_for_each(|teacher| {
            rows.put(&CourseByPerson {
                user_id: *teacher,
                course_id,
                relation: TEACHES.to_owned(),
                version: number,
                summary: Some(summary.clone()),
            })
        })
    }

    fn event_data(version: &Version<Self>) -> serde_json::Value {
        json!({ "id": version.id, "version": version.version })
    }
}

impl Aggregate for Enrolment {
    type Id = (Uuid, Uuid);
    const KIND: &'static str = "enrolment";
    const EVENT: Option<&'static str> = Some(ENROLMENT_CHANGED);

    fn table() -> &'static TableSchema {
        enrolment_versions()
    }

    fn columns(&self) -> Vec<Value> {
        vec![Value::from(self.active)]
    }

    fn views(version: &Version<Self>, rows: &mut ViewRows) -> Result<(), RecordsError> {
        let enrolment = &version.state;
        if !enrolment.active {
            return Ok(());
        }
        rows.put(&EnrolmentByCourse {
            course_id: enrolment.course_id,
            user_id: enrolment.user_id,
            version: version.version,
            role: enrolment.role,
            since: enrolment.since,
        })?;
        rows.put(&CourseByPerson {
            user_id: enrolment.user_id,
            course_id: enrolment.course_id,
            relation: ENROLLED.to_owned(),
            version: version.version,
            summary: None,
        })
    }

    fn event_data(version: &Version<Self>) -> serde_json::Value {
        let enrolment = &version.state;
        json!({
            "course_id": enrolment.course_id, "user_id": enrolment.user_id, "version": version.version,
        })
    }
}
