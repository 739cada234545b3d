//! Tables-per-query: what a version wants there, and the writes that bring it about.

use riwaq_records::{Key, RecordsError, Row, Store, Table, TableSchema, Write, limits};

use crate::{Aggregate, Error, Result, Version};

/// The rows that one version wants in the tables-per-query.
#[derive(Debug, Default)]
pub struct ViewRows {
    rows: Vec<(&'static TableSchema, Row)>,
}

impl ViewRows {
    /// Wants this row. Its table is written by timestamp.
    ///
    /// # Errors
    /// [`RecordsError::InvalidInput`] for a value that cannot be stored.
    pub fn put<T: Table>(&mut self, row: &T) -> Result<(), RecordsError> {
        self.rows.push((T::schema(), row.to_row()?));
        Ok(())
    }

    fn of<A: Aggregate>(version: &Version<A>) -> Result<Self> {
        let mut rows = Self::default();
        A::views(version, &mut rows)?;
        Ok(rows)
    }

    fn contains(&self, schema: &'static TableSchema, key: &Key) -> bool {
        self.rows
            .iter()
            .any(|(table, row)| table.name == schema.name && row.key(table) == *key)
    }
}

/// The writes that take the tables from `previous` to `version`. Whatever the order in which the
/// writes of several versions arrive, the newest one's stay: their timestamps grow with the version,
/// and a delete wins a tie.
pub(crate) fn writes<A: Aggregate>(
    previous: Option<&Version<A>>,
    version: &Version<A>,
) -> Result<Vec<Write>> {
    let timestamp_micros = version.timestamp_micros();
    let wanted = ViewRows::of(version)?;
    let mut writes = Vec::with_capacity(wanted.rows.len());
    if let Some(previous) = previous {
        for (schema, row) in ViewRows::of(previous)?.rows {
            let key = row.key(schema);
            if !wanted.contains(schema, &key) {
                writes.push(Write::Delete {
                    schema,
                    key,
                    timestamp_micros,
                });
            }
        }
    }
    for (schema, row) in wanted.rows {
        writes.push(Write::Put {
            schema,
            row,
            timestamp_micros,
        });
    }
    for write in &writes {
        // One by one: what is too large or misses a value is refused before the version is written.
        riwaq_records::validate::writes(std::slice::from_ref(write))?;
    }
    refuse_twice(&writes)?;
    Ok(writes)
}

/// The writes that make good for `version` whenever they come: what the newest version wants, and
/// without what only `version` or the one before it wanted. Never an old row: one that arrived after its
/// deletion was forgotten (ten days on Cassandra) would come back to life.
pub(crate) fn replay<A: Aggregate>(
    previous: Option<&Version<A>>,
    version: &Version<A>,
    newest: &Version<A>,
) -> Result<Vec<Write>> {
    let mut all = writes(Some(version), newest)?;
    if let Some(previous) = previous {
        for write in writes(Some(previous), newest)? {
            if !all.contains(&write) {
                all.push(write);
            }
        }
    }
    Ok(all)
}

/// Two puts of one key with one timestamp would mix their columns.
fn refuse_twice(writes: &[Write]) -> Result<()> {
    let keys: Vec<(&str, Key)> = writes
        .iter()
        .map(|write| match write {
            Write::Put { schema, row, .. } => (schema.name, row.key(schema)),
            Write::Delete { schema, key, .. } => (schema.name, key.clone()),
        })
        .collect();
    for (at, (table, key)) in keys.iter().enumerate() {
        if keys[..at]
            .iter()
            .any(|(other, earlier)| other == table && earlier == key)
        {
            return Err(Error::invalid(
                "views",
                format!("wants one row of {table} twice"),
            ));
        }
    }
    Ok(())
}

/// Writes in batches within the port's limits. Not isolated; repeating it is harmless.
pub(crate) async fn write(store: &Store, writes: Vec<Write>) -> Result<(), RecordsError> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    for write in writes {
        let size = write.batch_bytes();
        let full = batch.len() >= limits::BATCH_ROWS || bytes + size > limits::BATCH_BYTES;
        if full && !batch.is_empty() {
            store.records().write(std::mem::take(&mut batch)).await?;
            bytes = 0;
        }
        bytes += size;
        batch.push(write);
    }
    if batch.is_empty() {
        Ok(())
    } else {
        store.records().write(batch).await
    }
}
