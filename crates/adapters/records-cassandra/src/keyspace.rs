//! The keyspace: made where it is missing, and looked at before anything is entrusted to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use riwaq_records::RecordsError;
use scylla::client::session::Session;
use scylla::statement::Statement;

use crate::{Config, cql, errors};

/// How a keyspace keeps copies, as Cassandra's schema shows it: `class`, and a number for each data centre.
type Replication = BTreeMap<String, String>;

/// What is wrong with a keyspace that is there.
#[derive(Debug, PartialEq, Eq)]
enum Finding {
    /// It serves.
    Fits,
    /// It serves, and differs from the configuration.
    Differs(String),
    /// Acknowledged rows would be less safe than configured, or none could be acknowledged.
    Refused(String),
}

/// Makes the keyspace where the configuration says so, and refuses one that cannot keep its promise.
pub(crate) async fn prepare(session: &Session, config: &Config) -> Result<(), RecordsError> {
    let nodes = nodes_of_datacenter(session, config)?;
    let replication = match stored(session, &config.keyspace).await? {
        Some(replication) => replication,
        None if config.create_keyspace => {
            if nodes.is_some_and(|nodes| nodes < to_usize(config.replication_factor)) {
                return Err(RecordsError::invalid(
                    "replication_factor",
                    format!(
                        "is {}, and data centre {} has {} nodes",
                        config.replication_factor,
                        config.datacenter,
                        nodes.unwrap_or_default()
                    ),
                ));
            }
            create(session, config).await?;
            // Another replica of the program may have made it meanwhile, and otherwise.
            stored(session, &config.keyspace).await?.unwrap_or_default()
        }
        None => {
            return Err(RecordsError::schema(format!(
                "there is no keyspace {}, or the role may not see it; make it with: {}",
                config.keyspace,
                create_cql(config)
            )));
        }
    };
    match judge(config, &replication) {
        Finding::Fits => {}
        Finding::Differs(what) => {
            tracing::warn!(keyspace = config.keyspace, "{what}");
        }
        Finding::Refused(why) => return Err(RecordsError::schema(why)),
    }
    if config.replication_factor == 1 && nodes.is_some_and(|nodes| nodes > 1) {
        tracing::warn!(
            "each row is on one node alone: when that is away, its rows are; set records.cassandra.replication_factor to 3"
        );
    }
    Ok(())
}

/// How many nodes the configured data centre has; none while the driver could not learn that.
fn nodes_of_datacenter(session: &Session, config: &Config) -> Result<Option<usize>, RecordsError> {
    let state = session.get_cluster_state();
    let nodes = state.get_nodes_info();
    let known: BTreeSet<&str> = nodes
        .iter()
        .filter_map(|node| node.datacenter.as_deref())
        .collect();
    if known.is_empty() {
        return Ok(None);
    }
    if !known.contains(config.datacenter.as_str()) {
        let known: Vec<_> = known.into_iter().collect();
        return Err(RecordsError::invalid(
            "datacenter",
            format!(
                "no node lies in {}; the cluster has {}",
                config.datacenter,
                known.join(", ")
            ),
        ));
    }
    let here = nodes
        .iter()
        .filter(|node| node.datacenter.as_ref() == Some(&config.datacenter));
    Ok(Some(here.count()))
}

async fn stored(session: &Session, keyspace: &str) -> Result<Option<Replication>, RecordsError> {
    let cql = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let result = session
        .query_unpaged(cql, (keyspace,))
        .await
        .map_err(errors::of_read)?;
    let rows = result
        .into_rows_result()
        .map_err(|error| RecordsError::corrupt("system_schema.keyspaces", error))?;
    let row = rows
        .maybe_first_row::<(Replication,)>()
        .map_err(|error| RecordsError::corrupt("system_schema.keyspaces", error))?;
    Ok(row.map(|(replication,)| replication))
}

async fn create(session: &Session, config: &Config) -> Result<(), RecordsError> {
    let mut statement = Statement::new(create_cql(config));
    statement.set_is_idempotent(true);
    statement.set_request_timeout(Some(Duration::from_secs(config.schema_timeout_seconds)));
    session
        .query_unpaged(statement, ())
        .await
        .map_err(errors::of_schema_change)?;
    let agreed = session.await_schema_agreement().await;
    agreed
        .map(|_| ())
        .map_err(|error| errors::of_disagreement(&error))
}

fn create_cql(config: &Config) -> String {
    format!(
        "CREATE KEYSPACE IF NOT EXISTS {} WITH replication = {} AND durable_writes = true",
        cql::quoted(&config.keyspace),
        replication_cql(config)
    )
}

fn replication_cql(config: &Config) -> String {
    format!(
        "{{'class': 'NetworkTopologyStrategy', '{}': {}}}",
        config.datacenter, config.replication_factor
    )
}

fn judge(config: &Config, replication: &Replication) -> Finding {
    let class = replication.get("class").map_or("", String::as_str);
    let remedy = format!(
        "as an administrator: ALTER KEYSPACE {} WITH replication = {}, then `nodetool repair --full {0}` on every node",
        config.keyspace,
        replication_cql(config),
    );
    let shown = replication
        .iter()
        .filter(|(name, _)| *name != "class")
        .map(|(name, copies)| format!("{name}: {copies}"))
        .collect::<Vec<_>>()
        .join(", ");
    if !class.ends_with("NetworkTopologyStrategy") {
        return Finding::Refused(format!(
            "keyspace {} is kept by {class}, which knows no data centres; {remedy}",
            config.keyspace
        ));
    }
    // `3/1`: three copies, one of them transient.
    let copies = replication
        .get(&config.datacenter)
        .and_then(|copies| copies.split('/').next()?.parse::<u32>().ok())
        .unwrap_or(0);
    let what = format!(
        "keyspace {} keeps {copies} copies in {} ({shown}), and {} are configured",
        config.keyspace, config.datacenter, config.replication_factor
    );
    match copies.cmp(&config.replication_factor) {
        std::cmp::Ordering::Less => Finding::Refused(format!("{what}; {remedy}")),
        std::cmp::Ordering::Equal => Finding::Fits,
        std::cmp::Ordering::Greater => Finding::Differs(what),
    }
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Replication {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_keyspace_with_fewer_copies_is_refused_and_one_with_more_is_told_of() {
        let config = Config {
            datacenter: "paris".into(),
            replication_factor: 3,
            ..Config::default()
        };
        let class = (
            "class",
            "org.apache.cassandra.locator.NetworkTopologyStrategy",
        );
        let judged = |replication: &[(&str, &str)]| judge(&config, &of(replication));
        assert_eq!(
            judged(&[class, ("paris", "3"), ("rabat", "3")]),
            Finding::Fits
        );
        assert!(
            matches!(judged(&[class, ("paris", "5")]), Finding::Differs(what) if what.contains("5 copies"))
        );
        for fewer in [
            vec![class, ("paris", "1")],
            vec![class, ("rabat", "3")],
            vec![
                ("class", "org.apache.cassandra.locator.SimpleStrategy"),
                ("replication_factor", "3"),
            ],
        ] {
            let Finding::Refused(why) = judged(&fewer) else {
                panic!("not refused: {fewer:?}");
            };
            assert!(why.contains("ALTER KEYSPACE riwaq WITH replication = {'class': 'NetworkTopologyStrategy', 'paris': 3}"), "{why}");
        }
    }
}
