//! Whether the cluster is there, is what we think, and takes what we give.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use riwaq_index::IndexError;
use serde::Deserialize;

use crate::client::Client;
use crate::error::Failure;
use crate::generation::Generations;

/// The oldest version that is known to work.
const OLDEST: u32 = 2;
/// Between two tries at start.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Root {
    version: Version,
}

#[derive(Deserialize)]
struct Version {
    #[serde(default)]
    distribution: String,
    number: String,
}

/// Waits until a node answers and the indexes are there.
pub(crate) async fn wait(
    client: &Client,
    generations: &Generations,
    seconds: u64,
) -> Result<(), IndexError> {
    let patience = Duration::from_secs(seconds);
    let started = client.clock().monotonic();
    loop {
        let failure = match open(client, generations).await? {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        let waited = client.clock().monotonic().saturating_sub(started);
        if !failure.is_passing() || waited + PAUSE > patience {
            return Err(failure.into());
        }
        tracing::warn!(%failure, "OpenSearch is not ready, trying again");
        client.clock().sleep(PAUSE).await;
    }
}

async fn open(
    client: &Client,
    generations: &Generations,
) -> Result<Result<(), Failure>, IndexError> {
    let root: Root = match client
        .fetch(client.ask("root", Method::GET, "/".into()))
        .await
    {
        Ok(root) => root,
        Err(Failure::Strange(reason)) => {
            return Err(IndexError::invalid(
                "urls",
                format!("not OpenSearch: {reason}"),
            ));
        }
        Err(failure) => return Ok(Err(failure)),
    };
    let Version {
        distribution,
        number,
    } = root.version;
    let major: Option<u32> = number
        .split('.')
        .next()
        .and_then(|major| major.parse().ok());
    if distribution != "opensearch" || major.is_none_or(|major| major < OLDEST) {
        return Err(IndexError::invalid(
            "urls",
            format!("{distribution} {number} is not OpenSearch {OLDEST} or later"),
        ));
    }
    Ok(generations.ensure().await.map(drop))
}

#[derive(Deserialize)]
struct Health {
    status: String,
    timed_out: bool,
}

#[derive(Deserialize)]
struct Settings {
    #[serde(default)]
    settings: BTreeMap<String, serde_json::Value>,
}

/// Whether all of these indexes can answer and take writes.
pub(crate) async fn ping(client: &Client, indexes: &str) -> Result<(), IndexError> {
    let path = format!("/_cluster/health/{indexes}?timeout=1s");
    let health: Health = client
        .fetch(client.ask("health", Method::GET, path))
        .await?;
    if health.timed_out || !matches!(health.status.as_str(), "green" | "yellow") {
        let status = health.status;
        return Err(IndexError::Unavailable(format!(
            "OpenSearch calls the indexes {status}: a shard is nowhere"
        )));
    }
    let path = format!("/{indexes}/_settings/index.blocks.*?flat_settings=true");
    let settings: BTreeMap<String, Settings> = client
        .fetch(client.ask("settings", Method::GET, path))
        .await?;
    let blocked = settings.into_iter().find_map(|(index, found)| {
        let set = found.settings.into_iter();
        let mut on = set.filter(|(_, value)| matches!(value.as_str(), Some("true")));
        on.next().map(|(block, _)| (index, block))
    });
    match blocked {
        None => Ok(()),
        Some((index, block)) => Err(IndexError::Unavailable(format!(
            "{index} takes no writes ({block}): its disk is full, or somebody blocked it"
        ))),
    }
}
