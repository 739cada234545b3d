//! The rules of courses, without any I/O.

mod course;
mod edit;
mod enrolment;
mod rights;
mod semester;
mod words;

pub(crate) use course::{Course, NewSection, Section};
pub(crate) use edit::{CourseEdit, CourseFields, SectionEdit, check_course, check_section};
pub(crate) use enrolment::{Enrolment, Role};
pub(crate) use rights::{Access, Facts, Viewer};
pub(crate) use semester::{semester_at, semester_of};
pub(crate) use words::{Status, Visibility};
