//! Reading versions.

use riwaq_records::{ReadLevel, Scan, Store, Value};

use crate::{Aggregate, AggregateId, Result, Version, version_table};

/// The newest version.
pub(crate) async fn latest<A: Aggregate>(store: &Store, id: &A::Id) -> Result<Option<Version<A>>> {
    let newest = page::<A>(store, id, None, 1).await?;
    Ok(newest.into_iter().next())
}

/// Versions, newest first, older than `before`.
pub(crate) async fn page<A: Aggregate>(
    store: &Store,
    id: &A::Id,
    before: Option<i64>,
    limit: usize,
) -> Result<Vec<Version<A>>> {
    let mut scan = Scan::partition(A::table(), id.to_values());
    scan.limit = limit;
    scan.after = before.map(|version| vec![Value::BigInt(version)]);
    let rows = store.records().scan(&scan).await?;
    rows.into_iter().map(version_table::read).collect()
}

/// One version.
pub(crate) async fn at<A: Aggregate>(
    store: &Store,
    id: &A::Id,
    version: i64,
    level: ReadLevel,
) -> Result<Option<Version<A>>> {
    let key = version_table::key::<A>(id, version);
    let row = store.records().get(A::table(), &key, level).await?;
    row.map(version_table::read).transpose()
}
