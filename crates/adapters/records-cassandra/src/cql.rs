//! CQL text, made from declarations alone: no value ever stands in it.

use std::fmt::Write;

use riwaq_records::{Column, ColumnType, OP_ID, Order, TableSchema};

use crate::statements::{Shape, Side};

/// When a node that collects a quorum asks the third copy as well. Cassandra's own `99p` begins at half of its read
/// time-out and stays there while a table is little read: a node that has just died would then hold up every
/// lightweight transaction whose read it is asked for, for longer than we wait.
pub(crate) const SPECULATIVE_RETRY: &str = "MIN(99p,100ms)";

/// The CQL type of a column.
pub(crate) const fn type_name(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Bool => "boolean",
        ColumnType::BigInt => "bigint",
        ColumnType::Double => "double",
        ColumnType::Text | ColumnType::Json => "text",
        ColumnType::Blob => "blob",
        ColumnType::Uuid => "uuid",
        ColumnType::Timestamp => "timestamp",
    }
}

/// `CREATE TABLE` with the columns that are no younger than the table.
pub(crate) fn create_table(keyspace: &str, schema: &TableSchema) -> String {
    let mut columns: Vec<String> = schema
        .columns
        .iter()
        .filter(|column| column.since <= schema.since)
        .map(|column| format!("{} {}", quoted(column.name), type_name(column.kind)))
        .collect();
    if schema.has_op_id() {
        columns.push(format!("{} uuid", quoted(OP_ID)));
    }
    let partition = joined(schema.partition(), ", ", |column| quoted(column.name));
    let mut key = format!("({partition})");
    let mut order = Vec::new();
    for (column, direction) in schema.clustering().iter().zip(schema.clustering) {
        let _ = write!(key, ", {}", quoted(column.name));
        let word = if *direction == Order::Ascending {
            "ASC"
        } else {
            "DESC"
        };
        order.push(format!("{} {word}", quoted(column.name)));
    }
    let mut text = format!(
        "CREATE TABLE IF NOT EXISTS {} ({}, PRIMARY KEY ({key}))",
        table(keyspace, schema.name),
        columns.join(", ")
    );
    let _ = write!(text, " WITH speculative_retry = '{SPECULATIVE_RETRY}'");
    if !order.is_empty() {
        let _ = write!(text, " AND CLUSTERING ORDER BY ({})", order.join(", "));
    }
    text
}

/// The statement of one shape.
pub(crate) fn statement(keyspace: &str, schema: &TableSchema, shape: &Shape) -> String {
    let table = &table(keyspace, schema.name);
    match shape {
        Shape::Get => format!("{} WHERE {}", select(table, schema), equals(schema.key())),
        Shape::Table => select(table, schema),
        Shape::Scan {
            prefix,
            lower,
            upper,
            reversed,
        } => scan(table, schema, *prefix, *lower, *upper, *reversed),
        Shape::Put => format!("{} USING {}", insert(table, schema), using(schema, true)),
        Shape::Delete => format!(
            "DELETE FROM {table} USING TIMESTAMP ? WHERE {}",
            equals(schema.key())
        ),
        // Not `INSERT`: that writes a row marker with a time to live of its own, which may outlive the
        // cells and leave a row of nulls. Here a row is there as long as its `op_id` is.
        Shape::InsertIfAbsent => update(table, schema, &format!("{} = null", quoted(OP_ID))),
        Shape::CompareAndSet(expected) => update(table, schema, &conditions(expected)),
        Shape::DeleteIf(expected) => format!(
            "DELETE FROM {table} WHERE {} IF {}",
            equals(schema.key()),
            conditions(expected)
        ),
    }
}

fn select(table: &str, schema: &TableSchema) -> String {
    // Named, never `*`: a column that a newer version adds must not break this one.
    let mut columns = joined(schema.columns, ", ", |column| quoted(column.name));
    if schema.has_op_id() {
        let _ = write!(columns, ", {}", quoted(OP_ID));
    }
    format!("SELECT {columns} FROM {table}")
}

fn scan(
    table: &str,
    schema: &TableSchema,
    prefix: usize,
    lower: Side,
    upper: Side,
    reversed: bool,
) -> String {
    let mut text = format!(
        "{} WHERE {}",
        select(table, schema),
        equals(schema.partition())
    );
    let clustering = schema.clustering();
    for column in &clustering[..prefix] {
        let _ = write!(text, " AND {} = ?", quoted(column.name));
    }
    if let Some(column) = clustering.get(prefix) {
        for (side, open, closed) in [(lower, ">", ">="), (upper, "<", "<=")] {
            let sign = match side {
                Side::Unbounded => continue,
                Side::Excluded => open,
                Side::Included => closed,
            };
            let _ = write!(text, " AND {} {sign} ?", quoted(column.name));
        }
    }
    if reversed && !clustering.is_empty() {
        let opposite = clustering
            .iter()
            .zip(schema.clustering)
            .map(|(column, order)| {
                let word = if *order == Order::Ascending {
                    "DESC"
                } else {
                    "ASC"
                };
                format!("{} {word}", quoted(column.name))
            });
        let _ = write!(
            text,
            " ORDER BY {}",
            opposite.collect::<Vec<_>>().join(", ")
        );
    }
    text.push_str(" LIMIT ?");
    text
}

fn insert(table: &str, schema: &TableSchema) -> String {
    let columns = joined(schema.columns, ", ", |column| quoted(column.name));
    let marks = vec!["?"; schema.columns.len()];
    format!(
        "INSERT INTO {table} ({columns}) VALUES ({})",
        marks.join(", ")
    )
}

fn update(table: &str, schema: &TableSchema, condition: &str) -> String {
    let time_to_live = if schema.ttl_column.is_some() {
        format!(" USING {}", using(schema, false))
    } else {
        String::new()
    };
    let mut assignments = joined(schema.others(), ", ", |column| {
        format!("{} = ?", quoted(column.name))
    });
    if !assignments.is_empty() {
        assignments.push_str(", ");
    }
    format!(
        "UPDATE {table}{time_to_live} SET {assignments}{} = ? WHERE {} IF {}",
        quoted(OP_ID),
        equals(schema.key()),
        condition
    )
}

fn using(schema: &TableSchema, timestamp: bool) -> &'static str {
    match (timestamp, schema.ttl_column.is_some()) {
        (true, true) => "TIMESTAMP ? AND TTL ?",
        (true, false) => "TIMESTAMP ?",
        (false, _) => "TTL ?",
    }
}

fn conditions(expected: &[&'static str]) -> String {
    expected
        .iter()
        .map(|name| format!("{} = ?", quoted(name)))
        .collect::<Vec<_>>()
        .join(" AND ")
}

fn equals(columns: &[Column]) -> String {
    joined(columns, " AND ", |column| {
        format!("{} = ?", quoted(column.name))
    })
}

fn joined(columns: &[Column], between: &str, text: impl Fn(&Column) -> String) -> String {
    columns.iter().map(text).collect::<Vec<_>>().join(between)
}

/// The table with its keyspace. Named in full, connections need no `USE`, which a node that comes back
/// would have to answer first.
pub(crate) fn table(keyspace: &str, name: &str) -> String {
    format!("{}.{}", quoted(keyspace), quoted(name))
}

/// A name in quotes, so that a word that CQL reserves may be a name. The port allows lower-case
/// letters, digits and underscore alone, so nothing needs escaping.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conditional_row_is_there_as_long_as_its_op_id_and_never_as_a_marker_alone() {
        let conditional = riwaq_records::conformance::tables()
            .into_iter()
            .filter(|table| table.has_op_id());
        for table in conditional {
            let text = statement("ks", table, &Shape::InsertIfAbsent);
            assert!(
                text.starts_with("UPDATE") && text.ends_with("IF \"op_id\" = null"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_put_names_every_column_and_its_timestamp() {
        let timestamped = riwaq_records::conformance::tables()
            .into_iter()
            .filter(|table| !table.has_op_id());
        for table in timestamped {
            let text = statement("ks", table, &Shape::Put);
            assert!(text.contains("USING TIMESTAMP ?"), "{text}");
            assert!(
                table
                    .columns
                    .iter()
                    .all(|column| text.contains(&quoted(column.name))),
                "{text}"
            );
        }
    }
}
