//! The right to do a request: shown by beats while it lasts, and given up before anybody else can have it.

use std::pin::{Pin, pin};
use std::time::Duration;

use riwaq_clock::Clock;
use riwaq_records::{Decision, Expect, RecordsError, Stored};
use uuid::Uuid;

use super::row::{KeyRow, Progress};
use super::unended::UnendedKeys;
use super::{Idempotency, Recorded};
use crate::{Error, Result, new_op_id};

/// A key that could not be ended is tried once more at once, unless the first try took longer than this.
const QUICK: Duration = Duration::from_secs(1);
/// How many beats in a row may come too late to count before the request is given up.
const LATE_BEATS: u32 = 2;

/// The right, and the duty, to do a request: work on it within [`Idempotency::hold`], and end it with one of
/// [`Idempotency::finish`], [`Idempotency::release`] and [`Idempotency::suspend`]. One that is dropped without (its task
/// was cut off, or panicked) is left to the next repetition: in this process at once, elsewhere after
/// `abandoned_after_seconds`.
#[derive(Debug)]
#[must_use = "a ticket that is not ended blocks its key for a while"]
pub struct Ticket {
    row: Box<KeyRow>,
    /// The operation under which the row was written last, as far as we know.
    op_id: Uuid,
    /// Our monotonic time from before that was sent.
    confirmed: Duration,
    /// A beat that was neither confirmed nor refused and may have been written, and from before it was first sent.
    pending: Option<(Uuid, Duration)>,
    /// Our monotonic time of the last try to beat.
    tried: Duration,
    /// Whether another attempt at the same request went before, of which not everything is known.
    is_heir: bool,
    /// Whether there is nothing left to tell.
    is_over: bool,
    unended: UnendedKeys,
}

impl Ticket {
    pub(super) fn new(
        row: KeyRow,
        op_id: Uuid,
        sent: Duration,
        is_heir: bool,
        unended: UnendedKeys,
    ) -> Self {
        Self {
            row: Box::new(row),
            op_id,
            confirmed: sent,
            pending: None,
            tried: sent,
            is_heir,
            is_over: false,
            unended,
        }
    }

    /// The id of what the request makes, and its operation's id: the same for every repetition. So
    /// the effect must be harmless to repeat with it.
    #[must_use]
    pub const fn effect_id(&self) -> Uuid {
        self.row.effect_id
    }

    /// Whether the row that stands in the way is our own, of a beat of which nothing was heard.
    fn recognises(&mut self, current: Option<&Stored<KeyRow>>) -> bool {
        let found = current.map(|current| current.op_id);
        let Some((beat, sent)) = self.pending.take_if(|(beat, _)| Some(*beat) == found) else {
            return false;
        };
        (self.op_id, self.confirmed) = (beat, sent);
        true
    }

    fn with(&self, progress: Progress, answer: Option<Recorded>) -> KeyRow {
        KeyRow {
            progress,
            answer,
            ..KeyRow::clone(&self.row)
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let beat = self.pending.map(|(beat, _)| beat);
        for op_id in [Some(self.op_id), beat].into_iter().flatten() {
            self.unended.add(KeyRow::clone(&self.row), op_id);
        }
    }
}

impl Idempotency {
    /// Works on a request under its ticket: beats in between, and polls `work` only while nobody else can have the key.
    /// Work that was kept from running for longer than that (the process was stopped, the store was away) goes on after
    /// a beat that was confirmed, and not at all where a repetition has taken the key over; then, and where no beat gets
    /// through, it is dropped.
    ///
    /// # Errors
    /// [`Error::Records`] with an unknown outcome when `work` was dropped: a repetition finds out what was done, or has
    /// done it.
    pub async fn hold<T>(&self, ticket: &mut Ticket, work: impl Future<Output = T>) -> Result<T> {
        let mut work = pin!(work);
        let clock = self.clock.as_ref();
        let mut late = 0;
        loop {
            let ours_until = self.ours_until(ticket);
            let pause =
                (ticket.tried + self.options.beat_interval()).saturating_sub(clock.monotonic());
            tokio::select! {
                biased;
                done = before(clock, ours_until, work.as_mut()) => {
                    if let Some(done) = done {
                        return Ok(done);
                    }
                }
                () = clock.sleep(pause) => {}
            }
            let beaten = {
                let mut beat = pin!(self.beat(ticket));
                tokio::select! {
                    biased;
                    beaten = &mut beat => beaten,
                    done = before(clock, ours_until, work.as_mut()) => match done {
                        // What becomes of the beat is found out when the ticket is ended.
                        Some(done) => return Ok(done),
                        None => beat.await,
                    },
                }
            };
            let is_ours = clock.monotonic() < self.ours_until(ticket);
            match beaten {
                Ok(()) if is_ours => late = 0,
                Ok(()) if late + 1 < LATE_BEATS => late += 1,
                Ok(()) => return Err(dropped("the store is too slow")),
                Err(error) if ticket.is_over || !is_ours => return Err(dropped(error)),
                // There will be another.
                Err(_) => {}
            }
        }
    }

    /// Until when, by our monotonic clock, nobody else can have the key.
    fn ours_until(&self, ticket: &Ticket) -> Duration {
        ticket.confirmed + self.options.surely_ours()
    }

    /// Writes the row as it is under a new operation, so that whoever watches it sees that the request goes on.
    async fn beat(&self, ticket: &mut Ticket) -> Result<(), RecordsError> {
        let now = self.clock.monotonic();
        ticket.tried = now;
        let is_first_try = ticket.pending.is_none();
        // One of which nothing was heard is sent again: it may be there already.
        let (op_id, sent) = *ticket.pending.get_or_insert_with(|| (new_op_id(), now));
        let expected = Expect::op_id(ticket.op_id);
        let set = self.store.compare_and_set(&*ticket.row, expected, op_id);
        match set.await {
            Ok(Decision::Applied) => {
                (ticket.op_id, ticket.confirmed, ticket.pending) = (op_id, sent, None);
                Ok(())
            }
            Ok(Decision::Refused { .. }) => {
                ticket.is_over = true;
                Err(RecordsError::unknown("a repetition has taken its key over"))
            }
            Err(error) => {
                // That a repetition was not done says nothing about the first try: that may be there all the same, and
                // without its operation the row would look like another's.
                let is_unknown = matches!(error, RecordsError::Unknown { .. });
                if is_first_try && !is_unknown {
                    ticket.pending = None;
                }
                Err(error)
            }
        }
    }

    /// Records the answer; every repetition gets it until the key expires.
    ///
    /// # Errors
    /// [`Error::Records`]: the request is done all the same, and a repetition would do it again with
    /// the same effect id.
    pub async fn finish(&self, ticket: Ticket, answer: &Recorded) -> Result<()> {
        let row = ticket.with(Progress::Finished, Some(answer.clone()));
        self.end(ticket, Some(row)).await
    }

    /// Forgets the key: nothing was done (the request was refused), so it may be used for another. Where an attempt went
    /// before of which that is not known, the key stays with this request: its writes may still be on their way.
    ///
    /// # Errors
    /// [`Error::Records`].
    pub async fn release(&self, ticket: Ticket) -> Result<()> {
        if ticket.is_heir {
            return self.suspend(ticket).await;
        }
        self.end(ticket, None).await
    }

    /// Leaves the key open: it is not known whether anything was done. A repetition of the same
    /// request goes on at once, with the same effect id.
    ///
    /// # Errors
    /// [`Error::Records`].
    pub async fn suspend(&self, ticket: Ticket) -> Result<()> {
        let row = ticket.with(Progress::Open, None);
        self.end(ticket, Some(row)).await
    }

    /// Writes the row a last time, or deletes it, if it is still ours.
    async fn end(&self, mut ticket: Ticket, last: Option<KeyRow>) -> Result<()> {
        let own = new_op_id();
        let mut tries = 0;
        loop {
            let started = self.clock.monotonic();
            let expected = Expect::op_id(ticket.op_id);
            let ended = match &last {
                Some(row) => self.store.compare_and_set(row, expected, own).await,
                None => {
                    let row = &ticket.row;
                    let key = (row.service.clone(), row.user_id, row.key.clone());
                    self.store.delete_if::<KeyRow>(key, expected, own).await
                }
            };
            let again = self.clock.monotonic().saturating_sub(started) < QUICK;
            match ended {
                Ok(Decision::Refused { current }) if ticket.recognises(current.as_ref()) => {}
                // Refused: another took it over, with the same effect, and ends it.
                Ok(_) => {
                    ticket.is_over = true;
                    return Ok(());
                }
                Err(error) if last.is_some() && error.is_retryable() && again && tries == 0 => {
                    tries += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Work was dropped on its way.
fn dropped(why: impl std::fmt::Display) -> Error {
    let reason = format!("the request could not show that it goes on: {why}");
    RecordsError::unknown(reason).into()
}

/// Polls `work` as long as it is before `end`; none when it was polled later than that.
async fn before<T>(
    clock: &dyn Clock,
    end: Duration,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    std::future::poll_fn(|cx| {
        if clock.monotonic() >= end {
            return std::task::Poll::Ready(None);
        }
        work.as_mut().poll(cx).map(Some)
    })
    .await
}
