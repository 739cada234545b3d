//! What is consumed: that a file or a course changed. The events hold ids and versions; what to
//! do is decided by the present state of the thing.

use std::sync::Arc;

use async_trait::async_trait;
use riwaq_clock::SharedClock;
use riwaq_events::worker::{HandleError, Handler, WorkerOptions, work};
use riwaq_events::{CloudEvent, Events, Group, Subscription};
use riwaq_kit::context;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::indexing::Indexer;
use crate::{Config, Deps, NAME};

/// A file was added, changed or deleted; data `{id, version}`.
const FILE_CHANGED: &str = "riwaq.files.file.changed";
/// A course was created, changed or deleted; data `{id, version}`.
const COURSE_CHANGED: &str = "riwaq.courses.course.changed";

/// The group that shares the work among replicas.
pub(crate) fn group() -> Group {
    Group::new(NAME, [FILE_CHANGED, COURSE_CHANGED])
}

/// What a journal's event holds.
#[derive(Deserialize)]
struct Changed {
    id: Uuid,
    version: u64,
}

/// Handles events until it is told to stop.
pub(crate) struct Consumer {
    events: Arc<dyn Events>,
    clock: SharedClock,
    options: WorkerOptions,
    handler: IndexHandler,
}

impl Consumer {
    pub(crate) fn new(config: &Config, deps: &Deps, indexer: Arc<Indexer>) -> Self {
        Self {
            events: Arc::clone(&deps.events),
            clock: Arc::clone(&deps.clock),
            options: WorkerOptions {
                concurrency: config.workers,
            },
            handler: IndexHandler { indexer },
        }
    }

    pub(crate) async fn run(self, closing: CancellationToken) {
        let subscription = Subscription::Group(group());
        work(
            &*self.events,
            subscription,
            &self.handler,
            &self.options,
            &*self.clock,
            closing.cancelled(),
        )
        .await;
    }
}

struct IndexHandler {
    indexer: Arc<Indexer>,
}

#[async_trait]
impl Handler for IndexHandler {
    async fn handle(&self, event: &CloudEvent) -> Result<(), HandleError> {
        let what = format!("index {}", event.kind);
        context::consuming(NAME, &what, event.traceparent.as_deref(), self.index(event)).await
    }
}

impl IndexHandler {
    async fn index(&self, event: &CloudEvent) -> Result<(), HandleError> {
        let Changed { id, version } = event.data_as().map_err(HandleError::new)?;
        match event.kind.as_str() {
            FILE_CHANGED => {
                let done = self.indexer.file(id, Some(version)).await;
                done.map(drop).map_err(HandleError::new)
            }
            COURSE_CHANGED => {
                let done = self.indexer.course(id, Some(version)).await;
                done.map_err(HandleError::new)
            }
            other => Err(HandleError::new(format!("{other} was not asked for"))),
        }
    }
}
