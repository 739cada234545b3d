//! The event bus: SQLite or RabbitMQ.

use std::sync::Arc;

use anyhow::{Context, Result};
use riwaq_clock::SharedClock;
use riwaq_events::Events;
use riwaq_events_rabbitmq::RabbitmqEvents;
use riwaq_events_sqlite::SqliteEvents;

use super::expose;
use crate::config::{Config, EventsEngine};

/// The event bus alone.
pub(crate) async fn events(config: &Config, clock: &SharedClock) -> Result<Arc<dyn Events>> {
    match config.events.engine {
        EventsEngine::Sqlite => {
            let folder = config.data_dir.join("events");
            let events = SqliteEvents::open(&folder, &config.events.sqlite, Arc::clone(clock))
                .context("events in SQLite")?;
            Ok(Arc::new(events))
        }
        EventsEngine::Rabbitmq => {
            let mut rabbitmq = config.events.rabbitmq.clone();
            rabbitmq.password = expose(config.events.rabbitmq_password.as_ref());
            let events = RabbitmqEvents::connect(rabbitmq, Arc::clone(clock))
                .await
                .context("events in RabbitMQ")?;
            Ok(Arc::new(events))
        }
    }
}
