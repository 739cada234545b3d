//! `riwaq events dead`: what could not be delivered.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use riwaq_events::{Events, EventsError};

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
        Dead::Discard { sources, ids } => discard(&open(&sources).await?, &ids).await,
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

/// What is done with dead letters that are named.
#[derive(Clone, Copy)]
enum Action {
    Replay,
    Discard,
}

async fn replay(events: &Arc<dyn Events>, ids: &[String]) -> Result<()> {
    let replayed = if ids.is_empty() {
        replay_all(events).await?
    } else {
        each(events, Action::Replay, ids).await?
    };
    crate::print(&format!("{replayed} dead letters will be delivered again"));
    Ok(())
}

async fn discard(events: &Arc<dyn Events>, ids: &[String]) -> Result<()> {
    let discarded = each(events, Action::Discard, ids).await?;
    crate::print(&format!("{discarded} dead letters were removed"));
    Ok(())
}

async fn replay_all(events: &Arc<dyn Events>) -> Result<u64> {
    let mut replayed = 0;
    for group in roles::groups() {
        replayed += events.replay_all(&group.name).await?;
    }
    Ok(replayed)
}

/// Does it with each in whichever groups know the id, and says at the end which ids no group knows.
async fn each(events: &Arc<dyn Events>, action: Action, ids: &[String]) -> Result<u64> {
    let (mut done, mut unknown) = (0, Vec::new());
    for id in ids {
        let before = done;
        for group in roles::groups() {
            let result = match action {
                Action::Replay => events.replay(&group.name, id).await,
                Action::Discard => events.discard(&group.name, id).await,
            };
            match result {
                Ok(()) => done += 1,
                Err(EventsError::NoSuchDeadLetter { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if done == before {
            unknown.push(id.as_str());
        }
    }
    ensure!(
        unknown.is_empty(),
        "no dead letter is called {} ({done} of {} were found; `riwaq events dead list` shows all)",
        unknown.join(", "),
        ids.len()
    );
    Ok(done)
}

#[cfg(test)]
mod tests {
    use riwaq_clock::SystemClock;
    use riwaq_events::{MemoryEvents, RetryPolicy};

    use super::*;

    #[tokio::test]
    async fn ids_that_no_group_knows_are_named() {
        let events: Arc<dyn Events> =
            Arc::new(MemoryEvents::new(SystemClock::shared(), RetryPolicy::default()).unwrap());
        for action in [Action::Replay, Action::Discard] {
            let ids = ["17".to_owned(), "nonsense".to_owned()];
            let error = each(&events, action, &ids).await.unwrap_err().to_string();
            assert!(
                error.contains("17, nonsense") && error.contains("0 of 2"),
                "{error}"
            );
        }
    }
}
