//! A person's enrolment in a course. Leaving and coming back are further versions of the same one.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::words::words;
use utoipa::ToSchema;

words! {
    /// As what a person takes part.
    #[schema(as = EnrolmentRole)]
    Role {
        /// Learns.
        Student = "student",
    }
}

/// The state of an enrolment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Enrolment {
    pub(crate) course_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) role: Role,
    /// Since when, this time.
    pub(crate) since: DateTime<Utc>,
    /// False after leaving.
    pub(crate) active: bool,
}

impl Enrolment {
    pub(crate) const fn new(course_id: Uuid, user_id: Uuid, since: DateTime<Utc>) -> Self {
        Self {
            course_id,
            user_id,
            role: Role::Student,
            since,
            active: true,
        }
    }

    pub(crate) fn ended(&self) -> Self {
        Self {
            active: false,
            ..self.clone()
        }
    }
}
