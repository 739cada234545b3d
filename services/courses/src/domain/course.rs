//! A course and its sections.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{CourseEdit, CourseFields, SectionEdit, Status, Visibility};

/// The state of a course, kept whole with every version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Course {
    #[serde(flatten)]
    pub(crate) fields: CourseFields,
    pub(crate) status: Status,
    pub(crate) owner: Uuid,
    /// Everybody who teaches it, the owner first.
    pub(crate) teachers: Vec<Uuid>,
    pub(crate) sections: Vec<Section>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) deleted: bool,
}

/// A part of a course, in the order in which it is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Section {
    pub(crate) id: Uuid,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// A section to be added.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewSection {
    pub(crate) id: Uuid,
    pub(crate) title: String,
    pub(crate) body: String,
    /// Before which section, counted from 0; beyond the last, or none: at the end.
    pub(crate) position: Option<usize>,
    pub(crate) at: DateTime<Utc>,
}

impl Course {
    pub(crate) fn new(fields: CourseFields, owner: Uuid, at: DateTime<Utc>) -> Self {
        Self {
            fields,
            status: Status::Draft,
            owner,
            teachers: vec![owner],
            sections: Vec::new(),
            created_at: at,
            deleted: false,
        }
    }

    pub(crate) fn is_taught_by(&self, user: Uuid) -> bool {
        self.teachers.contains(&user)
    }

    /// Whether everybody may read it.
    pub(crate) fn is_open_to_all(&self) -> bool {
        !self.deleted
            && self.status == Status::Published
            && self.fields.visibility == Visibility::Open
    }

    pub(crate) fn edited(&self, edit: &CourseEdit) -> Self {
        let mut next = self.clone();
        edit.apply(&mut next.fields);
        next.status = edit.status.unwrap_or(next.status);
        next
    }

    pub(crate) fn with_teacher(&self, user: Uuid) -> Self {
        let mut next = self.clone();
        if !next.is_taught_by(user) {
            next.teachers.push(user);
        }
        next
    }

    pub(crate) fn without_teacher(&self, user: Uuid) -> Self {
        let mut next = self.clone();
        next.teachers.retain(|teacher| *teacher != user);
        next
    }

    pub(crate) fn section(&self, id: Uuid) -> Option<(usize, &Section)> {
        self.sections
            .iter()
            .enumerate()
            .find(|(_, section)| section.id == id)
    }

    pub(crate) fn with_section(&self, new: NewSection) -> Self {
        let mut next = self.clone();
        let end = next.sections.len();
        let section = Section {
            id: new.id,
            title: new.title,
            body: new.body,
            created_at: new.at,
            updated_at: new.at,
        };
        next.sections
            .insert(new.position.unwrap_or(end).min(end), section);
        next
    }

    /// With the section changed, and moved where the edit says so; the same where it is not there.
    pub(crate) fn with_section_edited(
        &self,
        id: Uuid,
        edit: &SectionEdit,
        at: DateTime<Utc>,
    ) -> Self {
        let mut next = self.clone();
        let Some((from, section)) = self.section(id) else {
            return next;
        };
        let mut changed = section.clone();
        edit.title.clone_into_some(&mut changed.title);
        edit.body.clone_into_some(&mut changed.body);
        let to = edit.position.unwrap_or(from).min(next.sections.len() - 1);
        if changed == *section && to == from {
            return next;
        }
        changed.updated_at = at;
        next.sections.remove(from);
        next.sections.insert(to, changed);
        next
    }

    pub(crate) fn without_section(&self, id: Uuid) -> Self {
        let mut next = self.clone();
        next.sections.retain(|section| section.id != id);
        next
    }

    /// In this order; none where the ids are not exactly those of the sections.
    pub(crate) fn reordered(&self, ids: &[Uuid]) -> Option<Self> {
        if ids.len() != self.sections.len() {
            return None;
        }
        let mut left = self.sections.clone();
        let mut sections = Vec::with_capacity(left.len());
        for id in ids {
            let at = left.iter().position(|section| section.id == *id)?;
            sections.push(left.remove(at));
        }
        Some(Self {
            sections,
            ..self.clone()
        })
    }

    pub(crate) fn deleted(&self) -> Self {
        Self {
            deleted: true,
            ..self.clone()
        }
    }
}

/// Takes a new value where there is one.
trait CloneIntoSome<T> {
    fn clone_into_some(&self, target: &mut T);
}

impl<T: Clone> CloneIntoSome<T> for Option<T> {
    fn clone_into_some(&self, target: &mut T) {
        if let Some(value) = self {
            target.clone_from(value);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn course(owner: u128) -> Course {
        let fields = CourseFields {
            title: "Algèbre".into(),
            description: String::new(),
            language: None,
            subject: None,
            level: None,
            visibility: Visibility::Closed,
        };
        Course::new(fields, Uuid::from_u128(owner), DateTime::UNIX_EPOCH)
    }

    fn with_sections(count: u128) -> Course {
        (1..=count).fold(course(1), |course, id| {
            course.with_section(section(id, None))
        })
    }

    fn section(id: u128, position: Option<usize>) -> NewSection {
        NewSection {
            id: Uuid::from_u128(id),
            title: format!("Section {id}"),
            body: String::new(),
            position,
            at: DateTime::UNIX_EPOCH,
        }
    }

    fn ids(course: &Course) -> Vec<u128> {
        course
            .sections
            .iter()
            .map(|section| section.id.as_u128())
            .collect()
    }

    #[test]
    fn sections_go_where_they_are_put() {
        let course = with_sections(3);
        assert_eq!(ids(&course), [1, 2, 3]);
        assert_eq!(ids(&course.with_section(section(9, Some(0)))), [9, 1, 2, 3]);
        assert_eq!(
            ids(&course.with_section(section(9, Some(99)))),
            [1, 2, 3, 9]
        );
        let moved = SectionEdit {
            position: Some(0),
            ..SectionEdit::default()
        };
        let edited = course.with_section_edited(Uuid::from_u128(3), &moved, DateTime::UNIX_EPOCH);
        assert_eq!(ids(&edited), [3, 1, 2]);
    }

    #[test]
    fn an_edit_that_changes_nothing_gives_the_same_course() {
        let course = with_sections(2);
        let same = SectionEdit {
            title: Some("Section 1".into()),
            position: Some(0),
            ..SectionEdit::default()
        };
        let later = DateTime::UNIX_EPOCH + chrono::TimeDelta::days(1);
        assert_eq!(
            course.with_section_edited(Uuid::from_u128(1), &same, later),
            course
        );
        assert_eq!(course.edited(&CourseEdit::default()), course);
        assert_eq!(course.with_teacher(Uuid::from_u128(1)), course);
    }

    #[test]
    fn an_order_must_name_every_section_once() {
        let course = with_sections(3);
        let order = |ids: &[u128]| {
            course.reordered(
                &ids.iter()
                    .map(|id| Uuid::from_u128(*id))
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(ids(&order(&[3, 1, 2]).unwrap()), [3, 1, 2]);
        for wrong in [&[1, 2][..], &[1, 2, 2], &[1, 2, 4], &[1, 2, 3, 3], &[]] {
            assert_eq!(order(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn moving_a_section_loses_none(count in 1_u128..8, which in 0_u128..8, to in 0_usize..10) {
            let course = with_sections(count);
            let edit = SectionEdit { position: Some(to), ..SectionEdit::default() };
            let id = which % count + 1;
            let moved = course.with_section_edited(Uuid::from_u128(id), &edit, DateTime::UNIX_EPOCH);
            let mut sorted = ids(&moved);
            prop_assert_eq!(sorted.iter().position(|found| *found == id), Some(to.min(course.sections.len() - 1)));
            sorted.sort_unstable();
            prop_assert_eq!(sorted, ids(&course));
        }
    }
}
