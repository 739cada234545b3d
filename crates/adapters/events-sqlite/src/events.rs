//! Opening the queue, and the port on top of it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use async_trait::async_trait;
use riwaq_clock::SharedClock;
use riwaq_events::dispatch::{Capacity, Dispatcher, Groups, Journal};
use riwaq_events::{
    CloudEvent, Consumer, DeadLetterPage, Events, EventsError, Group, GroupDepth, Result,
    Subscription, check_page,
};
use rusqlite::{Connection, TransactionBehavior};

use crate::command::Command;
use crate::journal::WriterHandle;
use crate::writer::{Limits, Writer};
use crate::{OpenError, SqliteEventsConfig, schema, store};

/// The process before us may still be writing its last commit.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// An [`Events`] in a SQLite file. Clones are handles on the same queue; the file is closed when
/// the last handle, consumer and delivery is gone.
#[derive(Clone, Debug)]
pub struct SqliteEvents {
    // Before `writer`: what is dropped first may still tell the thread.
    dispatcher: Arc<Dispatcher>,
    writer: Arc<WriterHandleDebug>,
}

/// The handle has nothing worth printing.
struct WriterHandleDebug(Arc<WriterHandle>);

impl std::fmt::Debug for WriterHandleDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WriterHandle")
    }
}

impl SqliteEvents {
    /// Opens the queue in this folder, which is made if it is not there. Blocks: for the disk, and
    /// up to two seconds for a process that is just closing it.
    ///
    /// # Errors
    /// [`OpenError`]: in use, not accessible, damaged, newer than this program, or a
    /// configuration that cannot work.
    pub fn open(
        folder: &Path,
        config: &SqliteEventsConfig,
        clock: SharedClock,
    ) -> std::result::Result<Self, OpenError> {
        let lock = lock(folder)?;
        let path = folder.join("events.db");
        let failed = |source| OpenError::Sqlite {
            path: path.clone(),
            source,
        };
        let mut connection = Connection::open(&path).map_err(failed)?;
        schema::configure(&connection).map_err(failed)?;
        migrate(&mut connection, &path)?;

        let (sender, commands) = mpsc::channel();
        let handle = Arc::new(WriterHandle::new(sender));
        let journal: Arc<dyn Journal> = Arc::clone(&handle) as _;
        let capacity = Capacity {
            max_entries: config.max_memory_events.max(1),
            max_bytes: config.max_memory_bytes,
            low: config.max_memory_events / 4,
        };
        let dispatcher = Arc::new(Dispatcher::new(
            journal,
            Arc::clone(&clock),
            config.retry.clone(),
            capacity,
        )?);
        let last_seq = restore(
            &connection,
            dispatcher.groups(),
            &clock,
            config.retry.max_attempts,
        )
        .map_err(failed)?;

        let writer = Writer {
            connection,
            commands,
            groups: Arc::clone(dispatcher.groups()),
            clock,
            last_seq,
            limits: Limits {
                max_commit_requests: config.max_commit_requests.max(1),
                refill_events: config.max_memory_events.max(1),
                refill_bytes: config.max_memory_bytes,
            },
            marks: std::collections::BTreeMap::new(),
            carried: Vec::new(),
            lock,
        };
        let thread = std::thread::Builder::new()
            .name("riwaq-events".to_owned())
            .spawn(move || writer.run());
        handle.started(thread.map_err(|source| OpenError::Io { path, source })?);
        Ok(Self {
            dispatcher,
            writer: Arc::new(WriterHandleDebug(handle)),
        })
    }

    fn writer(&self) -> &WriterHandle {
        &self.writer.0
    }
}

fn lock(folder: &Path) -> std::result::Result<File, OpenError> {
    let failed = |path: PathBuf| |source| OpenError::Io { path, source };
    fs::create_dir_all(folder).map_err(failed(folder.to_owned()))?;
    let path = folder.join("events.lock");
    let file = File::create(&path).map_err(failed(path.clone()))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(source)) => return Err(OpenError::Io { path, source }),
        }
    }
    Err(OpenError::InUse { path })
}

fn migrate(connection: &mut Connection, path: &Path) -> std::result::Result<(), OpenError> {
    let failed = |source| OpenError::Sqlite {
        path: path.to_owned(),
        source,
    };
    let found = schema::version(connection).map_err(failed)?;
    if found > schema::VERSION {
        return Err(OpenError::TooNew {
            path: path.to_owned(),
            found,
            known: schema::VERSION,
        });
    }
    if found < schema::VERSION {
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        schema::upgrade(&transaction, found).map_err(failed)?;
        transaction.commit().map_err(failed)?;
    }
    Ok(())
}

/// Tells the groups what the file holds for them. Returns the highest number in use.
fn restore(
    db: &Connection,
    live: &Groups,
    clock: &SharedClock,
    max_attempts: u32,
) -> rusqlite::Result<u64> {
    let now = clock.now_micros();
    let buried = store::bury_spent(db, max_attempts, now)?;
    if buried > 0 {
        tracing::warn!(buried, "events were delivered too often without an answer");
    }
    let groups = store::groups(db)?;
    let (backlogs, dead) = (store::backlogs(db)?, store::dead_counts(db)?);
    for group in &groups {
        live.declare(group);
        let own: Vec<_> = backlogs
            .iter()
            .filter(|(name, ..)| *name == group.name)
            .map(|(_, kind, n)| (Arc::clone(kind), *n))
            .collect();
        let dead = dead
            .iter()
            .find(|(name, _)| *name == group.name)
            .map_or(0, |(_, count)| *count);
        live.set_stored(&group.name, &own, dead);
    }
    for delayed in store::delayed(db)? {
        let wait = u64::try_from(delayed.due_at.saturating_sub(now)).unwrap_or(0);
        live.restore(&delayed.group, delayed.entry, Duration::from_micros(wait));
    }
    store::last_seq(db).map(|seq| u64::try_from(seq).unwrap_or(0))
}

#[async_trait]
impl Events for SqliteEvents {
    async fn declare_group(&self, group: &Group) -> Result<()> {
        group.validate()?;
        if self.dispatcher.groups().has(group) {
            return Ok(());
        }
        let group = group.clone();
        self.writer()
            .ask(|reply| Command::Declare { group, reply })
            .await
    }

    async fn retire_group(&self, group: &Group) -> Result<u64> {
        group.validate()?;
        let group = group.clone();
        self.writer()
            .ask(|reply| Command::Retire { group, reply })
            .await
    }

    async fn publish(&self, event: CloudEvent) -> Result<()> {
        let encoded = String::from_utf8(event.encode()?)
            .map_err(|error| EventsError::Corrupt(format!("JSON that is not UTF-8: {error}")))?;
        let event = Arc::new(event);
        if self.dispatcher.groups().wanting(&event.kind).is_empty() {
            self.dispatcher.groups().broadcast(&event);
            return Ok(());
        }
        self.writer()
            .ask(|reply| Command::Publish {
                event,
                encoded,
                reply,
            })
            .await
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn Consumer>> {
        subscription.validate()?;
        if let Subscription::Group(group) = &subscription {
            self.declare_group(group).await?;
        }
        self.dispatcher.subscribe(subscription)
    }

    async fn dead_letters(
        &self,
        group: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<DeadLetterPage> {
        let after = check_page(after, limit)?;
        let group = group.to_owned();
        self.writer()
            .ask(|reply| Command::DeadLetters {
                group,
                after,
                limit,
                reply,
            })
            .await
    }

    async fn replay(&self, group: &str, id: &str) -> Result<()> {
        let seq = Some(number(group, id)?);
        let name = group.to_owned();
        match self
            .writer()
            .ask(|reply| Command::Replay {
                group: name,
                seq,
                reply,
            })
            .await?
        {
            0 => Err(no_such(group, id)),
            _ => Ok(()),
        }
    }

    async fn replay_all(&self, group: &str) -> Result<u64> {
        let group = group.to_owned();
        self.writer()
            .ask(|reply| Command::Replay {
                group,
                seq: None,
                reply,
            })
            .await
    }

    async fn discard(&self, group: &str, id: &str) -> Result<()> {
        let seq = number(group, id)?;
        let name = group.to_owned();
        match self
            .writer()
            .ask(|reply| Command::Discard {
                group: name,
                seq,
                reply,
            })
            .await?
        {
            0 => Err(no_such(group, id)),
            _ => Ok(()),
        }
    }

    async fn depths(&self) -> Result<Vec<GroupDepth>> {
        Ok(self.dispatcher.depths())
    }

    async fn ping(&self) -> Result<()> {
        self.writer().ask(|reply| Command::Ping { reply }).await
    }
}

fn number(group: &str, id: &str) -> Result<u64> {
    id.parse().map_err(|_| no_such(group, id))
}

fn no_such(group: &str, id: &str) -> EventsError {
    EventsError::NoSuchDeadLetter {
        group: group.to_owned(),
        id: id.to_owned(),
    }
}
