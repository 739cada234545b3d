//! Migrations: one statement at a time, each agreed on by every node before the next.

use std::time::Duration;

use riwaq_records::{MigrationPlan, MigrationReport, RecordsError, Step};
use scylla::client::session::Session;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::statement::Statement;
use scylla::value::{CqlValue, Row as CqlRow};
use uuid::Uuid;

use crate::{CassandraRecords, cql, errors};

const TABLE: &str = "riwaq_schema";
/// A migrator that died leaves its lock for this long.
const LOCK_SECONDS: i32 = 120;
const LOCK_POLL: Duration = Duration::from_millis(250);

impl CassandraRecords {
    pub(crate) async fn stored_number(&self) -> Result<u32, RecordsError> {
        let cql = format!("SELECT number FROM {TABLE} WHERE id = 'schema'");
        let result = match self.session.query_unpaged(cql, ()).await {
            Ok(result) => result,
            // An empty keyspace: nothing was ever migrated.
            Err(ExecutionError::LastAttemptError(RequestAttemptError::DbError(
                DbError::Invalid,
                _,
            ))) => return Ok(0),
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

    pub(crate) async fn migrate_to(
        &self,
        plan: &MigrationPlan,
    ) -> Result<MigrationReport, RecordsError> {
        let from = self.stored_number().await?;
        plan.refuse_unknown(from)?;
        if from == plan.latest() {
            return Ok(MigrationReport { from, to: from });
        }
        self.ddl(format!(
            "CREATE TABLE IF NOT EXISTS {TABLE} (id text PRIMARY KEY, number bigint, owner uuid)"
        ))
        .await?;
        let owner = self.lock().await?;
        let migrated = self.migrate_locked(plan).await;
        self.unlock(owner).await?;
        migrated.map(|to| MigrationReport { from, to })
    }

    async fn migrate_locked(&self, plan: &MigrationPlan) -> Result<u32, RecordsError> {
        // Again, since another may have migrated while this one waited for the lock.
        let mut at = self.stored_number().await?;
        plan.refuse_unknown(at)?;
        for (number, steps) in plan.after(at) {
            for step in steps {
                self.ddl(step_cql(step)).await?;
            }
            let cql = format!("UPDATE {TABLE} SET number = ? WHERE id = 'schema'");
            self.session
                .query_unpaged(cql, (i64::from(number),))
                .await
                .map_err(errors::of_write)?;
            at = number;
        }
        Ok(at)
    }

    async fn ddl(&self, cql: String) -> Result<(), RecordsError> {
        let mut statement = Statement::new(cql);
        statement.set_is_idempotent(true);
        statement.set_request_timeout(Some(Duration::from_secs(60)));
        self.session
            .query_unpaged(statement, ())
            .await
            .map(|_| ())
            .map_err(errors::of_write)
    }

    /// One migrator at a time: tables made twice at once come out as two of one name.
    async fn lock(&self) -> Result<Uuid, RecordsError> {
        let owner = Uuid::new_v4();
        let cql = format!(
            "INSERT INTO {TABLE} (id, owner) VALUES ('lock', ?) IF NOT EXISTS USING TTL {LOCK_SECONDS}"
        );
        let deadline = self.clock.monotonic()
            + Duration::from_secs(u64::try_from(LOCK_SECONDS).unwrap_or_default() + 30);
        loop {
            if is_applied(&self.session, &cql, owner).await? {
                return Ok(owner);
            }
            if self.clock.monotonic() >= deadline {
                return Err(RecordsError::unavailable(
                    "another migration holds the lock",
                ));
            }
            self.clock.sleep(LOCK_POLL).await;
        }
    }

    async fn unlock(&self, owner: Uuid) -> Result<(), RecordsError> {
        let cql = format!("DELETE FROM {TABLE} WHERE id = 'lock' IF owner = ?");
        is_applied(&self.session, &cql, owner).await.map(|_| ())
    }
}

async fn is_applied(session: &Session, cql: &str, owner: Uuid) -> Result<bool, RecordsError> {
    let result = session
        .query_unpaged(cql, (owner,))
        .await
        .map_err(errors::of_write)?;
    let rows = result.into_rows_result().map_err(RecordsError::unknown)?;
    let row = rows
        .maybe_first_row::<CqlRow>()
        .map_err(RecordsError::unknown)?;
    Ok(row.is_some_and(|row| matches!(row.columns.first(), Some(Some(CqlValue::Boolean(true))))))
}

fn step_cql(step: &Step) -> String {
    match step {
        Step::CreateTable(schema) => cql::create_table(schema),
        Step::AddColumn(schema, column) => format!(
            "ALTER TABLE {} ADD IF NOT EXISTS {} {}",
            cql::quoted(schema.name),
            cql::quoted(column.name),
            cql::type_name(column.kind)
        ),
        Step::DropTable(name) => format!("DROP TABLE IF EXISTS {}", cql::quoted(name)),
        Step::DropColumn(table, column) => format!(
            "ALTER TABLE {} DROP IF EXISTS {}",
            cql::quoted(table),
            cql::quoted(column)
        ),
    }
}
