//! The limits that every engine keeps alike.

/// A row: the sum of its values, in bytes.
pub const ROW_BYTES: usize = 256 * 1024;
/// What a row of a batch counts beside its values, in bytes: as much as Cassandra counts at most for
/// the row's own data (liveness, time to live) against its `batch_size_fail_threshold` of 50 KiB.
pub const BATCH_ROW_OVERHEAD_BYTES: usize = 32;
/// What each column outside of the key counts beside its value, in bytes: Cassandra's timestamp,
/// time to live and deletion time of a cell.
pub const BATCH_CELL_OVERHEAD_BYTES: usize = 20;
/// A batch, or a conditional change of several rows: the sum of its rows with their overhead, in bytes.
pub const BATCH_BYTES: usize = 32 * 1024;
/// A batch, or a conditional change: rows.
pub const BATCH_ROWS: usize = 100;
/// A primary key: the sum of its values, in bytes. (Cassandra allows 64 KiB; such keys only make
/// every row and index larger.)
pub const KEY_BYTES: usize = 8 * 1024;
/// One answer of `scan` or `scan_table`: rows.
pub const SCAN_ROWS: usize = 1000;
/// A partition: rows. No engine can refuse the row that is one too many without reading before
/// every write; what is refused, alike on every engine, is to collect more
/// ([`crate::ScanRequest::all`]). Keeping partitions below it is a rule for who designs a table.
pub const PARTITION_ROWS: usize = 10_000;
/// A condition: columns.
pub const EXPECT_COLUMNS: usize = 8;
/// A table: columns.
pub const COLUMNS: usize = 64;
