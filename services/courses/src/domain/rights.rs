//! Who may do what with a course.

use riwaq_identity::{Permission, PermissionSet};
use uuid::Uuid;

use super::{Course, Status, Visibility};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Viewer {
    pub(crate) id: Uuid,
    pub(crate) permissions: PermissionSet,
}

impl Viewer {
    pub(crate) fn reads_any(&self) -> bool {
        self.permissions.has(Permission::CoursesReadAny)
    }

    pub(crate) fn writes_any(&self) -> bool {
        self.permissions.has(Permission::CoursesWriteAny)
    }
}

/// What a right depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) status: Status,
    pub(crate) visibility: Visibility,
    pub(crate) teachers: Vec<Uuid>,
}

impl From<&Course> for Facts {
    fn from(course: &Course) -> Self {
        Self {
            status: course.status,
            visibility: course.fields.visibility,
            teachers: course.teachers.clone(),
        }
    }
}

/// What somebody may do with a course that is not deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) enrolled: bool,
}

impl Access {
    pub(crate) fn of(viewer: &Viewer, facts: &Facts, enrolled: bool) -> Self {
        let teaches = facts.teachers.contains(&viewer.id);
        let write = teaches || viewer.writes_any();
        let published = facts.status == Status::Published;
        let as_student = published && (enrolled || facts.visibility == Visibility::Open);
        Self {
            read: write || viewer.reads_any() || as_student,
            write,
            enrolled,
        }
    }

    /// Whether the answer would depend on an enrolment: otherwise it need not be read.
    pub(crate) fn depends_on_enrolment(viewer: &Viewer, facts: &Facts) -> bool {
        Self::of(viewer, facts, false).read != Self::of(viewer, facts, true).read
    }
}

#[cfg(test)]
mod tests {
    use riwaq_identity::access::{ADMIN, STUDENT, TEACHER, given_role};

    use super::*;

    const OWNER: Uuid = Uuid::from_u128(1);

    fn access(
        role: &str,
        id: u128,
        status: Status,
        visibility: Visibility,
        enrolled: bool,
    ) -> (bool, bool) {
        let viewer = Viewer {
            id: Uuid::from_u128(id),
            permissions: given_role(role).unwrap(),
        };
        let facts = Facts {
            status,
            visibility,
            teachers: vec![OWNER],
        };
        let access = Access::of(&viewer, &facts, enrolled);
        (access.read, access.write)
    }

    #[test]
    fn the_whole_table_of_rights() {
        use Status::{Archived, Draft, Published};
        use Visibility::{Closed, Open};
        for status in [Draft, Published, Archived] {
            for visibility in [Open, Closed] {
                for enrolled in [false, true] {
                    let readable = status == Published && (visibility == Open || enrolled);
                    let case = format!("{status} {visibility} enrolled={enrolled}");
                    assert_eq!(
                        access(TEACHER, 1, status, visibility, enrolled),
                        (true, true),
                        "own {case}"
                    );
                    assert_eq!(
                        access(ADMIN, 2, status, visibility, enrolled),
                        (true, true),
                        "admin {case}"
                    );
                    assert_eq!(
                        access(TEACHER, 3, status, visibility, enrolled),
                        (readable, false),
                        "other {case}"
                    );
                    assert_eq!(
                        access(STUDENT, 4, status, visibility, enrolled),
                        (readable, false),
                        "student {case}"
                    );
                }
            }
        }
    }

    #[test]
    fn an_enrolment_is_asked_for_only_where_it_matters() {
        let facts = |status, visibility| Facts {
            status,
            visibility,
            teachers: vec![OWNER],
        };
        let student = Viewer {
            id: Uuid::from_u128(4),
            permissions: given_role(STUDENT).unwrap(),
        };
        let owner = Viewer {
            id: OWNER,
            permissions: given_role(TEACHER).unwrap(),
        };
        assert!(Access::depends_on_enrolment(
            &student,
            &facts(Status::Published, Visibility::Closed)
        ));
        assert!(!Access::depends_on_enrolment(
            &student,
            &facts(Status::Published, Visibility::Open)
        ));
        assert!(!Access::depends_on_enrolment(
            &student,
            &facts(Status::Draft, Visibility::Closed)
        ));
        assert!(!Access::depends_on_enrolment(
            &owner,
            &facts(Status::Published, Visibility::Closed)
        ));
    }
}
