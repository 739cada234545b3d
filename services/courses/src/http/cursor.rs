//! Cursors of lists: the last key, sealed for this list and this person.

use riwaq_aggregates::{CursorKey, CursorScope};
use riwaq_kit::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// A list as one person reads it.
pub(crate) struct Cursors<'a> {
    key: &'a CursorKey,
    list: String,
    query: &'a str,
    user: String,
}

impl<'a> Cursors<'a> {
    pub(crate) fn new(
        key: &'a CursorKey,
        list: impl Into<String>,
        query: &'a str,
        user: Uuid,
    ) -> Self {
        Self {
            key,
            list: list.into(),
            query,
            user: user.to_string(),
        }
    }

    fn scope(&self) -> CursorScope<'_> {
        CursorScope {
            list: &self.list,
            query: self.query,
            user: &self.user,
        }
    }

    pub(crate) fn open<T: DeserializeOwned>(
        &self,
        cursor: Option<&str>,
    ) -> Result<Option<T>, Problem> {
        Ok(cursor
            .map(|cursor| self.key.open(self.scope(), cursor))
            .transpose()?)
    }

    pub(crate) fn seal<T: Serialize>(&self, next: Option<&T>) -> Result<Option<String>, Problem> {
        Ok(next
            .map(|next| self.key.seal(self.scope(), next))
            .transpose()?)
    }
}
