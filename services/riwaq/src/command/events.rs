//! `riwaq events dead`: what could not be delivered.

use std::sync::Arc;

use anyhow::{Context, Result};
use riwaq_events::Events;

use crate::adapters;
use crate::cli::{Dead, Events as Command, Listen, Sources};
use crate::config::Config;
use crate::{host, roles};

const PAGE: usize = 100;

pub(crate) async fn run(command: Command) -> Result<()> {
    let Command::Dead(command) = command;
    match command {
        Dead::List { sources } => list(&open(&sources).await?).await,
        Dead::Replay { sources, ids } => replay(&open(&sources).await?, &ids).await,
    }
}

async fn open(sources: &Sources) -> Result<Arc<dyn Events>> {
    let config = Config::load(sources, &Listen::default())?;
    adapters::events(&config, &host::clock()).await.context(
        "this command opens the events itself; if `riwaq dev` runs on them, stop that first",
    )
}

async fn list(events: &Arc<dyn Events>) -> Result<()> {
    let mut count = 0;
    for group in roles::groups() {
        let mut after: Option<String> = None;
        loop {
            let page = events
                .dead_letters(&group.name, after.as_deref(), PAGE)
                .await?;
            for letter in &page.items {
                count += 1;
                crate::print(&format!(
                    "{}  {}  {}  {}  {} attempts: {}",
                    letter.id,
                    group.name,
                    letter.event.kind,
                    letter.died_at.to_rfc3339(),
                    letter.attempts,
                    letter.reason
                ));
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
    }
    crate::print(&format!("{count} dead letters"));
    Ok(())
}

async fn replay(events: &Arc<dyn Events>, ids: &[String]) -> Result<()> {
    let mut replayed = 0;
    for group in roles::groups() {
        if ids.is_empty() {
            replayed += events.replay_all(&group.name).await?;
            continue;
        }
        for id in ids {
            match events.replay(&group.name, id).await {
                Ok(()) => replayed += 1,
                // Ids are one group's own; another group does not know it.
                Err(riwaq_events::EventsError::NoSuchDeadLetter { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    crate::print(&format!("{replayed} dead letters will be delivered again"));
    Ok(())
}
