//! Numbered migrations, made from the declarations of the tables.
//!
//! Each table and each column says in `since` which migration adds it, so the migrations are
//! the declarations sorted by number, and a fresh store always equals the sum of all migrations.
//! There is one sequence of numbers for the whole program. A changed key or type is a new table and
//! a backfill; what is no longer declared is dropped by a later migration (expand, then contract).

use std::collections::{BTreeMap, BTreeSet};

use crate::{Column, Records, RecordsError, TableSchema, validate};

/// One step of a migration. Engines make every step repeatable (`IF NOT EXISTS`, `IF EXISTS`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Creates the table with the columns that are no younger than it.
    CreateTable(&'static TableSchema),
    /// Adds a nullable column.
    AddColumn(&'static TableSchema, &'static Column),
    /// Drops a table that is no longer declared.
    DropTable(&'static str),
    /// Drops a column (table, column) that is no longer declared.
    DropColumn(&'static str, &'static str),
}

/// All migrations that a program knows.
#[derive(Clone, Debug, Default)]
pub struct MigrationPlan {
    steps: BTreeMap<u32, Vec<Step>>,
    tables: Vec<&'static TableSchema>,
}

impl MigrationPlan {
    /// The plan for these tables.
    ///
    /// # Errors
    /// [`RecordsError::Schema`] for a declaration that breaks a rule, or two tables of one name.
    pub fn new(
        tables: impl IntoIterator<Item = &'static TableSchema>,
    ) -> Result<Self, RecordsError> {
        let mut plan = Self::default();
        let mut names = BTreeSet::new();
        for table in tables {
            validate::schema(table)?;
            if !names.insert(table.name) {
                return Err(RecordsError::schema(format!(
                    "two tables are named {}",
                    table.name
                )));
            }
            plan.step(table.since, Step::CreateTable(table));
            for column in table
                .columns
                .iter()
                .filter(|column| column.since > table.since)
            {
                plan.step(column.since, Step::AddColumn(table, column));
            }
            plan.tables.push(table);
        }
        Ok(plan)
    }

    /// Drops a table in migration `number`; nothing may declare it any more.
    ///
    /// # Errors
    /// [`RecordsError::Schema`] if it is still declared, or the number is 0.
    pub fn drop_table(mut self, number: u32, table: &'static str) -> Result<Self, RecordsError> {
        if number == 0 || self.tables.iter().any(|declared| declared.name == table) {
            return Err(RecordsError::schema(format!(
                "migration {number} drops {table}, which is declared"
            )));
        }
        self.step(number, Step::DropTable(table));
        Ok(self)
    }

    /// Drops a column in migration `number`; its table must not declare it any more.
    ///
    /// # Errors
    /// [`RecordsError::Schema`] if it is still declared, or the number is 0.
    pub fn drop_column(
        mut self,
        number: u32,
        table: &'static str,
        column: &'static str,
    ) -> Result<Self, RecordsError> {
        let declared =
            |schema: &&TableSchema| schema.name == table && schema.position(column).is_some();
        if number == 0 || self.tables.iter().copied().any(|schema| declared(&schema)) {
            return Err(RecordsError::schema(format!(
                "migration {number} drops {table}.{column}, which is declared"
            )));
        }
        self.step(number, Step::DropColumn(table, column));
        Ok(self)
    }

    /// The number of the newest migration; 0 for an empty plan.
    #[must_use]
    pub fn latest(&self) -> u32 {
        self.steps.keys().next_back().copied().unwrap_or(0)
    }

    /// The migrations that a store at `number` lacks, in their order.
    pub fn after(&self, number: u32) -> impl Iterator<Item = (u32, &[Step])> {
        self.steps
            .range(number.saturating_add(1)..)
            .map(|(number, steps)| (*number, steps.as_slice()))
    }

    /// The declared tables.
    #[must_use]
    pub fn tables(&self) -> &[&'static TableSchema] {
        &self.tables
    }

    /// Refuses a store that is ahead of this plan.
    ///
    /// # Errors
    /// [`RecordsError::Schema`] naming both numbers.
    pub fn refuse_unknown(&self, stored: u32) -> Result<(), RecordsError> {
        if stored > self.latest() {
            return Err(RecordsError::schema(format!(
                "the store has schema number {stored}, and this program knows only up to {}: run a newer version",
                self.latest()
            )));
        }
        Ok(())
    }

    /// Refuses a store that is not exactly at this plan's number. To be called by everything that
    /// starts and does not migrate.
    ///
    /// # Errors
    /// [`RecordsError::Schema`] naming both numbers and the remedy, or the store's own error.
    pub async fn check(&self, store: &dyn Records) -> Result<(), RecordsError> {
        let stored = store.schema_number().await?;
        self.refuse_unknown(stored)?;
        if stored < self.latest() {
            return Err(RecordsError::schema(format!(
                "the store has schema number {stored}, and this program needs {}: run `riwaq migrate`",
                self.latest()
            )));
        }
        Ok(())
    }

    fn step(&mut self, number: u32, step: Step) {
        self.steps.entry(number).or_default().push(step);
    }
}

/// What a migration run did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrationReport {
    /// The store's number before.
    pub from: u32,
    /// The store's number now.
    pub to: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ColumnType, Order, WriteMode};

    const ID: Column = Column {
        name: "id",
        kind: ColumnType::Uuid,
        nullable: false,
        since: 1,
    };

    fn table(
        columns: Vec<Column>,
        partition_columns: usize,
        clustering: &'static [Order],
    ) -> TableSchema {
        TableSchema {
            name: "things",
            since: 1,
            write_mode: WriteMode::Timestamped,
            columns: columns.leak(),
            partition_columns,
            clustering,
            ttl_column: None,
        }
    }

    fn refused(schema: TableSchema) -> String {
        match MigrationPlan::new([&*Box::leak(Box::new(schema))]) {
            Err(RecordsError::Schema { reason }) => reason,
            other => panic!("expected a schema error, got {other:?}"),
        }
    }

    #[test]
    fn declarations_that_break_a_rule_are_refused() {
        let column = |name, kind, nullable, since| Column {
            name,
            kind,
            nullable,
            since,
        };
        let later = column("n", ColumnType::BigInt, false, 2);
        let optional = column("n", ColumnType::BigInt, true, 1);
        let ratio = column("n", ColumnType::Double, false, 1);
        let op_id = column("op_id", ColumnType::Uuid, true, 1);
        let until = column("until", ColumnType::Timestamp, true, 1);
        let good = || table(vec![ID], 1, &[]);
        for (what, schema) in [
            (
                "upper case",
                TableSchema {
                    name: "Things",
                    ..good()
                },
            ),
            (
                "hostile",
                TableSchema {
                    name: "things\"; --",
                    ..good()
                },
            ),
            (
                "engine's name",
                TableSchema {
                    name: "riwaq_tables",
                    ..good()
                },
            ),
            (
                "too long",
                TableSchema {
                    name: "a234567890123456789012345678901234567890123456789",
                    ..good()
                },
            ),
            ("number 0", TableSchema { since: 0, ..good() }),
            ("no partition", table(vec![ID], 0, &[])),
            (
                "no such clustering column",
                table(vec![ID], 1, &[Order::Ascending]),
            ),
            ("twice", table(vec![ID, ID], 1, &[])),
            ("later and required", table(vec![ID, later], 1, &[])),
            (
                "later in the key",
                table(vec![ID, Column { since: 2, ..ID }], 1, &[]),
            ),
            (
                "optional key",
                table(vec![ID, optional], 1, &[Order::Ascending]),
            ),
            ("double key", table(vec![ratio], 1, &[])),
            ("the store's column", table(vec![ID, op_id], 1, &[])),
            (
                "optional ttl",
                TableSchema {
                    ttl_column: Some("until"),
                    ..table(vec![ID, until], 1, &[])
                },
            ),
            (
                "no such ttl",
                TableSchema {
                    ttl_column: Some("until"),
                    ..good()
                },
            ),
            ("too many columns", table(vec![ID; 65], 1, &[])),
        ] {
            assert!(refused(schema).contains("table "), "{what}");
        }
    }

    #[test]
    fn the_plan_is_sorted_by_number_and_nothing_declared_is_dropped() {
        static TABLE: TableSchema = TableSchema {
            name: "things",
            since: 2,
            write_mode: WriteMode::Conditional,
            columns: &[
                Column { since: 2, ..ID },
                Column {
                    name: "n",
                    kind: ColumnType::BigInt,
                    nullable: true,
                    since: 5,
                },
            ],
            partition_columns: 1,
            clustering: &[],
            ttl_column: None,
        };
        let plan = MigrationPlan::new([&TABLE])
            .unwrap()
            .drop_table(4, "old")
            .unwrap();
        let plan = plan.drop_column(4, "things", "gone").unwrap();
        let numbers: Vec<u32> = plan.after(0).map(|(number, _)| number).collect();
        assert_eq!((numbers, plan.latest()), (vec![2, 4, 5], 5));
        let rest: Vec<_> = plan.after(4).collect();
        assert_eq!(
            rest,
            [(5, &[Step::AddColumn(&TABLE, &TABLE.columns[1])][..])]
        );
        assert!(plan.clone().drop_table(6, "things").is_err());
        assert!(plan.clone().drop_column(6, "things", "n").is_err());
        assert!(MigrationPlan::new([&TABLE, &TABLE]).is_err());
    }
}
