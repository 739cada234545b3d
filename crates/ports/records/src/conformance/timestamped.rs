//! Writes that are ordered by their own timestamps.

use bytes::Bytes;
use uuid::Uuid;

use super::tables::{Entry, Everything, Named};
use super::{CaseResult, Context, ensure, equal};
use crate::{RecordsError, Store, limits};

/// A put of a number, or a deletion, at a timestamp.
#[derive(Clone, Copy, Debug)]
enum Step {
    Put(i64, i64),
    Delete(i64),
}

async fn take(store: &Store, id: Uuid, k: i64, step: Step) -> Result<(), RecordsError> {
    match step {
        Step::Put(number, at) => {
            store
                .put_at(
                    &Everything {
                        number: Some(number),
                        ..Everything::empty(id, k)
                    },
                    at,
                )
                .await
        }
        Step::Delete(at) => store.delete_at::<Everything>((id, k), at).await,
    }
}

/// Every order of the steps.
fn permutations(steps: &[Step]) -> Vec<Vec<Step>> {
    if steps.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for first in 0..steps.len() {
        let mut rest = steps.to_vec();
        let step = rest.remove(first);
        all.extend(
            permutations(&rest)
                .into_iter()
                .map(|tail| [vec![step], tail].concat()),
        );
    }
    all
}

/// Takes the steps in every order, and wants the same end each time.
async fn always(store: &Store, steps: &[Step], expected: Option<i64>) -> CaseResult {
    let id = Uuid::new_v4();
    for (k, order) in permutations(steps).into_iter().enumerate() {
        let k = k as i64;
        for step in &order {
            take(store, id, k, *step).await?;
        }
        let row = store.get::<Everything>((id, k)).await?;
        ensure!(
            row.is_some() == expected.is_some(),
            "{order:?}: got {row:?}, expected {expected:?}"
        );
        equal(
            format!("{order:?}"),
            &row.and_then(|row| row.number),
            &expected,
        )?;
    }
    Ok(())
}

pub(super) async fn the_newest_timestamp_wins_in_any_order_of_arrival(
    context: Context,
) -> CaseResult {
    use Step::{Delete, Put};
    let store = context.store().await?;
    always(&store, &[Put(1, 10), Put(2, 20), Put(3, 30)], Some(3)).await?;
    always(&store, &[Put(1, 10), Delete(20), Put(3, 30)], Some(3)).await?;
    always(
        &store,
        &[Put(1, 10), Put(2, 20), Delete(30), Delete(15)],
        None,
    )
    .await?;
    always(&store, &[Delete(1), Put(2, i64::MAX - 1)], Some(2)).await?;
    // A smaller value with a newer timestamp still wins.
    always(&store, &[Put(100, 1), Put(-100, 2)], Some(-100)).await
}

pub(super) async fn a_deletion_wins_a_tie_and_outlasts_older_puts(context: Context) -> CaseResult {
    use Step::{Delete, Put};
    let store = context.store().await?;
    always(&store, &[Put(1, 10), Delete(10)], None).await?;
    always(&store, &[Put(1, 10), Put(2, 10), Delete(10)], None).await?;
    // Deleted before it ever was: the older put stays away.
    always(&store, &[Delete(20), Put(1, 19)], None).await?;
    always(&store, &[Delete(20), Put(1, 20), Put(2, 21)], Some(2)).await
}

pub(super) async fn puts_of_one_timestamp_end_alike_in_any_order(context: Context) -> CaseResult {
    use Step::Put;
    let store = context.store().await?;
    // Two's complement compared unsigned: minus one is the largest.
    always(&store, &[Put(1, 10), Put(2, 10), Put(-1, 10)], Some(-1)).await?;
    let id = Uuid::new_v4();
    let a = Everything {
        text: Some("a".into()),
        bytes: Some(Bytes::from_static(b"z")),
        flag: Some(true),
        ..Everything::empty(id, 1)
    };
    let b = Everything {
        text: Some("b".into()),
        bytes: Some(Bytes::from_static(b"y")),
        ..Everything::empty(id, 1)
    };
    // Column by column; null, which is a deletion, wins.
    let merged = Everything {
        text: Some("b".into()),
        bytes: Some(Bytes::from_static(b"z")),
        flag: None,
        ..a.clone()
    };
    for (k, order) in [[&a, &b], [&b, &a]].into_iter().enumerate() {
        let k = k as i64;
        for row in order {
            store.put_at(&Everything { k, ..row.clone() }, 10).await?;
        }
        let expected = Everything {
            k,
            ..merged.clone()
        };
        equal(
            "merged",
            &store.get::<Everything>((id, k)).await?,
            &Some(expected),
        )?;
    }
    Ok(())
}

pub(super) async fn repeating_a_write_changes_nothing(context: Context) -> CaseResult {
    let store = context.store().await?;
    let id = Uuid::new_v4();
    let row = Everything {
        number: Some(1),
        text: Some("once".into()),
        ..Everything::empty(id, 1)
    };
    let batch = || {
        store
            .batch()
            .put_at(&row, 10)?
            .delete_at::<Everything>((id, 2), 10)
    };
    for _ in 0..3 {
        batch()?.write().await?;
    }
    store
        .put_at(
            &Everything {
                k: 2,
                ..row.clone()
            },
            10,
        )
        .await?;
    equal(
        "rows",
        &store.scan::<Everything>((id,)).all().await?,
        &vec![row.clone()],
    )?;
    store.delete_at::<Everything>((id, 1), 11).await?;
    // A duplicate that arrives after the deletion.
    batch()?.write().await?;
    equal(
        "rows",
        &store.scan::<Everything>((id,)).all().await?,
        &Vec::new(),
    )
}

pub(super) async fn a_put_writes_every_column(context: Context) -> CaseResult {
    let store = context.store().await?;
    let id = Uuid::new_v4();
    let first = Everything {
        number: Some(1),
        text: Some("kept?".into()),
        ..Everything::empty(id, 1)
    };
    let second = Everything {
        number: Some(2),
        text: None,
        ..first.clone()
    };
    store.put_at(&first, 10).await?;
    store.put_at(&second, 20).await?;
    equal(
        "row",
        &store.get::<Everything>((id, 1)).await?,
        &Some(second.clone()),
    )?;
    store.put_at(&first, 15).await?;
    equal(
        "row",
        &store.get::<Everything>((id, 1)).await?,
        &Some(second),
    )
}

pub(super) async fn a_batch_is_all_or_nothing(context: Context) -> CaseResult {
    let store = context.store().await?;
    store.batch().write().await?;
    let id = Uuid::new_v4();
    let named = Named {
        name: id.to_string(),
        part: "p".into(),
        word: String::new(),
        value: "v".into(),
    };
    let entry = Entry {
        space: id,
        bucket: 1,
        kind: "k".into(),
        number: 1,
        id,
        note: None,
    };
    let bad = Everything {
        number: Some(1),
        ..Everything::empty(id, 1)
    };
    let refused = store
        .batch()
        .put_at(&named, 1)?
        .put_at(&entry, 1)?
        .put_at(&bad, 0)?
        .write()
        .await;
    ensure!(
        refused.is_err(),
        "a batch with a bad timestamp was accepted"
    );
    let key = (named.name.clone(), named.part.clone(), named.word.clone());
    equal("named", &store.get::<Named>(key.clone()).await?, &None)?;
    store
        .batch()
        .put_at(&named, 1)?
        .put_at(&entry, 1)?
        .put_at(&bad, 1)?
        .write()
        .await?;
    equal(
        "named",
        &store.get::<Named>(key.clone()).await?,
        &Some(named),
    )?;
    equal(
        "entry",
        &store.get::<Entry>((id, 1, "k".into(), 1, id)).await?,
        &Some(entry.clone()),
    )?;
    equal(
        "everything",
        &store.get::<Everything>((id, 1)).await?,
        &Some(bad),
    )?;
    let replaced = Entry {
        note: Some("new".into()),
        ..entry
    };
    store
        .batch()
        .delete_at::<Named>(key.clone(), 2)?
        .put_at(&replaced, 2)?
        .write()
        .await?;
    equal("named", &store.get::<Named>(key).await?, &None)?;
    equal(
        "entry",
        &store.get::<Entry>((id, 1, "k".into(), 1, id)).await?,
        &Some(replaced),
    )
}

pub(super) async fn a_batch_is_ordered_by_its_timestamps(context: Context) -> CaseResult {
    let store = context.store().await?;
    let id = Uuid::new_v4();
    let row = |k, number| Everything {
        number: Some(number),
        ..Everything::empty(id, k)
    };
    store
        .batch()
        .put_at(&row(1, 2), 20)?
        .put_at(&row(1, 1), 10)?
        .delete_at::<Everything>((id, 2), 20)?
        .put_at(&row(2, 1), 10)?
        .put_at(&row(3, 3), 30)?
        .delete_at::<Everything>((id, 3), 20)?
        .write()
        .await?;
    equal(
        "rows",
        &store.scan::<Everything>((id,)).all().await?,
        &vec![row(1, 2), row(3, 3)],
    )
}

pub(super) async fn a_full_batch_over_many_partitions_arrives(context: Context) -> CaseResult {
    let store = context.store().await?;
    let ids: Vec<Uuid> = (0..limits::BATCH_ROWS).map(|_| Uuid::new_v4()).collect();
    let cells = <Everything as crate::Table>::schema().others().len();
    let overhead =
        limits::BATCH_ROW_OVERHEAD_BYTES + cells * limits::BATCH_CELL_OVERHEAD_BYTES + 24;
    let text = "x".repeat(limits::BATCH_BYTES / limits::BATCH_ROWS - overhead);
    let row = |id| Everything {
        text: Some(text.clone()),
        ..Everything::empty(id, 1)
    };
    let mut batch = store.batch();
    for id in &ids {
        batch = batch.put_at(&row(*id), 1)?;
    }
    batch.write().await?;
    for id in ids {
        ensure!(
            store.get::<Everything>((id, 1)).await? == Some(row(id)),
            "a row of the batch is missing"
        );
    }
    Ok(())
}
