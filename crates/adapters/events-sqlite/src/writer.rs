//! The thread that owns the connection: takes what has arrived, commits once, tells everybody.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use riwaq_clock::SharedClock;
use riwaq_events::EventsError;
use riwaq_events::dispatch::{Change, Entry, Groups};
use rusqlite::{Connection, TransactionBehavior};

use crate::command::{Command, Effect};
use crate::store::{self, SqlResult};

/// When nothing arrives for so long, the marks of deliveries under way are written.
const IDLE: Duration = Duration::from_millis(50);
/// A mark is written after so many commits, if the delivery is not answered by then.
const MARK_AGE: u32 = 32;

pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) commands: Receiver<Command>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) clock: SharedClock,
    pub(crate) last_seq: u64,
    pub(crate) limits: Limits,
    /// Deliveries under way whose attempt is not written yet: attempt and age in commits.
    pub(crate) marks: BTreeMap<u64, (u32, u32)>,
    /// Changes of a transaction that failed, and what a refill decided: they go into the next one.
    pub(crate) carried: Vec<Command>,
    /// Held for as long as the file is open.
    pub(crate) lock: File,
}

#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_commit_requests: usize,
    pub(crate) refill_events: usize,
    pub(crate) refill_bytes: usize,
}

impl Writer {
    /// Until every handle is gone and everything that they asked for is written.
    pub(crate) fn run(mut self) {
        loop {
            let patience = if self.marks.is_empty() && self.carried.is_empty() {
                Duration::MAX
            } else {
                IDLE
            };
            match self.receive(patience) {
                Ok(first) => {
                    let mut batch = std::mem::take(&mut self.carried);
                    batch.push(first);
                    batch.extend(
                        self.commands
                            .try_iter()
                            .take(self.limits.max_commit_requests),
                    );
                    self.commit(batch, MARK_AGE);
                }
                Err(RecvTimeoutError::Timeout) => self.flush(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.flush();
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "the lock of the event queue was not given back");
        }
    }

    fn receive(&self, patience: Duration) -> Result<Command, RecvTimeoutError> {
        if patience == Duration::MAX {
            return self
                .commands
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected);
        }
        self.commands.recv_timeout(patience)
    }

    fn flush(&mut self) {
        let carried = std::mem::take(&mut self.carried);
        self.commit(carried, 0);
    }

    /// One transaction for all; then, in the same order, what each waits for.
    fn commit(&mut self, batch: Vec<Command>, mark_age: u32) {
        match self.transact(&batch, mark_age) {
            Ok(effects) => {
                for (command, effect) in batch.into_iter().zip(effects) {
                    self.finish(command, effect);
                }
            }
            Err(error) => {
                tracing::error!(%error, requests = batch.len(), "the event store did not commit");
                let error = explained(&error);
                for command in batch {
                    self.fail(command, &error);
                }
            }
        }
    }

    fn transact(&mut self, batch: &[Command], mark_age: u32) -> SqlResult<Vec<Effect>> {
        for command in batch {
            self.mark(command);
        }
        let due: Vec<(u64, u32)> = self
            .marks
            .iter()
            .filter(|(_, (_, age))| *age >= mark_age)
            .map(|(seq, (n, _))| (*seq, *n))
            .collect();
        let now = self.clock.now_micros().max(1);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut last_seq = self.last_seq;
        let mut effects = Vec::with_capacity(batch.len());
        for command in batch {
            effects.push(apply(
                &transaction,
                command,
                &self.groups,
                &mut last_seq,
                now,
            )?);
        }
        for (seq, attempt) in &due {
            store::set_attempt(&transaction, *seq, *attempt)?;
        }
        transaction.commit()?;
        self.last_seq = last_seq;
        self.marks
            .retain(|seq, _| !due.iter().any(|(written, _)| written == seq));
        self.marks.values_mut().for_each(|(_, age)| *age += 1);
        Ok(effects)
    }

    /// A delivery begun is remembered; one that ended needs no mark.
    fn mark(&mut self, command: &Command) {
        let Command::Change { change, .. } = command else {
            return;
        };
        match change {
            Change::Delivered { seq, attempt } => drop(self.marks.insert(*seq, (*attempt, 0))),
            Change::Returned { seq, .. }
            | Change::Acked { seq }
            | Change::Retry { seq, .. }
            | Change::Dead { seq, .. } => drop(self.marks.remove(seq)),
            Change::Refill { .. } => {}
        }
    }

    fn finish(&mut self, command: Command, effect: Effect) {
        match (command, effect) {
            (Command::Publish { event, reply, .. }, Effect::Published { entries }) => {
                entries
                    .into_iter()
                    .for_each(|(group, entry)| self.groups.offer(&group, entry));
                self.groups.broadcast(&event);
                drop(reply.send(Ok(())));
            }
            (
                Command::Change {
                    group,
                    change: Change::Refill { kind, after_seq },
                },
                _,
            ) => self.refill(&group, &kind, after_seq),
            (Command::Declare { group, reply }, _) => {
                self.groups.declare(&group);
                drop(reply.send(Ok(())));
            }
            (Command::Retire { group, reply }, Effect::Retired { dead }) => {
                let live = self.groups.retire(&group, dead);
                drop(reply.send(Ok(live.saturating_add(dead))));
            }
            (Command::Load { reply, .. }, Effect::Loaded { event }) => drop(reply.send(Ok(event))),
            (Command::DeadLetters { reply, .. }, Effect::DeadLetters { page }) => {
                drop(reply.send(Ok(page)))
            }
            (Command::Replay { group, reply, .. }, Effect::Replayed { entries }) => {
                let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
                self.groups.dead_letters_gone(&group, count);
                entries
                    .into_iter()
                    .for_each(|entry| self.groups.restore(&group, entry, Duration::ZERO));
                drop(reply.send(Ok(count)));
            }
            (Command::Discard { group, reply, .. }, Effect::Discarded { count }) => {
                self.groups.dead_letters_gone(&group, count);
                drop(reply.send(Ok(count)));
            }
            (Command::Ping { reply }, _) => drop(reply.send(Ok(()))),
            // Changes, and pairs that `apply` never makes.
            _ => {}
        }
    }

    /// After the commit, so that an event is not both offered and loaded. What it decides goes into
    /// the next one.
    fn refill(&mut self, group: &Arc<str>, kind: &Arc<str>, after_seq: u64) {
        let Limits {
            refill_events,
            refill_bytes,
            ..
        } = self.limits;
        match store::ready(
            &self.connection,
            group,
            kind,
            after_seq,
            refill_events,
            refill_bytes,
        ) {
            Ok((entries, exhausted)) => {
                let decided = self.groups.refilled(group, kind, entries, exhausted);
                self.carried
                    .extend(decided.into_iter().map(|change| Command::Change {
                        group: Arc::clone(group),
                        change,
                    }));
            }
            Err(error) => {
                tracing::error!(%error, group = &**group, kind = &**kind, "waiting events cannot be read");
                self.groups.refill_failed(group, kind);
            }
        }
    }

    fn fail(&mut self, command: Command, error: &EventsError) {
        match command {
            Command::Change {
                change: Change::Refill { kind, .. },
                group,
            } => self.groups.refill_failed(&group, &kind),
            change @ Command::Change { .. } => self.carried.push(change),
            Command::Publish { reply, .. }
            | Command::Declare { reply, .. }
            | Command::Ping { reply } => {
                drop(reply.send(Err(error.clone())));
            }
            Command::Retire { reply, .. }
            | Command::Replay { reply, .. }
            | Command::Discard { reply, .. } => {
                drop(reply.send(Err(error.clone())));
            }
            Command::Load { reply, .. } => drop(reply.send(Err(error.clone()))),
            Command::DeadLetters { reply, .. } => drop(reply.send(Err(error.clone()))),
        }
    }
}

fn apply(
    db: &Connection,
    command: &Command,
    live: &Groups,
    last_seq: &mut u64,
    now: i64,
) -> SqlResult<Effect> {
    Ok(match command {
        Command::Publish { event, encoded, .. } => {
            let kind: Arc<str> = event.kind.as_str().into();
            let groups = live.wanting(&kind);
            let mut entries = Vec::with_capacity(groups.len());
            for group in groups {
                *last_seq = (*last_seq + 1).max(u64::try_from(now).unwrap_or(0));
                store::insert(db, *last_seq, &group, event, encoded)?;
                let (kind, event, size_bytes) =
                    (Arc::clone(&kind), Some(Arc::clone(event)), encoded.len());
                entries.push((
                    group,
                    Entry {
                        seq: *last_seq,
                        kind,
                        attempt: 0,
                        event,
                        size_bytes,
                    },
                ));
            }
            Effect::Published { entries }
        }
        Command::Change { change, .. } => {
            write(db, change)?;
            Effect::Changed
        }
        Command::Declare { group, .. } => {
            store::declare(db, group)?;
            Effect::Declared
        }
        Command::Retire { group, .. } => Effect::Retired {
            dead: store::retire(db, group)?,
        },
        Command::Load { seq, .. } => Effect::Loaded {
            event: store::load(db, *seq)?,
        },
        Command::DeadLetters {
            group,
            after,
            limit,
            ..
        } => Effect::DeadLetters {
            page: store::dead_letters(db, group, *after, *limit)?,
        },
        Command::Replay { group, seq, .. } => Effect::Replayed {
            entries: store::replay(db, group, *seq, now)?,
        },
        Command::Discard { group, seq, .. } => Effect::Discarded {
            count: store::discard(db, group, *seq)?,
        },
        Command::Ping { .. } => Effect::Alive,
    })
}

fn write(db: &Connection, change: &Change) -> SqlResult<()> {
    match change {
        Change::Returned { seq, attempt } => store::set_attempt(db, *seq, *attempt),
        Change::Acked { seq } => store::delete(db, *seq),
        Change::Retry {
            seq,
            attempt,
            due_at,
        } => store::set_due(db, *seq, *attempt, due_at.timestamp_micros().max(1)),
        Change::Dead {
            seq,
            attempts,
            reason,
            died_at,
        } => store::bury(db, *seq, *attempts, reason, died_at.timestamp_micros()),
        Change::Delivered { .. } | Change::Refill { .. } => Ok(()),
    }
}

fn explained(error: &rusqlite::Error) -> EventsError {
    match error {
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..) => EventsError::Corrupt(error.to_string()),
        other => EventsError::Unavailable(other.to_string()),
    }
}
