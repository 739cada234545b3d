//! Settings of the cluster by which acknowledged rows may be lost.
//!
//! Cassandra acknowledges a write when it is in memory and handed to the commit log. When the log is on the disk is each
//! node's own setting, `commitlog_sync`; whether there is a log at all is the keyspace's, `durable_writes`.

use std::sync::Arc;

use futures::future::join_all;
use riwaq_records::{RecordsError, Risk};
use scylla::cluster::Node;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::statement::{Consistency, Statement};

use crate::{CassandraRecords, cql, errors};

const KEYSPACES: &str = "system_schema.keyspaces";
const SETTINGS: &str = "system_views.settings";
/// The one that acknowledges first and writes later; `batch` and `group` write first.
const LATE: &str = "periodic";

/// What a node says of its `commitlog_sync`.
enum Answer {
    Sync(String),
    /// The role may not ask.
    Refused,
    /// Nothing, and why.
    Silent(String),
}

impl CassandraRecords {
    pub(crate) async fn found_risks(&self) -> Result<Vec<Risk>, RecordsError> {
        let mut risks = Vec::new();
        if !self.durable_writes().await? {
            risks.push(without_log(&self.config.keyspace));
        }
        let state = self.session.get_cluster_state();
        let here = |node: &&Arc<Node>| node.datacenter.as_ref() == Some(&self.config.datacenter);
        let nodes: Vec<_> = state.get_nodes_info().iter().filter(here).collect();
        let answers = join_all(nodes.into_iter().map(|node| async move {
            let name = node.address.ip().to_string();
            self.commitlog_sync(node).await.map(|answer| (name, answer))
        }));
        let answers: Vec<_> = answers.await.into_iter().collect::<Result<_, _>>()?;
        risks.extend(judged(&answers, &self.config.user));
        Ok(risks)
    }

    async fn durable_writes(&self) -> Result<bool, RecordsError> {
        let cql = format!("SELECT durable_writes FROM {KEYSPACES} WHERE keyspace_name = ?");
        let mut statement = Statement::new(cql);
        statement.set_is_idempotent(true);
        let result = self
            .session
            .query_unpaged(statement, (&self.config.keyspace,))
            .await
            .map_err(errors::of_read)?;
        let rows = result
            .into_rows_result()
            .map_err(|error| RecordsError::corrupt(KEYSPACES, error))?;
        let row = rows
            .maybe_first_row::<(bool,)>()
            .map_err(|error| RecordsError::corrupt(KEYSPACES, error))?;
        Ok(row.is_none_or(|(durable,)| durable))
    }

    async fn commitlog_sync(&self, node: &Arc<Node>) -> Result<Answer, RecordsError> {
        let cql = format!("SELECT value FROM {SETTINGS} WHERE name = 'commitlog_sync'");
        let mut statement = Statement::new(cql);
        statement.set_is_idempotent(true);
        // The table is the node's own, and made as it is read: no other node could be asked for it.
        statement.set_consistency(Consistency::One);
        let itself = NodeIdentifier::Node(Arc::clone(node));
        let itself = SingleTargetLoadBalancingPolicy::new(itself, None);
        statement.set_load_balancing_policy(Some(itself));
        let result = match self.session.query_unpaged(statement, ()).await {
            Ok(result) => result,
            Err(error) if is_refused(&error) => return Ok(Answer::Refused),
            Err(error) => return Ok(Answer::Silent(error.to_string())),
        };
        let rows = result
            .into_rows_result()
            .map_err(|error| RecordsError::corrupt(SETTINGS, error))?;
        let row = rows
            .maybe_first_row::<(Option<String>,)>()
            .map_err(|error| RecordsError::corrupt(SETTINGS, error))?;
        let unnamed = || Answer::Silent(format!("{SETTINGS} has no commitlog_sync"));
        let value = row.and_then(|(value,)| value);
        Ok(value.map_or_else(unnamed, Answer::Sync))
    }
}

fn is_refused(error: &ExecutionError) -> bool {
    matches!(
        error,
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(DbError::Unauthorized, text))
            if !errors::is_blind(text)
    )
}

fn without_log(keyspace: &str) -> Risk {
    Risk {
        what: format!(
            "keyspace {keyspace} has durable_writes = false: a node that is killed forgets what it had in memory"
        ),
        remedy: format!(
            "as an administrator: ALTER KEYSPACE {} WITH durable_writes = true",
            cql::quoted(keyspace)
        ),
    }
}

/// One risk for all nodes of one answer.
fn judged(answers: &[(String, Answer)], user: &str) -> Vec<Risk> {
    let of = |wanted: fn(&Answer) -> bool| {
        let nodes = answers.iter().filter(|(_, answer)| wanted(answer));
        let nodes: Vec<_> = nodes.map(|(node, _)| node.as_str()).collect();
        (!nodes.is_empty()).then(|| nodes.join(", "))
    };
    let late = of(|answer| matches!(answer, Answer::Sync(sync) if sync == LATE)).map(|nodes| Risk {
        what: format!(
            "{nodes}: acknowledged before it is on the disk (commitlog_sync: {LATE}); killed, a node forgets what it \
             acknowledged last, and killed together, so does a quorum"
        ),
        remedy: "set `commitlog_sync: batch` in cassandra.yaml in place of `commitlog_sync_period`, and restart one \
                 node after the other"
            .to_owned(),
    });
    let refused = of(|answer| matches!(answer, Answer::Refused)).map(|nodes| Risk {
        what: format!(
            "{nodes}: {user} may not read {SETTINGS}, so when a write is on the disk is not known"
        ),
        remedy: format!("as an administrator: GRANT SELECT ON {SETTINGS} TO {user}"),
    });
    let silent = answers.iter().filter_map(|(node, answer)| match answer {
        Answer::Silent(error) => Some(Risk {
            what: format!("{node} does not say when a write is on the disk: {error}"),
            remedy: "`nodetool status` says whether it lives: start it, or replace it".to_owned(),
        }),
        _ => None,
    });
    late.into_iter().chain(refused).chain(silent).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(of: &[(&str, &str)]) -> Vec<(String, Answer)> {
        let answer = |said: &str| match said {
            "refused" => Answer::Refused,
            "away" => Answer::Silent("no connection".into()),
            sync => Answer::Sync(sync.into()),
        };
        of.iter()
            .map(|(node, said)| ((*node).to_owned(), answer(said)))
            .collect()
    }

    #[test]
    fn nodes_that_write_first_are_no_risk() {
        let answers = answers(&[("10.0.0.1", "batch"), ("10.0.0.2", "group")]);
        assert_eq!(judged(&answers, "riwaq"), []);
    }

    #[test]
    fn nodes_are_named_by_what_they_said() {
        let answers = answers(&[
            ("10.0.0.1", "periodic"),
            ("10.0.0.2", "away"),
            ("10.0.0.3", "periodic"),
            ("10.0.0.4", "refused"),
        ]);
        let risks = judged(&answers, "riwaq");
        let [late, refused, silent] = risks.as_slice() else {
            panic!("{risks:?}");
        };
        assert!(late.what.starts_with("10.0.0.1, 10.0.0.3: "), "{late:?}");
        assert!(late.remedy.contains("commitlog_sync: batch"), "{late:?}");
        assert!(
            refused.what.starts_with("10.0.0.4: riwaq may not"),
            "{refused:?}"
        );
        assert!(
            refused
                .remedy
                .ends_with("GRANT SELECT ON system_views.settings TO riwaq")
        );
        assert!(
            silent
                .what
                .contains("10.0.0.2 does not say when a write is on the disk: no connection"),
            "{silent:?}"
        );
    }
}
