//! The journal of one kind of aggregate: what services read and write.

use std::marker::PhantomData;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use riwaq_records::{ReadLevel, TableCursor, limits};

use crate::append::Appended;
use crate::{
    Act, Aggregate, AggregateId as _, Draft, Error, Outbox, Result, Version, id, read, views,
};

/// How often a change is tried again when others were quicker and no version was expected.
const ATTEMPTS: usize = 64;
/// How many aggregates [`Journal::load_many`] reads at a time.
const LOADS: usize = 32;

/// The versions of one kind of aggregate. Cheap to clone.
pub struct Journal<A> {
    pub(crate) outbox: Outbox,
    aggregate: PhantomData<fn() -> A>,
}

impl<A> Clone for Journal<A> {
    fn clone(&self) -> Self {
        Self {
            outbox: self.outbox.clone(),
            aggregate: PhantomData,
        }
    }
}

impl<A: Aggregate> std::fmt::Debug for Journal<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal")
            .field("kind", &A::KIND)
            .finish_non_exhaustive()
    }
}

impl<A: Aggregate> Journal<A> {
    pub(crate) const fn new(outbox: Outbox) -> Self {
        Self {
            outbox,
            aggregate: PhantomData,
        }
    }

    /// The newest version; sees every acknowledged change.
    ///
    /// # Errors
    /// [`Error::Records`], [`Error::Corrupt`].
    pub async fn load(&self, id: &A::Id) -> Result<Option<Version<A>>> {
        read::latest(self.outbox.store(), id).await
    }

    /// The newest versions of several, in the order asked; unknown ones are left out.
    ///
    /// # Errors
    /// As for [`Journal::load`].
    pub async fn load_many(&self, ids: &[A::Id]) -> Result<Vec<Version<A>>> {
        // Cloned, so that the stream borrows nothing but the store.
        let loads = ids
            .iter()
            .cloned()
            .map(|id| async move { self.load(&id).await });
        let found: Vec<Option<Version<A>>> =
            stream::iter(loads).buffered(LOADS).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// One version of the history.
    ///
    /// # Errors
    /// As for [`Journal::load`].
    pub async fn at_version(&self, id: &A::Id, version: i64) -> Result<Option<Version<A>>> {
        read::at(self.outbox.store(), id, version, ReadLevel::Quorum).await
    }

    /// Versions, newest first, older than `before` where it is given; `limit` is 1 to
    /// [`limits::SCAN_ROWS`]. Fewer than `limit` means that these are the oldest.
    ///
    /// # Errors
    /// As for [`Journal::load`].
    pub async fn history(
        &self,
        id: &A::Id,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Version<A>>> {
        read::page(self.outbox.store(), id, before, limit).await
    }

    /// Writes version 1. Repeating it with the same operation returns what the first time wrote.
    ///
    /// # Errors
    /// [`Error::Exists`] when another operation made it; [`Error::Records`] (unknown or unavailable:
    /// repeat it with the same operation); [`Error::InvalidInput`] and `TooLarge` for a state that
    /// cannot be stored.
    pub async fn create(&self, id: &A::Id, act: Act, draft: Draft<A>) -> Result<Version<A>> {
        check_id::<A>(id)?;
        match self.append(id, None, act, draft).await? {
            Appended::Written(version) => Ok(version),
            Appended::Lost => Err(Error::Exists { kind: A::KIND }),
        }
    }

    /// Changes what exists: `decide` gets the newest version and gives the next state, none to leave
    /// it, or its own error. Returns the version that is newest then.
    ///
    /// With `expected` (If-Match) any other newest version is [`Error::Stale`]. Without it the last
    /// write wins: when another was quicker, `decide` is asked again with what that one wrote, so it must
    /// be free of effects. An operation that may be repeated must recognise its own change and give none.
    ///
    /// # Errors
    /// Those of `decide`; [`Error::NotFound`]; [`Error::Stale`]; [`Error::Contended`]; and as for [`Journal::create`].
    pub async fn update<E, F>(
        &self,
        id: &A::Id,
        expected: Option<i64>,
        act: Act,
        mut decide: F,
    ) -> Result<Version<A>, E>
    where
        E: From<Error>,
        F: FnMut(&Version<A>) -> Result<Option<Draft<A>>, E>,
    {
        let not_found = || E::from(Error::NotFound { kind: A::KIND });
        let newest = self
            .change(id, expected, act, |current| match current {
                Some(current) => decide(current),
                None => Err(not_found()),
            })
            .await?;
        newest.ok_or_else(not_found)
    }

    /// Like [`Journal::update`], also for what does not exist yet: `decide` then gets none, and
    /// its draft becomes version 1. For aggregates whose id is given from outside, such as (course, user).
    ///
    /// # Errors
    /// As for [`Journal::update`]. `expected` of something that does not exist is [`Error::NotFound`].
    pub async fn change<E, F>(
        &self,
        id: &A::Id,
        expected: Option<i64>,
        act: Act,
        mut decide: F,
    ) -> Result<Option<Version<A>>, E>
    where
        E: From<Error>,
        F: FnMut(Option<&Version<A>>) -> Result<Option<Draft<A>>, E>,
    {
        check_id::<A>(id)?;
        for _ in 0..ATTEMPTS {
            let current = self.load(id).await?;
            match (expected, &current) {
                (Some(_), None) => return Err(E::from(Error::NotFound { kind: A::KIND })),
                (Some(expected), Some(current)) if current.version != expected => {
                    return Err(E::from(Error::Stale {
                        expected,
                        current: current.version,
                    }));
                }
                _ => {}
            }
            let Some(draft) = decide(current.as_ref())? else {
                if let Some(newest) = current.as_ref().filter(|newest| newest.op_id == act.op_id) {
                    self.write_views_again(newest).await;
                }
                return Ok(current);
            };
            match self.append(id, current.as_ref(), act, draft).await? {
                Appended::Written(version) => return Ok(Some(version)),
                Appended::Lost => {}
            }
        }
        Err(E::from(Error::Contended { kind: A::KIND }))
    }

    /// Writes the rows of the tables-per-query again, for every aggregate of this kind. Harmless at any
    /// time; for operators, after a table was added or restored. Returns how many there are.
    ///
    /// # Errors
    /// [`Error::Records`], [`Error::Corrupt`].
    pub async fn rebuild_views(&self) -> Result<u64> {
        let store = self.outbox.store();
        let (mut after, mut count, mut last): (Option<TableCursor>, u64, Option<A::Id>) =
            (None, 0, None);
        loop {
            let page = store
                .records()
                .scan_table(A::table(), after.as_ref(), limits::SCAN_ROWS)
                .await?;
            for stored in page.rows {
                let seen = crate::version_table::read::<A>(stored)?;
                // The versions of one aggregate come one after the other on every engine; if they
                // did not, it would only be written more than once.
                if last.as_ref() == Some(&seen.id) {
                    continue;
                }
                if let Some(newest) = self.load(&seen.id).await? {
                    views::write(store, views::writes(None, &newest)?).await?;
                    count += 1;
                }
                last = Some(seen.id);
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(count),
            }
        }
    }
}

fn check_id<A: Aggregate>(id: &A::Id) -> Result<()> {
    if id::is_valid_text(&id.to_text()) {
        return Ok(());
    }
    let reason = format!(
        "must have 1 to {} bytes and no control characters",
        id::MAX_ID_BYTES
    );
    Err(Error::invalid("id", reason))
}
