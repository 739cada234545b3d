//! Idempotency keys: a request that is sent again has its effect once, and gets the same answer.
//!
//! The key's row is written first. It holds the id that the effect will use, so that a repetition
//! after a crash finds what the first attempt made, and a hash of the request, so that a key is not
//! used for something else.

mod unended;

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use riwaq_clock::SharedClock;
use riwaq_records::{Decision, Expect, RecordsError, Store, Stored, Table};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::id::{later, new_id};
use crate::{Error, Result, new_op_id};
use unended::UnendedKeys;

/// The longest key, in characters (printable ASCII).
pub const MAX_IDEMPOTENCY_KEY_CHARS: usize = 255;

/// How often the row of a key is tried when others change it at the same time.
const ATTEMPTS: usize = 8;
/// A key that could not be ended is tried once more at once, unless the first try took longer than this.
const QUICK: Duration = Duration::from_secs(1);

/// Settings of idempotency keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdempotencyOptions {
    /// How long a key is honoured, in seconds.
    pub keep_seconds: u64,
    /// A request that has been running for so long, in seconds, is taken for dead, and a repetition
    /// takes it over with the same effect id. Longer than any request may take.
    pub abandoned_after_seconds: u64,
}

impl Default for IdempotencyOptions {
    fn default() -> Self {
        Self {
            keep_seconds: 24 * 3600,
            abandoned_after_seconds: 120,
        }
    }
}

/// An answer as it was given the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The HTTP status.
    pub status: u16,
    /// Headers that belong to it (`Location`, `ETag`), lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body as text; empty for none.
    pub body: String,
}

/// How far the request of a key has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Progress {
    /// Somebody works on it.
    Running,
    /// The last attempt ended without a known result: a repetition goes on at once.
    Open,
    /// It has an answer.
    Finished,
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Open => "open",
            Self::Finished => "finished",
        })
    }
}

impl std::str::FromStr for Progress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "running" => Ok(Self::Running),
            "open" => Ok(Self::Open),
            "finished" => Ok(Self::Finished),
            other => Err(format!("`{other}` is not a progress")),
        }
    }
}

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Table)]
#[table(name = "idempotency_keys", write = "conditional", partition(service, user_id, key), ttl = expires_at)]
pub(crate) struct KeyRow {
    service: String,
    user_id: Uuid,
    key: String,
    /// The id that the effect uses.
    effect_id: Uuid,
    request_hash: Bytes,
    #[column(text)]
    progress: Progress,
    begun_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    #[column(json)]
    answer: Option<Recorded>,
}

/// The idempotency keys of one service.
#[derive(Debug, Clone)]
pub struct Idempotency {
    service: String,
    store: Store,
    clock: SharedClock,
    options: IdempotencyOptions,
    unended: UnendedKeys,
}

/// What a key says about a request.
#[derive(Debug)]
pub enum Begun {
    /// It is ours to do, with the ticket's effect id.
    Started(Ticket),
    /// It was done: this was the answer.
    Finished(Recorded),
}

/// The right, and the duty, to do a request: end it with one of [`Idempotency::finish`],
/// [`Idempotency::release`] and [`Idempotency::suspend`].
#[derive(Debug)]
#[must_use = "a ticket that is not ended blocks its key for a while"]
pub struct Ticket {
    row: KeyRow,
    op_id: Uuid,
}

impl Ticket {
    /// The id of what the request makes, and its operation's id: the same for every repetition. So
    /// the effect must be harmless to repeat with it.
    #[must_use]
    pub const fn effect_id(&self) -> Uuid {
        self.row.effect_id
    }
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
    #[must_use]
    pub fn new(
        service: &str,
        store: Store,
        clock: SharedClock,
        options: IdempotencyOptions,
    ) -> Self {
        Self {
            service: service.to_owned(),
            store,
            clock,
            options,
            unended: UnendedKeys::default(),
        }
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
        let mut decision = self.insert(&fresh, op_id).await?;
        for _ in 0..ATTEMPTS {
            let current = match decision {
                Decision::Applied => return Ok(Begun::Started(Ticket { row: fresh, op_id })),
                Decision::Refused {
                    current: Some(current),
                } => current,
                Decision::Refused { current: None } => {
                    decision = self.insert(&fresh, op_id).await?;
                    continue;
                }
            };
            let taken = match self.judge(&fresh, &current)? {
                Judged::Finished(answer) => return Ok(Begun::Finished(answer)),
                Judged::Replace => fresh.clone(),
                Judged::Resume => KeyRow {
                    progress: Progress::Running,
                    begun_at: fresh.begun_at,
                    ..current.row
                },
            };
            let expected = Expect::op_id(current.op_id);
            let set = self.store.compare_and_set(&taken, expected, op_id).await;
            decision = set.map_err(|error| self.not_begun(error, &taken, op_id))?;
            if decision.is_applied() {
                return Ok(Begun::Started(Ticket { row: taken, op_id }));
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

    /// Records the answer; every repetition gets it until the key expires.
    ///
    /// # Errors
    /// [`Error::Records`]: the request is done all the same, and a repetition would do it again with
    /// the same effect id.
    pub async fn finish(&self, ticket: Ticket, answer: &Recorded) -> Result<()> {
        let row = KeyRow {
            progress: Progress::Finished,
            answer: Some(answer.clone()),
            ..ticket.row
        };
        self.end(row, ticket.op_id).await
    }

    /// Forgets the key: nothing was done (the request was refused), so it may be used for another.
    ///
    /// # Errors
    /// [`Error::Records`].
    pub async fn release(&self, ticket: Ticket) -> Result<()> {
        let row = ticket.row;
        let key = (row.service.clone(), row.user_id, row.key.clone());
        let expected = Expect::op_id(ticket.op_id);
        let deleted = self
            .store
            .delete_if::<KeyRow>(key, expected, new_op_id())
            .await;
        match deleted {
            // Refused means that another took it over: it is theirs to end.
            Ok(_) => Ok(()),
            Err(error) => {
                self.unended.add(row, ticket.op_id);
                Err(error.into())
            }
        }
    }

    /// Leaves the key open: it is not known whether anything was done. A repetition of the same
    /// request goes on at once, with the same effect id.
    ///
    /// # Errors
    /// [`Error::Records`].
    pub async fn suspend(&self, ticket: Ticket) -> Result<()> {
        let row = KeyRow {
            progress: Progress::Open,
            ..ticket.row
        };
        self.end(row, ticket.op_id).await
    }

    /// Does a request once: `effect` gets the effect id. With no key it is simply done, under a
    /// new id. An error for which `nothing_done` is true frees the key; any other leaves it open
    /// for a repetition of the same request.
    ///
    /// # Errors
    /// Those of [`Idempotency::begin`] and of `effect`.
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
        let ticket = match self.begin(user_id, key, request_hash).await? {
            Begun::Started(ticket) => ticket,
            Begun::Finished(answer) => return Ok(answer),
        };
        let result = effect(ticket.effect_id()).await;
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
            expires_at: later(now, Duration::from_secs(self.options.keep_seconds)),
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
            (Progress::Running, _)
                if fresh.begun_at
                    < later(
                        row.begun_at,
                        Duration::from_secs(self.options.abandoned_after_seconds),
                    ) =>
            {
                Err(Error::StillRunning)
            }
            _ => Ok(Judged::Resume),
        }
    }

    async fn end(&self, row: KeyRow, op_id: Uuid) -> Result<()> {
        let own = new_op_id();
        let mut tries = 0;
        loop {
            let started = self.clock.monotonic();
            let ended = self
                .store
                .compare_and_set(&row, Expect::op_id(op_id), own)
                .await;
            let again = self.clock.monotonic().saturating_sub(started) < QUICK;
            match ended {
                // Refused: another took it over, with the same effect, and ends it.
                Ok(_) => return Ok(()),
                Err(error) if error.is_retryable() && again && tries == 0 => tries += 1,
                Err(error) => {
                    self.unended.add(row, op_id);
                    return Err(error.into());
                }
            }
        }
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
