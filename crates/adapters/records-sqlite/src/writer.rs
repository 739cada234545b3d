//! The writer thread: everything that is waiting, in one transaction.

use std::sync::Arc;

use riwaq_clock::SharedClock;
use riwaq_records::{Conditional, MigrationPlan, MigrationReport, Outcome, RecordsError, Write};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::SqliteConfig;
use crate::migrate;
use crate::sql::Statements;
use crate::sweep::Sweep;
use crate::write::Executor;

type Answer<T> = oneshot::Sender<Result<T, RecordsError>>;

/// What the thread is asked to do. The input is checked already.
pub(crate) enum Command {
    Write(Vec<Write>, Answer<()>),
    Apply(Conditional, Answer<Outcome>),
    Migrate(MigrationPlan, Answer<MigrationReport>),
}

/// A command that is done, up to the commit.
enum Done {
    Write(Result<(), RecordsError>, Answer<()>),
    Apply(Result<Outcome, RecordsError>, Answer<Outcome>),
    Migrate(
        Result<MigrationReport, RecordsError>,
        Answer<MigrationReport>,
    ),
}

impl Done {
    const fn failed(&self) -> bool {
        match self {
            Self::Write(result, _) => result.is_err(),
            Self::Apply(result, _) => result.is_err(),
            Self::Migrate(result, _) => result.is_err(),
        }
    }

    /// Answers. A caller that has gone away does not mind.
    fn answer(self) {
        match self {
            Self::Write(result, answer) => drop(answer.send(result)),
            Self::Apply(result, answer) => drop(answer.send(result)),
            Self::Migrate(result, answer) => drop(answer.send(result)),
        }
    }

    /// Answers with this error what would have been a success.
    fn answer_lost(self, error: &RecordsError) {
        if self.failed() {
            return self.answer();
        }
        match self {
            Self::Write(_, answer) => drop(answer.send(Err(error.clone()))),
            Self::Apply(_, answer) => drop(answer.send(Err(error.clone()))),
            Self::Migrate(_, answer) => drop(answer.send(Err(error.clone()))),
        }
    }
}

impl Command {
    /// Answers a command that was not carried out.
    fn refuse(self, error: &RecordsError) {
        match self {
            Self::Write(_, answer) => drop(answer.send(Err(error.clone()))),
            Self::Apply(_, answer) => drop(answer.send(Err(error.clone()))),
            Self::Migrate(_, answer) => drop(answer.send(Err(error.clone()))),
        }
    }
}

/// The thread's own things.
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) statements: Arc<Statements>,
    pub(crate) queue: mpsc::Receiver<Command>,
    pub(crate) clock: SharedClock,
    pub(crate) config: SqliteConfig,
}

impl Writer {
    /// Works until every sender is gone.
    pub(crate) fn run(mut self) {
        let mut sweep = Sweep::new(&self.config);
        while let Some(first) = self.queue.blocking_recv() {
            let mut group = vec![first];
            while group.len() < self.config.group_writes {
                match self.queue.try_recv() {
                    Ok(next) => group.push(next),
                    Err(_) => break,
                }
            }
            self.commit(group);
            sweep.run_if_due(&self.connection, self.clock.as_ref());
        }
    }

    fn commit(&self, group: Vec<Command>) {
        if let Err(error) = self.execute("BEGIN IMMEDIATE") {
            let error = RecordsError::unavailable(format!("SQLite: {error}"));
            group.into_iter().for_each(|command| command.refuse(&error));
            return;
        }
        let executor = Executor {
            connection: &self.connection,
            statements: &self.statements,
            now_seconds: self.clock.now().timestamp(),
        };
        let mut done = Vec::with_capacity(group.len());
        let mut commands = group.into_iter();
        for command in commands.by_ref() {
            done.push(self.carry_out(&executor, command));
            // Some errors (a full disk) end the whole transaction.
            if self.connection.is_autocommit() {
                let error = RecordsError::unavailable("SQLite gave up the transaction");
                done.into_iter().for_each(|done| done.answer_lost(&error));
                commands.for_each(|command| command.refuse(&error));
                return;
            }
        }
        match self.execute("COMMIT") {
            Ok(()) => done.into_iter().for_each(Done::answer),
            Err(error) => {
                if let Err(error) = self.execute("ROLLBACK") {
                    tracing::warn!(%error, "rollback after a failed commit");
                }
                tracing::error!(%error, writes = done.len(), "a group of writes could not be committed");
                let error = RecordsError::unknown(format!("SQLite could not commit: {error}"));
                done.into_iter().for_each(|done| done.answer_lost(&error));
            }
        }
    }

    fn carry_out(&self, executor: &Executor<'_>, command: Command) -> Done {
        match command {
            Command::Write(writes, answer) => Done::Write(
                self.atomic(writes.len() > 1, || executor.write(&writes)),
                answer,
            ),
            Command::Apply(conditional, answer) => {
                let several = conditional.changes.len() > 1;
                Done::Apply(
                    self.atomic(several, || executor.apply(&conditional)),
                    answer,
                )
            }
            Command::Migrate(plan, answer) => Done::Migrate(
                self.atomic(true, || migrate::run(&self.connection, &plan)),
                answer,
            ),
        }
    }

    /// Undoes all of a command that fails in the middle; `several` says whether it has a middle.
    fn atomic<T>(
        &self,
        several: bool,
        work: impl FnOnce() -> Result<T, RecordsError>,
    ) -> Result<T, RecordsError> {
        if !several {
            return work();
        }
        let failed = |error: rusqlite::Error| RecordsError::unavailable(format!("SQLite: {error}"));
        self.execute("SAVEPOINT command").map_err(failed)?;
        let result = work();
        if result.is_err() && !self.connection.is_autocommit() {
            self.execute("ROLLBACK TO command").map_err(failed)?;
        }
        if !self.connection.is_autocommit() {
            self.execute("RELEASE command").map_err(failed)?;
        }
        result
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(sql)?
            .raw_execute()
            .map(|_| ())
    }
}
