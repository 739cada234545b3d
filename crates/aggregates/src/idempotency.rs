//! Idempotency keys: a request that is sent again has its effect once, and gets the same answer.
//!
//! The key's row is written first. It holds the id that the effect will use, so that a repetition
//! after a crash finds what the first attempt made, and a hash of the request, so that a key is not
//! used for something else.
//!
//! # Who may work on it
//!
//! While a request runs, its process beats: every `beat_interval_seconds` it writes the row again under a new
//! operation's id. A repetition that meets a running request is told to come again (409). It takes the key over, by a
//! conditional write on what it saw, once its process has seen the same operation's id there for
//! `abandoned_after_seconds`. That is watched on the watcher's own monotonic clock from the first repetition that it meets,
//! as for [leases](crate::Leases): the clocks of two machines are never compared, so they may be as wrong as they like, and
//! a repetition that comes long after a crash waits as well. In exchange the holder knows by its own clock until when
//! nobody else can have the key, and does not go on working beyond that before a beat is confirmed. A process that was
//! stopped and comes back, or whose store was away for longer, so learns that it has lost the key before it does anything
//! more. A request that is over before the first interval has passed writes nothing for all this.
//!
//! # What is guaranteed
//!
//! - One attempt at a time works on a key, and every attempt has the same effect id until the key expires, or a first
//!   attempt, of which everything is known, was refused.
//! - The answer is written, and the key freed, by whoever holds the key: one that has lost it changes nothing about it.
//! - What an attempt had handed to the store when it was stopped may still arrive, after its heir has begun. That is all
//!   that is left of it, and so it is with any write of which nothing was heard. A conditional write on what was read
//!   before, such as a journal's next version, is then refused, or it is the effect and the heir finds it by the effect
//!   id. A write without a condition must have the same key, made of the effect id, for every attempt.
//!
//! So the effect happens once where it is one change of a journal, or several that each recognise the effect id.

mod options;
mod row;
mod ticket;
mod unended;
mod watched;

use bytes::Bytes;
use riwaq_clock::SharedClock;
use riwaq_records::{Decision, Expect, RecordsError, Store, Stored};
use uuid::Uuid;

use crate::id::{later, new_id};
use crate::{Error, Result, new_op_id};
pub use options::IdempotencyOptions;
pub(crate) use row::KeyRow;
use row::Progress;
pub use row::Recorded;
pub use ticket::Ticket;
use unended::UnendedKeys;
use watched::WatchedKeys;

/// The longest key, in characters (printable ASCII).
pub const MAX_IDEMPOTENCY_KEY_CHARS: usize = 255;

/// How often the row of a key is tried when others change it at the same time.
const ATTEMPTS: usize = 8;

/// The idempotency keys of one service.
#[derive(Debug, Clone)]
pub struct Idempotency {
    service: String,
    store: Store,
    clock: SharedClock,
    options: IdempotencyOptions,
    unended: UnendedKeys,
    watched: WatchedKeys,
}

/// What a key says about a request.
#[derive(Debug)]
pub enum Begun {
    /// It is ours to do, with the ticket's effect id.
    Started(Ticket),
    /// It was done: this was the answer.
    Finished(Recorded),
}

/// The hash of whatever makes a request the same one: method, path, body.
#[must_use]
pub fn request_hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        // Lengths in between, so that no two lists of parts hash alike.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

impl Idempotency {
    /// The keys of `service`.
    ///
    /// # Errors
    /// As for [`IdempotencyOptions::validate`].
    pub fn new(
        service: &str,
        store: Store,
        clock: SharedClock,
        options: IdempotencyOptions,
    ) -> Result<Self> {
        options.validate()?;
        Ok(Self {
            service: service.to_owned(),
            store,
            clock,
            options,
            unended: UnendedKeys::default(),
            watched: WatchedKeys::default(),
        })
    }

    /// Begins, or finds out what became of, a request of a person under a key.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a key that is empty, too long or not printable ASCII;
    /// [`Error::IdempotencyMismatch`] when it was used for another request;
    /// [`Error::StillRunning`]; [`Error::Records`], never with an unknown outcome: whatever became of the key, nothing
    /// was done under it.
    pub async fn begin(&self, user_id: Uuid, key: &str, request_hash: [u8; 32]) -> Result<Begun> {
        check_key(key)?;
        let begun = self.begin_key(user_id, key, request_hash).await?;
        // The store is there again, if it ever was away.
        self.tell_one_left().await;
        Ok(begun)
    }

    async fn begin_key(&self, user_id: Uuid, key: &str, request_hash: [u8; 32]) -> Result<Begun> {
        let op_id = new_op_id();
        let fresh = self.fresh_row(user_id, key, request_hash);
        // From before the first write: that is when the row may have been written.
        let sent = self.clock.monotonic();
        let started = |row, is_heir| {
            let unended = self.unended.clone();
            Ok(Begun::Started(Ticket::new(
                row, op_id, sent, is_heir, unended,
            )))
        };
        let mut decision = self.insert(&fresh, op_id).await?;
        for _ in 0..ATTEMPTS {
            let current = match decision {
                Decision::Applied => return started(fresh, false),
                Decision::Refused {
                    current: Some(current),
                } => current,
                Decision::Refused { current: None } => {
                    decision = self.insert(&fresh, op_id).await?;
                    continue;
                }
            };
            let (taken, is_heir) = match self.judge(&fresh, &current)? {
                Judged::Finished(answer) => return Ok(Begun::Finished(answer)),
                Judged::Replace => (fresh.clone(), false),
                Judged::Resume => {
                    let resumed = KeyRow {
                        progress: Progress::Running,
                        begun_at: fresh.begun_at,
                        ..current.row
                    };
                    (resumed, true)
                }
            };
            let expected = Expect::op_id(current.op_id);
            let set = self.store.compare_and_set(&taken, expected, op_id).await;
            decision = set.map_err(|error| self.not_begun(error, &taken, op_id))?;
            if decision.is_applied() {
                return started(taken, is_heir);
            }
        }
        Err(Error::StillRunning)
    }

    async fn insert(&self, row: &KeyRow, op_id: Uuid) -> Result<Decision<KeyRow>> {
        let inserted = self.store.insert_if_absent(row, op_id).await;
        inserted.map_err(|error| self.not_begun(error, row, op_id))
    }

    /// Where the row may have been written all the same, it must not stand in the way of the repetition.
    fn not_begun(&self, error: RecordsError, row: &KeyRow, op_id: Uuid) -> Error {
        let RecordsError::Unknown { reason } = error else {
            return error.into();
        };
        self.unended.add(row.clone(), op_id);
        RecordsError::Unavailable { reason }.into()
    }

    /// Each request that has begun tells one row that was left.
    async fn tell_one_left(&self) {
        let Some(left) = self.unended.oldest() else {
            return;
        };
        let open = KeyRow {
            progress: Progress::Open,
            ..left.row
        };
        let expected = Expect::op_id(left.op_id);
        let told = self
            .store
            .compare_and_set(&open, expected, new_op_id())
            .await;
        // Refused: a repetition took it over, or it was never written.
        if told.is_ok() {
            self.unended.remove(left.op_id);
        }
    }

    /// Does a request once: `effect` gets the effect id. With no key it is simply done, under a
    /// new id. An error for which `nothing_done` is true frees the key (as [`Idempotency::release`] does); any other leaves it
    /// open for a repetition of the same request.
    ///
    /// # Errors
    /// Those of [`Idempotency::begin`], of `effect`, and of [`Idempotency::hold`].
    pub async fn run<E, F, Fut>(
        &self,
        user_id: Uuid,
        key: Option<&str>,
        request_hash: [u8; 32],
        nothing_done: fn(&E) -> bool,
        effect: F,
    ) -> Result<Recorded, E>
    where
        E: From<Error>,
        F: FnOnce(Uuid) -> Fut,
        Fut: Future<Output = Result<Recorded, E>>,
    {
        let Some(key) = key else {
            return effect(new_id(self.clock.as_ref())).await;
        };
        let mut ticket = match self.begin(user_id, key, request_hash).await? {
            Begun::Started(ticket) => ticket,
            Begun::Finished(answer) => return Ok(answer),
        };
        let effect = effect(ticket.effect_id());
        let result = self.hold(&mut ticket, effect).await?;
        let ended = match &result {
            Ok(answer) => self.finish(ticket, answer).await,
            Err(error) if nothing_done(error) => self.release(ticket).await,
            Err(_) => self.suspend(ticket).await,
        };
        if let Err(error) = ended {
            // The request itself has its result; a repetition takes the key over later.
            tracing::warn!(%error, service = self.service, "an idempotency key was not ended");
        }
        result
    }

    fn fresh_row(&self, user_id: Uuid, key: &str, request_hash: [u8; 32]) -> KeyRow {
        let now = self.clock.now();
        KeyRow {
            service: self.service.clone(),
            user_id,
            key: key.to_owned(),
            effect_id: new_id(self.clock.as_ref()),
            request_hash: Bytes::copy_from_slice(&request_hash),
            progress: Progress::Running,
            begun_at: now,
            expires_at: later(now, self.options.keep()),
            answer: None,
        }
    }

    fn judge(&self, fresh: &KeyRow, current: &Stored<KeyRow>) -> Result<Judged> {
        let row = &current.row;
        if row.expires_at <= fresh.begun_at {
            return Ok(Judged::Replace);
        }
        if row.request_hash != fresh.request_hash {
            return Err(Error::IdempotencyMismatch);
        }
        match (row.progress, &row.answer) {
            (Progress::Finished, Some(answer)) => Ok(Judged::Finished(answer.clone())),
            (Progress::Running, _) if self.unended.has(current.op_id) => Ok(Judged::Resume),
            (Progress::Running, _) if !self.is_abandoned(current.op_id) => Err(Error::StillRunning),
            _ => Ok(Judged::Resume),
        }
    }

    /// Whether this process has seen no sign of life of a running request for so long that it counts as dead.
    fn is_abandoned(&self, op_id: Uuid) -> bool {
        let silent = self.watched.silent_for(op_id, self.clock.monotonic());
        silent >= self.options.abandoned_after()
    }
}

enum Judged {
    Finished(Recorded),
    Replace,
    Resume,
}

fn check_key(key: &str) -> Result<()> {
    // What a header's value may hold (RFC 9110, section 5.5), without the obsolete bytes.
    let printable = key
        .bytes()
        .all(|byte| byte == b'\t' || (0x20..=0x7e).contains(&byte));
    if key.is_empty() || key.len() > MAX_IDEMPOTENCY_KEY_CHARS || !printable {
        let reason = format!("must be 1 to {MAX_IDEMPOTENCY_KEY_CHARS} printable ASCII characters");
        return Err(Error::invalid("Idempotency-Key", reason));
    }
    Ok(())
}
