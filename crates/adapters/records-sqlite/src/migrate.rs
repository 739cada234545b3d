//! Carrying out migrations, inside of the writer's transaction.

use riwaq_records::{MigrationPlan, MigrationReport, RecordsError, Step};
use rusqlite::{Connection, OptionalExtension};

use crate::error::not_done;
use crate::sql::{DEAD_SINCE, TABLES, create_table, quoted, type_name};

/// The schema number of a database.
pub(crate) fn number(connection: &Connection) -> Result<u32, RecordsError> {
    connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|error| not_done("user_version", &error))
}

/// Takes all steps that the database lacks.
pub(crate) fn run(
    connection: &Connection,
    plan: &MigrationPlan,
) -> Result<MigrationReport, RecordsError> {
    let from = number(connection)?;
    plan.refuse_unknown(from)?;
    let failed = |error: rusqlite::Error| not_done("migration", &error);
    connection
        .execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS {TABLES} (name TEXT PRIMARY KEY, ttl_column TEXT) STRICT, WITHOUT ROWID"
        ))
        .map_err(failed)?;
    let mut to = from;
    for (number, steps) in plan.after(from) {
        for step in steps {
            take(connection, step).map_err(failed)?;
        }
        connection
            .pragma_update(None, "user_version", number)
            .map_err(failed)?;
        to = number;
    }
    Ok(MigrationReport { from, to })
}

fn take(connection: &Connection, step: &Step) -> rusqlite::Result<()> {
    match step {
        Step::CreateTable(schema) => {
            connection.execute_batch(&create_table(schema))?;
            if !schema.has_op_id() {
                index(connection, schema.name, DEAD_SINCE)?;
            }
            if let Some(column) = schema.ttl_column {
                index(connection, schema.name, column)?;
            }
            let known =
                format!("INSERT OR REPLACE INTO {TABLES} (name, ttl_column) VALUES (?1, ?2)");
            connection
                .execute(&known, (schema.name, schema.ttl_column))
                .map(|_| ())
        }
        Step::AddColumn(schema, column) => {
            if has_column(connection, schema.name, column.name)? {
                return Ok(());
            }
            let (table, name) = (quoted(schema.name), quoted(column.name));
            connection.execute_batch(&format!(
                "ALTER TABLE {table} ADD COLUMN {name} {}",
                type_name(column.kind)
            ))
        }
        Step::DropTable(table) => {
            connection.execute_batch(&format!("DROP TABLE IF EXISTS {}", quoted(table)))?;
            connection
                .execute(&format!("DELETE FROM {TABLES} WHERE name = ?1"), [table])
                .map(|_| ())
        }
        Step::DropColumn(table, column) => {
            if !has_column(connection, table, column)? {
                return Ok(());
            }
            connection.execute_batch(&format!(
                "DROP INDEX IF EXISTS {}",
                index_name(table, column)
            ))?;
            let forget = format!(
                "UPDATE {TABLES} SET ttl_column = NULL WHERE name = ?1 AND ttl_column = ?2"
            );
            connection.execute(&forget, (table, column))?;
            let (table, column) = (quoted(table), quoted(column));
            connection.execute_batch(&format!("ALTER TABLE {table} DROP COLUMN {column}"))
        }
    }
}

/// For the sweep: of the few rows that have a value in this column.
fn index(connection: &Connection, table: &str, column: &str) -> rusqlite::Result<()> {
    let (name, table, column) = (index_name(table, column), quoted(table), quoted(column));
    connection.execute_batch(&format!(
        "CREATE INDEX IF NOT EXISTS {name} ON {table} ({column}) WHERE {column} IS NOT NULL"
    ))
}

fn index_name(table: &str, column: &str) -> String {
    quoted(&format!("riwaq_sweep_{table}_{column}"))
}

fn has_column(connection: &Connection, table: &str, column: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2";
    Ok(connection
        .query_row(sql, (table, column), |_| Ok(()))
        .optional()?
        .is_some())
}
