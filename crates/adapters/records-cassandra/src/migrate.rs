//! Migrations: one statement at a time, each agreed on by every node before the next.

use std::time::Duration;

use riwaq_records::{MigrationPlan, MigrationReport, RecordsError, Step};
use scylla::cluster::Node;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::policies::load_balancing::{
    LoadBalancingPolicy, NodeIdentifier, SingleTargetLoadBalancingPolicy,
};
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::response::query_result::QueryResult;
use scylla::statement::Statement;
use scylla::value::{CqlValue, Row as CqlRow};
use std::sync::Arc;
use uuid::Uuid;

use crate::patience::insist;
use crate::{CassandraRecords, cql, errors};

const TABLE: &str = "riwaq_schema";
/// A migrator that died leaves its lock for this long; one that lives renews it before each statement.
const LOCK_SECONDS: u64 = 180;
const LOCK_POLL: Duration = Duration::from_millis(250);
/// How long a statement of the lock is asked for again: well below the lock's own time, so that what was renewed last holds.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);

impl CassandraRecords {
    /// Asked first of all by whatever starts, so it is asked again like the cluster itself: in the seconds after a node
    /// has died, a read may wait for it on whichever node it is asked of.
    pub(crate) async fn stored_number(&self) -> Result<u32, RecordsError> {
        let patience = Duration::from_secs(self.config.connect_timeout_seconds);
        insist(&*self.clock, patience, || self.try_stored_number()).await
    }

    async fn try_stored_number(&self) -> Result<u32, RecordsError> {
        let result = match self.read_number().await {
            Err(error) if is_no_table(&error) => {
                // Or this node has not heard of the table yet: an agreed answer counts.
                self.agreed().await?;
                self.read_number().await
            }
            result => result,
        };
        let result = match result {
            Ok(result) => result,
            // An empty keyspace: nothing was ever migrated.
            Err(error) if is_no_table(&error) => return Ok(0),
            Err(error) => return Err(errors::of_read(error)),
        };
        let rows = result
            .into_rows_result()
            .map_err(|error| RecordsError::corrupt(TABLE, error))?;
        let row = rows
            .maybe_first_row::<(Option<i64>,)>()
            .map_err(|error| RecordsError::corrupt(TABLE, error))?;
        let number = row.and_then(|(number,)| number).unwrap_or(0);
        u32::try_from(number).map_err(|error| RecordsError::corrupt(TABLE, error))
    }

    /// Whether a quorum answers now. A keyspace without tables has nothing to ask for: then it is a node.
    pub(crate) async fn try_quorum(&self) -> Result<(), RecordsError> {
        match self.read_number().await {
            Err(error) if is_no_table(&error) => Ok(()),
            result => result.map(|_| ()).map_err(errors::of_read),
        }
    }

    async fn read_number(&self) -> Result<QueryResult, ExecutionError> {
        let table = self.table();
        let mut statement =
            Statement::new(format!("SELECT number FROM {table} WHERE id = 'schema'"));
        statement.set_is_idempotent(true);
        statement.set_execution_profile_handle(self.statements.reads());
        self.session.query_unpaged(statement, ()).await
    }

    pub(crate) async fn migrate_to(
        &self,
        plan: &MigrationPlan,
    ) -> Result<MigrationReport, RecordsError> {
        let from = self.stored_number().await?;
        plan.refuse_unknown(from)?;
        if from == plan.latest() {
            return Ok(MigrationReport { from, to: from });
        }
        self.agreed().await?;
        self.ddl(format!(
            "CREATE TABLE IF NOT EXISTS {} (id text PRIMARY KEY, number bigint, owner uuid) \
             WITH speculative_retry = '{}'",
            self.table(),
            cql::SPECULATIVE_RETRY
        ))
        .await?;
        let lock = self.lock().await?;
        let migrated = self.migrate_locked(plan, lock).await;
        let unlocked = self.unlock(lock).await;
        let to = migrated?;
        unlocked?;
        Ok(MigrationReport { from, to })
    }

    async fn migrate_locked(&self, plan: &MigrationPlan, lock: Uuid) -> Result<u32, RecordsError> {
        // Again, since another may have migrated while this one waited for the lock.
        let mut at = self.stored_number().await?;
        plan.refuse_unknown(at)?;
        for (number, steps) in plan.after(at) {
            for step in steps {
                self.renew(lock).await?;
                self.ddl(step_cql(&self.config.keyspace, step)).await?;
            }
            let cql = format!("UPDATE {} SET number = ? WHERE id = 'schema'", self.table());
            let mut statement = Statement::new(cql);
            statement.set_is_idempotent(true);
            self.session
                .query_unpaged(statement, (i64::from(number),))
                .await
                .map_err(|error| errors::of_write(error, true))?;
            at = number;
        }
        Ok(at)
    }

    /// Every change of the schema goes to one node, which does them one after the other: two nodes that are
    /// asked for one table at once make two of one name, and the later one hides what is in the other.
    async fn ddl(&self, cql: String) -> Result<(), RecordsError> {
        let mut statement = Statement::new(cql);
        statement.set_is_idempotent(true);
        statement.set_load_balancing_policy(Some(self.first_node()?));
        statement.set_request_timeout(Some(Duration::from_secs(
            self.config.schema_timeout_seconds,
        )));
        self.session
            .query_unpaged(statement, ())
            .await
            .map_err(errors::of_schema_change)?;
        // The driver does so itself only where something changed; another may have changed it a moment ago.
        self.agreed().await
    }

    /// The node that every migrator finds first: of those that are connected, the one with the smallest id.
    fn first_node(&self) -> Result<Arc<dyn LoadBalancingPolicy>, RecordsError> {
        let state = self.session.get_cluster_state();
        let here = |node: &&Arc<Node>| {
            node.is_connected() && node.datacenter.as_ref() == Some(&self.config.datacenter)
        };
        let nodes = state.get_nodes_info().iter().filter(here);
        let first = nodes.min_by_key(|node| node.host_id).ok_or_else(|| {
            RecordsError::unavailable(format!("no node of {} is there", self.config.datacenter))
        })?;
        let target = NodeIdentifier::Node(Arc::clone(first));
        Ok(SingleTargetLoadBalancingPolicy::new(target, None))
    }

    /// Waits until every node that is connected has the same schema.
    async fn agreed(&self) -> Result<(), RecordsError> {
        self.session
            .await_schema_agreement()
            .await
            .map(|_| ())
            .map_err(|error| errors::of_disagreement(&error))
    }

    /// One migrator at a time: tables made twice at once come out as two of one name.
    async fn lock(&self) -> Result<Uuid, RecordsError> {
        let owner = Uuid::new_v4();
        let cql = format!(
            "INSERT INTO {} (id, owner) VALUES ('lock', ?) IF NOT EXISTS USING TTL {LOCK_SECONDS}",
            self.table()
        );
        let deadline = self.clock.monotonic() + Duration::from_secs(LOCK_SECONDS + 30);
        while !self.insist(&cql, &[owner]).await? {
            if self.clock.monotonic() >= deadline {
                return Err(RecordsError::unavailable(
                    "another migration holds the lock",
                ));
            }
            self.clock.sleep(LOCK_POLL).await;
        }
        Ok(owner)
    }

    async fn renew(&self, owner: Uuid) -> Result<(), RecordsError> {
        let cql = format!(
            "UPDATE {} USING TTL {LOCK_SECONDS} SET owner = ? WHERE id = 'lock' IF owner = ?",
            self.table()
        );
        if self.insist(&cql, &[owner, owner]).await? {
            return Ok(());
        }
        Err(RecordsError::unavailable(
            "the lock of the migration was lost, since a statement took too long; migrate again",
        ))
    }

    async fn unlock(&self, owner: Uuid) -> Result<(), RecordsError> {
        let cql = format!(
            "DELETE FROM {} WHERE id = 'lock' IF owner = ?",
            self.table()
        );
        self.insist(&cql, &[owner]).await.map(|_| ())
    }

    /// [`Self::is_applied`], asked again for a while when there is no answer or one that leaves the outcome open: each of
    /// the lock's statements may be repeated, and one slow moment of the cluster must not end a migration in the middle.
    async fn insist(&self, cql: &str, values: &[Uuid]) -> Result<bool, RecordsError> {
        insist(&*self.clock, LOCK_PATIENCE, || self.is_applied(cql, values)).await
    }

    /// Whether the lock is as asked for. A refusal that shows our own name comes from an earlier attempt.
    async fn is_applied(&self, cql: &str, values: &[Uuid]) -> Result<bool, RecordsError> {
        let mut statement = Statement::new(cql);
        statement.set_retry_policy(Some(Arc::new(FallthroughRetryPolicy::new())));
        let result = self
            .session
            .query_unpaged(statement, values)
            .await
            .map_err(errors::of_conditional)?;
        let rows = result.into_rows_result().map_err(RecordsError::unknown)?;
        let row = rows
            .maybe_first_row::<CqlRow>()
            .map_err(RecordsError::unknown)?;
        let columns = row.map(|row| row.columns).unwrap_or_default();
        Ok(columns.iter().flatten().any(|value| match value {
            CqlValue::Boolean(applied) => *applied,
            CqlValue::Uuid(owner) => values.first() == Some(owner),
            _ => false,
        }))
    }

    fn table(&self) -> String {
        cql::table(&self.config.keyspace, TABLE)
    }
}

/// Cassandra has no code of its own for a table that is not there.
fn is_no_table(error: &ExecutionError) -> bool {
    matches!(
        error,
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(DbError::Invalid, _))
    )
}

fn step_cql(keyspace: &str, step: &Step) -> String {
    match step {
        Step::CreateTable(schema) => cql::create_table(keyspace, schema),
        Step::AddColumn(schema, column) => format!(
            "ALTER TABLE {} ADD IF NOT EXISTS {} {}",
            cql::table(keyspace, schema.name),
            cql::quoted(column.name),
            cql::type_name(column.kind)
        ),
        Step::DropTable(name) => {
            format!("DROP TABLE IF EXISTS {}", cql::table(keyspace, name))
        }
        Step::DropColumn(table, column) => format!(
            "ALTER TABLE {} DROP IF EXISTS {}",
            cql::table(keyspace, table),
            cql::quoted(column)
        ),
    }
}
