//! What the writer thread is asked to do.

use std::sync::Arc;

use riwaq_events::dispatch::{Change, Entry};
use riwaq_events::{CloudEvent, DeadLetterPage, Group, Result};
use tokio::sync::oneshot;

/// Where the answer goes. Nobody may be there any more: a caller may have gone away.
pub(crate) type Reply<T> = oneshot::Sender<Result<T>>;

pub(crate) enum Command {
    Publish {
        event: Arc<CloudEvent>,
        encoded: String,
        reply: Reply<()>,
    },
    Change {
        group: Arc<str>,
        change: Change,
    },
    Declare {
        group: Group,
        reply: Reply<()>,
    },
    Retire {
        group: Group,
        reply: Reply<u64>,
    },
    Load {
        seq: u64,
        reply: Reply<Option<Arc<CloudEvent>>>,
    },
    DeadLetters {
        group: String,
        after: u64,
        limit: usize,
        reply: Reply<DeadLetterPage>,
    },
    Replay {
        group: String,
        seq: Option<u64>,
        reply: Reply<u64>,
    },
    Discard {
        group: String,
        seq: u64,
        reply: Reply<u64>,
    },
    Ping {
        reply: Reply<()>,
    },
}

/// What a command did in the transaction, to be told once that is committed.
pub(crate) enum Effect {
    Published { entries: Vec<(Arc<str>, Entry)> },
    Changed,
    Declared,
    Retired { dead: u64 },
    Loaded { event: Option<Arc<CloudEvent>> },
    DeadLetters { page: DeadLetterPage },
    Replayed { entries: Vec<Entry> },
    Discarded { count: u64 },
    Alive,
}
