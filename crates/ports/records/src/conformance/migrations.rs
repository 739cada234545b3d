//! Migrations, each case on a store of its own.

use std::sync::Arc;

use uuid::Uuid;

use super::{CaseResult, Context, Failure, ensure, equal};
use crate::{Expect, MigrationPlan, MigrationReport, RecordsError, Store, Table};

#[derive(Table, Clone, Debug, PartialEq)]
#[table(name = "pages", write = "timestamped", partition(id), clustering(n))]
struct PageOne {
    id: Uuid,
    n: i64,
    text: String,
}

/// The same table, as a later program declares it.
#[derive(Table, Clone, Debug, PartialEq)]
#[table(name = "pages", write = "timestamped", partition(id), clustering(n))]
struct PageTwo {
    id: Uuid,
    n: i64,
    text: String,
    #[column(since = 2)]
    colour: Option<String>,
}

#[derive(Table, Clone, Debug, PartialEq)]
#[table(name = "pins", write = "conditional", partition(id))]
struct PinOne {
    id: Uuid,
    n: i64,
}

#[derive(Table, Clone, Debug, PartialEq)]
#[table(name = "pins", write = "conditional", partition(id))]
struct PinTwo {
    id: Uuid,
    n: i64,
    #[column(since = 2)]
    label: Option<String>,
}

#[derive(Table, Clone, Debug, PartialEq)]
#[table(name = "extra", since = 3, write = "timestamped", partition(id))]
struct Extra {
    id: Uuid,
}

fn first() -> Result<MigrationPlan, RecordsError> {
    MigrationPlan::new([PageOne::schema(), PinOne::schema()])
}

fn second() -> Result<MigrationPlan, RecordsError> {
    MigrationPlan::new([PageTwo::schema(), PinTwo::schema()])
}

fn third() -> Result<MigrationPlan, RecordsError> {
    MigrationPlan::new([PageTwo::schema(), PinTwo::schema(), Extra::schema()])
}

async fn refused(what: &str, result: Result<MigrationReport, RecordsError>) -> CaseResult {
    match result {
        Err(RecordsError::Schema { .. }) => Ok(()),
        other => Err(Failure::new(format!(
            "{what}: expected a schema error, got {other:?}"
        ))),
    }
}

pub(super) async fn migrating_twice_changes_nothing(context: Context) -> CaseResult {
    let records = context.factory.fresh().await?;
    equal("empty", &records.schema_number().await?, &0)?;
    ensure!(
        third()?.check(records.as_ref()).await.is_err(),
        "an empty store passed the check"
    );
    equal(
        "first run",
        &records.migrate(&third()?).await?,
        &MigrationReport { from: 0, to: 3 },
    )?;
    let store = Store::new(Arc::clone(&records));
    let page = PageTwo {
        id: Uuid::new_v4(),
        n: 1,
        text: "t".into(),
        colour: Some("red".into()),
    };
    store.put_at(&page, 1).await?;
    equal(
        "second run",
        &records.migrate(&third()?).await?,
        &MigrationReport { from: 3, to: 3 },
    )?;
    equal(
        "row",
        &store.get::<PageTwo>((page.id, 1)).await?,
        &Some(page),
    )?;
    equal("number", &records.schema_number().await?, &3)?;
    third()?.check(records.as_ref()).await?;
    Ok(())
}

pub(super) async fn an_unknown_number_is_refused(context: Context) -> CaseResult {
    let records = context.factory.fresh().await?;
    records.migrate(&second()?).await?;
    refused("an older plan", records.migrate(&first()?).await).await?;
    ensure!(
        first()?.check(records.as_ref()).await.is_err(),
        "an older program passed the check"
    );
    ensure!(
        third()?.check(records.as_ref()).await.is_err(),
        "a store that lacks a migration passed the check"
    );
    equal("number", &records.schema_number().await?, &2)
}

pub(super) async fn a_new_column_reads_as_null_and_old_programs_go_on(
    context: Context,
) -> CaseResult {
    let records = context.factory.fresh().await?;
    records.migrate(&first()?).await?;
    let store = Store::new(Arc::clone(&records));
    let id = Uuid::new_v4();
    let old = |n, text: &str| PageOne {
        id,
        n,
        text: text.into(),
    };
    store.put_at(&old(1, "before"), 1).await?;
    let op = Uuid::new_v4();
    ensure!(
        store
            .insert_if_absent(&PinOne { id, n: 1 }, op)
            .await?
            .is_applied(),
        "the pin is new"
    );
    equal(
        "migration",
        &records.migrate(&second()?).await?,
        &MigrationReport { from: 1, to: 2 },
    )?;
    let new = |n, text: &str, colour: Option<&str>| PageTwo {
        id,
        n,
        text: text.into(),
        colour: colour.map(str::to_owned),
    };
    equal(
        "old row",
        &store.get::<PageTwo>((id, 1)).await?,
        &Some(new(1, "before", None)),
    )?;
    store.put_at(&new(2, "after", Some("blue")), 1).await?;
    // A program that is not replaced yet reads and writes without the column.
    equal(
        "old program",
        &store.get::<PageOne>((id, 2)).await?,
        &Some(old(2, "after")),
    )?;
    store.put_at(&old(3, "old program"), 1).await?;
    let rows = store.scan::<PageTwo>((id,)).all().await?;
    equal(
        "rows",
        &rows,
        &vec![
            new(1, "before", None),
            new(2, "after", Some("blue")),
            new(3, "old program", None),
        ],
    )?;
    let labelled = PinTwo {
        id,
        n: 2,
        label: Some("label".into()),
    };
    let set = store
        .compare_and_set(&labelled, Expect::op_id(op), Uuid::new_v4())
        .await?;
    ensure!(
        set.is_applied(),
        "the row from before the migration cannot be changed"
    );
    let set = store
        .compare_and_set(&PinOne { id, n: 3 }, Expect::column("n", 2), Uuid::new_v4())
        .await?;
    ensure!(set.is_applied(), "an old program cannot change the row");
    // What it does not know of stays.
    let expected = PinTwo { n: 3, ..labelled };
    equal("pin", &store.get::<PinTwo>((id,)).await?, &Some(expected))
}

pub(super) async fn drops_are_repeatable_and_final(context: Context) -> CaseResult {
    let records = context.factory.fresh().await?;
    records.migrate(&third()?).await?;
    let store = Store::new(Arc::clone(&records));
    let page = PageTwo {
        id: Uuid::new_v4(),
        n: 1,
        text: "stays".into(),
        colour: Some("goes".into()),
    };
    store.put_at(&page, 1).await?;
    let contracted = || {
        MigrationPlan::new([PageOne::schema(), PinOne::schema()])?
            .drop_column(4, "pages", "colour")?
            .drop_column(4, "pins", "label")?
            .drop_table(5, "extra")
    };
    equal(
        "contraction",
        &records.migrate(&contracted()?).await?,
        &MigrationReport { from: 3, to: 5 },
    )?;
    equal(
        "again",
        &records.migrate(&contracted()?).await?,
        &MigrationReport { from: 5, to: 5 },
    )?;
    let expected = PageOne {
        id: page.id,
        n: 1,
        text: "stays".into(),
    };
    equal(
        "row",
        &store.get::<PageOne>((page.id, 1)).await?,
        &Some(expected),
    )?;
    let gone = store.get::<Extra>((page.id,)).await;
    ensure!(
        matches!(gone, Err(RecordsError::Schema { .. })),
        "the dropped table answered {gone:?}"
    );
    // A fresh store equals the sum of all migrations, drops of what never was included.
    let fresh = context.factory.fresh().await?;
    equal(
        "fresh",
        &fresh.migrate(&contracted()?).await?,
        &MigrationReport { from: 0, to: 5 },
    )?;
    let store = Store::new(fresh);
    store
        .put_at(
            &PageOne {
                id: page.id,
                n: 1,
                text: "t".into(),
            },
            1,
        )
        .await?;
    ensure!(
        store.get::<PageOne>((page.id, 1)).await?.is_some(),
        "the fresh store lost a row"
    );
    Ok(())
}
