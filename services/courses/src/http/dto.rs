//! What is sent and received.

use chrono::{DateTime, Utc};
use riwaq_aggregates::Version;
use riwaq_aggregates::records::RecordsError;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{self, CourseEdit, CourseFields, Role, SectionEdit, Status, Visibility};
use crate::records::EnrolmentByCourse;

/// A course as it stands in lists.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CourseSummary<'a> {
    id: Uuid,
    title: &'a str,
    description: &'a str,
    /// A language tag (RFC 5646).
    language: Option<&'a str>,
    subject: Option<&'a str>,
    level: Option<&'a str>,
    status: Status,
    visibility: Visibility,
    /// The id of who made it.
    owner: Uuid,
    /// The ids of all who teach it, the owner first.
    teachers: &'a [Uuid],
    /// Grows by one with every change; the ETag is made from it.
    #[schema(minimum = 1)]
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// A course with its sections.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Course<'a> {
    #[serde(flatten)]
    summary: CourseSummary<'a>,
    /// In the order in which they are read.
    sections: Vec<Section<'a>>,
}

/// A part of a course.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Section<'a> {
    id: Uuid,
    title: &'a str,
    body: &'a str,
    /// Counted from 0.
    position: usize,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// One version of a course, without its content.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CourseVersion<'a> {
    #[schema(minimum = 1)]
    version: i64,
    /// What was done, in one word.
    #[schema(example = "published")]
    change: &'a str,
    changed_at: DateTime<Utc>,
    /// The id of who did it; null for the system itself.
    changed_by: Option<Uuid>,
    title: &'a str,
    status: Status,
}

/// One version of a course with its content.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CourseVersionDetail<'a> {
    #[serde(flatten)]
    version: CourseVersion<'a>,
    course: Course<'a>,
}

/// A person's enrolment in a course.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Enrolment {
    user_id: Uuid,
    role: Role,
    /// Since when the person is enrolled.
    created_at: DateTime<Utc>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    pub(crate) items: Vec<T>,
    /// Where the list goes on, as `cursor`; null at its end.
    pub(crate) next_cursor: Option<String>,
}

impl<'a> CourseSummary<'a> {
    fn new(version: &'a Version<domain::Course>) -> Self {
        let course = &version.state;
        Self {
            id: version.id,
            title: &course.fields.title,
            description: &course.fields.description,
            language: course.fields.language.as_deref(),
            subject: course.fields.subject.as_deref(),
            level: course.fields.level.as_deref(),
            status: course.status,
            visibility: course.fields.visibility,
            owner: course.owner,
            teachers: &course.teachers,
            version: version.version,
            created_at: course.created_at,
            updated_at: version.at,
        }
    }
}

impl<'a> Course<'a> {
    pub(crate) fn new(version: &'a Version<domain::Course>) -> Self {
        let sections = version.state.sections.iter().enumerate();
        Self {
            summary: CourseSummary::new(version),
            sections: sections
                .map(|(position, section)| Section::new(position, section))
                .collect(),
        }
    }
}

impl<'a> Section<'a> {
    pub(crate) fn new(position: usize, section: &'a domain::Section) -> Self {
        Self {
            id: section.id,
            title: &section.title,
            body: &section.body,
            position,
            created_at: section.created_at,
            updated_at: section.updated_at,
        }
    }
}

impl<'a> CourseVersion<'a> {
    pub(crate) fn new(version: &'a Version<domain::Course>) -> Self {
        Self {
            version: version.version,
            change: &version.change,
            changed_at: version.at,
            changed_by: version.actor,
            title: &version.state.fields.title,
            status: version.state.status,
        }
    }
}

impl<'a> CourseVersionDetail<'a> {
    pub(crate) fn new(version: &'a Version<domain::Course>) -> Self {
        Self {
            version: CourseVersion::new(version),
            course: Course::new(version),
        }
    }
}

impl From<&domain::Enrolment> for Enrolment {
    fn from(enrolment: &domain::Enrolment) -> Self {
        Self {
            user_id: enrolment.user_id,
            role: enrolment.role,
            created_at: enrolment.since,
        }
    }
}

impl From<EnrolmentByCourse> for Enrolment {
    fn from(row: EnrolmentByCourse) -> Self {
        Self {
            user_id: row.user_id,
            role: row.role,
            created_at: row.since,
        }
    }
}

/// The course as it stands in lists. Kept in the tables of the lists, so that reading a list writes
/// no JSON; when this form changes, `Journal::rebuild_views` brings the tables up to date.
pub(crate) fn summary_json(version: &Version<domain::Course>) -> Result<String, RecordsError> {
    serde_json::to_string(&CourseSummary::new(version))
        .map_err(|error| RecordsError::invalid("summary", error.to_string()))
}

/// A course to be made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"title": "Algèbre linéaire", "description": "Espaces vectoriels, matrices.", "language": "fr", "visibility": "open"}))]
pub(crate) struct NewCourse {
    #[schema(min_length = 1, max_length = 200)]
    title: String,
    #[serde(default)]
    #[schema(max_length = 10000)]
    description: String,
    /// A language tag (RFC 5646).
    #[schema(max_length = 35)]
    language: Option<String>,
    #[schema(min_length = 1, max_length = 100)]
    subject: Option<String>,
    #[schema(min_length = 1, max_length = 100)]
    level: Option<String>,
    /// Whom it is for once it is published; closed unless said otherwise.
    visibility: Option<Visibility>,
}

impl NewCourse {
    pub(crate) fn fields(&self) -> CourseFields {
        CourseFields {
            title: self.title.clone(),
            description: self.description.clone(),
            language: self.language.clone(),
            subject: self.subject.clone(),
            level: self.level.clone(),
            visibility: self.visibility.unwrap_or(Visibility::Closed),
        }
    }
}

/// A course as it is to be from now on: what is left out is emptied, but for the status.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"title": "Algèbre linéaire", "description": "Espaces vectoriels.", "visibility": "open", "status": "published"}))]
pub(crate) struct CourseReplacement {
    #[schema(min_length = 1, max_length = 200)]
    title: String,
    #[serde(default)]
    #[schema(max_length = 10000)]
    description: String,
    /// A language tag (RFC 5646).
    #[schema(max_length = 35)]
    language: Option<String>,
    #[schema(min_length = 1, max_length = 100)]
    subject: Option<String>,
    #[schema(min_length = 1, max_length = 100)]
    level: Option<String>,
    /// Closed unless said otherwise.
    visibility: Option<Visibility>,
    /// As it is unless said otherwise.
    status: Option<Status>,
}

impl CourseReplacement {
    pub(crate) fn into_edit(self) -> CourseEdit {
        let fields = CourseFields {
            title: self.title,
            description: self.description,
            language: self.language,
            subject: self.subject,
            level: self.level,
            visibility: self.visibility.unwrap_or(Visibility::Closed),
        };
        CourseEdit::replacing(fields, self.status)
    }
}

/// What is to change about a course (JSON Merge Patch, RFC 7396): what is left out stays, null empties.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
#[schema(example = json!({"status": "published"}))]
pub(crate) struct CoursePatch {
    #[serde(deserialize_with = "some")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    title: Option<String>,
    #[serde(deserialize_with = "some")]
    #[schema(value_type = Option<String>, required = false, max_length = 10000)]
    description: Option<Option<String>>,
    #[serde(deserialize_with = "some")]
    #[schema(value_type = Option<String>, required = false, max_length = 35)]
    language: Option<Option<String>>,
    #[serde(deserialize_with = "some")]
    #[schema(value_type = Option<String>, required = false, min_length = 1, max_length = 100)]
    subject: Option<Option<String>>,
    #[serde(deserialize_with = "some")]
    #[schema(value_type = Option<String>, required = false, min_length = 1, max_length = 100)]
    level: Option<Option<String>>,
    #[serde(deserialize_with = "some")]
    #[schema(value_type = Visibility, required = false)]
    visibility: Option<Visibility>,
    #[serde(deserialize_with = "some")]
    #[schema(value_type = Status, required = false)]
    status: Option<Status>,
}

impl CoursePatch {
    pub(crate) fn into_edit(self) -> CourseEdit {
        CourseEdit {
            title: self.title,
            description: self.description.map(Option::unwrap_or_default),
            language: self.language,
            subject: self.subject,
            level: self.level,
            visibility: self.visibility,
            status: self.status,
        }
    }
}

/// A section to be made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"title": "Matrices", "body": "Définitions et exemples.", "position": 0}))]
pub(crate) struct NewSection {
    #[schema(min_length = 1, max_length = 200)]
    pub(crate) title: String,
    #[serde(default)]
    #[schema(max_length = 20000)]
    pub(crate) body: String,
    /// Before which section, counted from 0; at the end where left out or beyond it.
    #[schema(minimum = 0, maximum = 4294967295_u32)]
    pub(crate) position: Option<u32>,
}

/// What is to change about a section (JSON Merge Patch, RFC 7396).
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"title": "Matrices et déterminants"}))]
pub(crate) struct SectionPatch {
    #[serde(deserialize_with = "some")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    title: Option<String>,
    #[serde(deserialize_with = "some")]
    #[schema(value_type = Option<String>, required = false, max_length = 20000)]
    body: Option<Option<String>>,
    /// Counted from 0; beyond the end: the end.
    #[serde(deserialize_with = "some")]
    #[schema(value_type = u32, required = false, minimum = 0, maximum = 4294967295_u32)]
    position: Option<u32>,
}

impl SectionPatch {
    pub(crate) fn into_edit(self) -> SectionEdit {
        SectionEdit {
            title: self.title,
            body: self.body.map(Option::unwrap_or_default),
            position: self.position.map(|position| position as usize),
        }
    }
}

/// The order of all sections of a course.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"ids": ["0198c0de-0000-7000-8000-000000000001"]}))]
pub(crate) struct SectionOrder {
    /// Every section's id, once.
    pub(crate) ids: Vec<Uuid>,
}

/// Who is to be enrolled: one, several, or nobody named for oneself.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"user_ids": ["0198c0de-0000-7000-8000-000000000002"]}))]
pub(crate) struct NewEnrolment {
    pub(crate) user_id: Option<Uuid>,
    /// Not together with `user_id`; each once.
    #[schema(min_items = 1, max_items = 200)]
    pub(crate) user_ids: Option<Vec<Uuid>>,
}

/// Tells "left out" (the default, none) from a value, which may be null where the type allows it.
fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
