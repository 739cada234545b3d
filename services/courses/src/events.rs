//! What is told to other services: that something changed, and which version is the newest.

/// A course, its sections or its teachers changed; data `{id, version}`.
pub const COURSE_CHANGED: &str = "riwaq.courses.course.changed";
/// An enrolment began, ended or began again; data `{course_id, user_id, version}`.
pub const ENROLMENT_CHANGED: &str = "riwaq.courses.enrolment.changed";
