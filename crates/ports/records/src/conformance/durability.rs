//! Handles and crashes.

use uuid::Uuid;

use super::tables::{Account, Claim, Everything};
use super::{CaseResult, Context, ensure, equal};
use crate::{Expect, ReadLevel, Store};

pub(super) async fn a_second_handle_sees_acknowledged_writes(context: Context) -> CaseResult {
    let (first, second) = (context.store().await?, context.store().await?);
    let id = Uuid::new_v4();
    for (k, (writer, reader)) in [(&first, &second), (&second, &first)]
        .into_iter()
        .enumerate()
    {
        let row = Everything {
            number: Some(7),
            ..Everything::empty(id, k as i64)
        };
        writer.put_at(&row, 1).await?;
        equal(
            "put",
            &reader.get::<Everything>((id, row.k)).await?,
            &Some(row.clone()),
        )?;
        let claim = Claim::new(format!("{id}{k}"), 1);
        ensure!(
            writer
                .insert_if_absent(&claim, Uuid::new_v4())
                .await?
                .is_applied(),
            "the claim is new"
        );
        ensure!(
            !reader
                .insert_if_absent(&claim, Uuid::new_v4())
                .await?
                .is_applied(),
            "claimed twice"
        );
        let next = Claim {
            fence: 2,
            ..claim.clone()
        };
        let set = reader
            .compare_and_set(&next, Expect::column("fence", 1), Uuid::new_v4())
            .await?;
        ensure!(
            set.is_applied(),
            "the second handle could not change the row"
        );
        equal(
            "claim",
            &writer.get::<Claim>((claim.name,)).await?,
            &Some(next),
        )?;
    }
    Ok(())
}

pub(super) async fn acknowledged_writes_survive_a_crash(context: Context) -> CaseResult {
    let store = context.store().await?;
    let id = Uuid::new_v4();
    let kept = Everything {
        text: Some("kept".into()),
        ..Everything::empty(id, 1)
    };
    store.put_at(&kept, 5).await?;
    store.put_at(&Everything::empty(id, 2), 5).await?;
    store.delete_at::<Everything>((id, 2), 6).await?;
    let accounts = [Account::new(id, "a", 1), Account::new(id, "b", 2)];
    let op = Uuid::new_v4();
    let change = store
        .change::<Account>(op)
        .insert_if_absent(&accounts[0])?
        .insert_if_absent(&accounts[1])?;
    ensure!(change.apply().await?.is_applied(), "the accounts are new");
    drop(store);
    let store = Store::new(context.factory.reopen().await?);
    equal(
        "rows",
        &store.scan::<Everything>((id,)).all().await?,
        &vec![kept.clone()],
    )?;
    equal(
        "accounts",
        &store.scan::<Account>((id,)).all().await?,
        &accounts.to_vec(),
    )?;
    let stored = store
        .get_stored::<Account>((id, "a".into()), ReadLevel::Serial)
        .await?;
    equal("op_id", &stored.map(|stored| stored.op_id), &Some(op))?;
    // Times of writes and of deletions survive, too.
    store.put_at(&Everything::empty(id, 1), 4).await?;
    store.put_at(&Everything::empty(id, 2), 6).await?;
    equal(
        "rows",
        &store.scan::<Everything>((id,)).all().await?,
        &vec![kept],
    )?;
    let repeated = store.change::<Account>(op).insert_if_absent(&accounts[0])?;
    ensure!(
        repeated.apply().await?.is_applied(),
        "the operation was not recognised after the crash"
    );
    Ok(())
}

pub(super) async fn the_store_answers_a_ping(context: Context) -> CaseResult {
    context.factory.handle().await?.ping().await?;
    Ok(())
}
