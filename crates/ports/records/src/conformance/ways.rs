//! Which table is written how, and which conditions make sense.

use bytes::Bytes;
use uuid::Uuid;

use super::tables::{Account, Claim, Everything, Session, State, Version};
use super::{CaseResult, Context, equal, invalid};
use crate::{Conditional, Expect, Row, RowChange, Table, Value};

pub(super) async fn a_table_is_written_in_its_own_way_only(context: Context) -> CaseResult {
    let store = context.store().await?;
    let id = Uuid::new_v4();
    let claim = Claim::new(id.to_string(), 1);
    invalid(
        "put into a conditional table",
        store.put_at(&claim, 1).await,
    )?;
    invalid(
        "deletion in a conditional table",
        store.delete_at::<Claim>((claim.name.clone(),), 1).await,
    )?;
    let mixed = store
        .batch()
        .put_at(&Everything::empty(id, 1), 1)?
        .put_at(&claim, 1)?;
    invalid("batch with a conditional table", mixed.write().await)?;
    equal(
        "row of the batch",
        &store.get::<Everything>((id, 1)).await?,
        &None,
    )?;
    equal("claim", &store.get::<Claim>((claim.name,)).await?, &None)?;
    let insert = store
        .insert_if_absent(&Everything::empty(id, 1), Uuid::new_v4())
        .await;
    invalid("insert into a timestamped table", insert)?;
    let delete =
        store.delete_if::<Everything>((id, 1), Expect::column("number", 1), Uuid::new_v4());
    invalid("conditional deletion in a timestamped table", delete.await)?;
    equal("row", &store.get::<Everything>((id, 1)).await?, &None)
}

pub(super) async fn conditions_that_no_engine_could_hold_are_refused(
    context: Context,
) -> CaseResult {
    let store = context.store().await?;
    let bank = Uuid::new_v4();
    let account = Account::new(bank, "a", 1);
    let op = Uuid::new_v4();
    let bad = [
        ("no column", Expect::default()),
        ("only null", Expect::column("memo", Value::Null)),
        ("a key column", Expect::column("name", "a")),
        ("an unknown column", Expect::column("nonsense", 1)),
        ("a hostile column", Expect::column("balance = 1; --", 1)),
        ("another type", Expect::column("balance", "1")),
        (
            "null where there is none",
            Expect::column("balance", Value::Null).and("memo", "x"),
        ),
        (
            "twice the same column",
            Expect::column("balance", 1).and("balance", 2),
        ),
    ];
    for (what, expect) in bad {
        invalid(
            what,
            store.compare_and_set(&account, expect.clone(), op).await,
        )?;
        invalid(
            what,
            store
                .delete_if::<Account>((bank, "a".into()), expect, op)
                .await,
        )?;
    }
    let version = Version {
        id: bank,
        version: 1,
        author: bank,
        state: State {
            schema: 1,
            title: String::new(),
            tags: Vec::new(),
        },
    };
    invalid(
        "a JSON column",
        store
            .compare_and_set(&version, Expect::column("state", "{}"), op)
            .await,
    )?;
    invalid(
        "a nil op_id",
        store.insert_if_absent(&account, Uuid::nil()).await,
    )?;
    let two = store.change::<Account>(op).insert_if_absent(&account)?;
    let elsewhere = Account::new(Uuid::new_v4(), "b", 1);
    invalid(
        "two partitions",
        two.insert_if_absent(&elsewhere)?.apply().await,
    )?;
    let twice = store
        .change::<Account>(op)
        .insert_if_absent(&account)?
        .insert_if_absent(&account)?;
    invalid("one row twice", twice.apply().await)?;
    invalid(
        "no change at all",
        store.change::<Account>(op).apply().await,
    )?;
    equal(
        "accounts",
        &store.scan::<Account>((bank,)).all().await?,
        &Vec::new(),
    )?;
    let session =
        RowChange::InsertIfAbsent(Row::new(vec![Value::Uuid(bank), Value::Blob(Bytes::new())]));
    let short = Conditional {
        schema: Session::schema(),
        changes: vec![session],
        op_id: op,
    };
    invalid("a short row", store.records().apply(short).await)
}
