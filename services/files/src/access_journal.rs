//! Who got a link to a file, and what was done with it.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, SubsecRound as _, Utc};
use riwaq_clock::SharedClock;
use riwaq_kit::{ApiResult, new_id};
use riwaq_records::Store;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::records::{AccessDay, AccessRow};

/// The longest `Range` that is written down, in characters.
const MAX_RANGE_CHARS: usize = 100;
/// How many (file, day) pairs are remembered as written.
const MAX_REMEMBERED: usize = 10_000;

/// The access journal. What [`AccessJournal::record`] acknowledged is durable.
pub(crate) struct AccessJournal {
    store: Store,
    clock: SharedClock,
    /// Days that are written down already, so that each costs one write in a process.
    known_days: Mutex<HashSet<(Uuid, i64)>>,
}

/// The person, the file and the link that an entry is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    pub(crate) file_id: Uuid,
    pub(crate) content_version: i64,
    pub(crate) user_id: Uuid,
    pub(crate) link_id: Uuid,
}

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A link was issued.
    Issued,
    /// A link was used.
    Used {
        /// GET or HEAD.
        method: String,
        /// The `Range` header.
        range: Option<String>,
        /// The status of the answer.
        status: u16,
    },
}

/// An entry that was written.
#[derive(Debug)]
pub(crate) struct Entry {
    row: AccessRow,
    written_micros: i64,
}

/// Where a list goes on: behind this entry.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Position {
    day: i64,
    at: DateTime<Utc>,
    access_id: Uuid,
}

impl AccessJournal {
    pub(crate) fn new(store: Store, clock: SharedClock) -> Self {
        Self {
            store,
            clock,
            known_days: Mutex::default(),
        }
    }

    /// Writes an entry.
    pub(crate) async fn record(&self, subject: Subject, event: Event) -> ApiResult<Entry> {
        let at = self.clock.now().trunc_subsecs(3);
        let day = at.timestamp().div_euclid(86_400);
        self.note_day(subject.file_id, day).await?;
        let (kind, method, range, status) = match event {
            Event::Issued => ("issued", None, None, None),
            Event::Used {
                method,
                range,
                status,
            } => {
                let range = range.map(|range| range.chars().take(MAX_RANGE_CHARS).collect());
                ("used", Some(method), range, Some(i64::from(status)))
            }
        };
        let row = AccessRow {
            file_id: subject.file_id,
            day,
            at,
            access_id: new_id(self.clock.as_ref()),
            user_id: subject.user_id,
            kind: kind.to_owned(),
            link_id: subject.link_id,
            content_version: subject.content_version,
            method,
            range,
            status,
        };
        let written_micros = self.clock.now_micros();
        self.store.put_at(&row, written_micros).await?;
        Ok(Entry {
            row,
            written_micros,
        })
    }

    /// Says of a use that it came to nothing: the status that was answered after all. Where that cannot be written, the entry
    /// says more than was handed out, never less.
    pub(crate) async fn correct(&self, entry: Entry, status: u16) {
        let row = AccessRow {
            status: Some(i64::from(status)),
            ..entry.row
        };
        // The later of two writes holds, also where the clock has not moved on.
        let now = self.clock.now_micros().max(entry.written_micros + 1);
        if let Err(error) = self.store.put_at(&row, now).await {
            tracing::warn!(%error, link_id = %row.link_id, "a use that failed stands in the access journal as one that did not");
        }
    }

    /// The day goes first: an entry on a day that is not listed would never be found.
    async fn note_day(&self, file_id: Uuid, day: i64) -> ApiResult<()> {
        let known = |set: &Mutex<HashSet<_>>| {
            set.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(&(file_id, day))
        };
        if known(&self.known_days) {
            return Ok(());
        }
        self.store
            .put_at(&AccessDay { file_id, day }, self.clock.now_micros())
            .await?;
        let mut days = self
            .known_days
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if days.len() >= MAX_REMEMBERED {
            days.clear();
        }
        days.insert((file_id, day));
        Ok(())
    }

    /// Entries about a file, newest first, behind `after`; and whether there are more.
    pub(crate) async fn list(
        &self,
        file_id: Uuid,
        after: Option<Position>,
        limit: usize,
    ) -> ApiResult<(Vec<AccessRow>, Option<Position>)> {
        let mut found: Vec<AccessRow> = Vec::new();
        // Within the day of the cursor, then the days before it.
        if let Some(after) = after {
            let scan = self.store.scan::<AccessRow>((file_id, after.day));
            let page = scan
                .after((after.at, after.access_id))
                .limit(limit + 1)
                .page()
                .await?;
            found.extend(page.rows);
        }
        let mut before = after.map(|after| after.day);
        while found.len() <= limit {
            let mut days = self.store.scan::<AccessDay>((file_id,));
            if let Some(before) = before {
                days = days.after((before,));
            }
            let Some(day) = days.first().await? else {
                break;
            };
            let scan = self.store.scan::<AccessRow>((file_id, day.day));
            found.extend(scan.limit(limit + 1 - found.len()).page().await?.rows);
            before = Some(day.day);
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| more);
        let next = last.map(|row| Position {
            day: row.day,
            at: row.at,
            access_id: row.access_id,
        });
        Ok((found, next))
    }
}
