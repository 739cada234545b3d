//! What handlers share.

use std::sync::Arc;

use riwaq_aggregates::{CursorKey, Idempotency};
use riwaq_clock::SharedClock;
use riwaq_kit::TaskGroup;

use crate::answering::{Answerer, Extractive};
use crate::conversations::Conversations;
use crate::{ChatbotError, Config, Deps};

/// Everything that handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) clock: SharedClock,
    pub(crate) conversations: Conversations,
    pub(crate) answerer: Arc<dyn Answerer>,
    pub(crate) cursors: CursorKey,
    pub(crate) idempotency: Idempotency,
    pub(crate) tasks: TaskGroup,
}

impl App {
    pub(crate) fn new(config: Config, deps: &Deps) -> Result<Arc<Self>, ChatbotError> {
        config.validate()?;
        let (store, clock) = (deps.store.clone(), Arc::clone(&deps.clock));
        let keys = config.idempotency.clone();
        Ok(Arc::new(Self {
            conversations: Conversations::new(store.clone(), Arc::clone(&clock), &config),
            answerer: Arc::new(Extractive::new(deps.search.clone(), &config)),
            cursors: deps.cursors.clone(),
            idempotency: Idempotency::new(crate::NAME, store, Arc::clone(&clock), keys)?,
            tasks: deps.tasks.clone(),
            clock,
            config,
        }))
    }
}
