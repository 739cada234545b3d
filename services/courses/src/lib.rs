//! Courses, sections, enrolments and who may read what.
