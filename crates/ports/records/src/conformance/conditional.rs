//! Conditional changes, one caller at a time.

use chrono::{DateTime, TimeDelta};
use uuid::Uuid;

use super::tables::{Account, Claim, Session};
use super::{CaseResult, Context, Failure, ensure, equal};
use crate::{
    ChangeOutcome, Conditional, Decision, Expect, Outcome, ReadLevel, RowChange, Stored, Table,
    Value,
};

pub(super) async fn an_insert_succeeds_once(context: Context) -> CaseResult {
    let store = context.store().await?;
    let claim = Claim {
        owner: Some(Uuid::new_v4()),
        ..Claim::new(Uuid::new_v4().to_string(), 1)
    };
    let (first, second) = (Uuid::new_v4(), Uuid::new_v4());
    equal(
        "first",
        &store.insert_if_absent(&claim, first).await?,
        &Decision::Applied,
    )?;
    let other = Claim {
        owner: Some(Uuid::new_v4()),
        fence: 2,
        ..claim.clone()
    };
    let current = Some(Stored {
        row: claim.clone(),
        op_id: first,
    });
    let refused = Decision::Refused {
        current: current.clone(),
    };
    equal(
        "second",
        &store.insert_if_absent(&other, second).await?,
        &refused,
    )?;
    for level in [ReadLevel::Quorum, ReadLevel::Serial] {
        equal(
            "row",
            &store
                .get_stored::<Claim>((claim.name.clone(),), level)
                .await?,
            &current,
        )?;
    }
    Ok(())
}

pub(super) async fn a_compare_and_set_wants_a_match(context: Context) -> CaseResult {
    let store = context.store().await?;
    let claim = Claim::new(Uuid::new_v4().to_string(), 1);
    let next = |fence| Claim {
        fence,
        ..claim.clone()
    };
    let absent = store
        .compare_and_set(&next(2), Expect::column("fence", 1), Uuid::new_v4())
        .await?;
    equal("absent", &absent, &Decision::Refused { current: None })?;
    let ops = [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()];
    ensure!(
        store.insert_if_absent(&claim, ops[0]).await?.is_applied(),
        "the claim is new"
    );
    let stale = store
        .compare_and_set(&next(3), Expect::column("fence", 2), Uuid::new_v4())
        .await?;
    let current = Some(Stored {
        row: claim.clone(),
        op_id: ops[0],
    });
    equal("stale", &stale, &Decision::Refused { current })?;
    let applied = store
        .compare_and_set(&next(2), Expect::column("fence", 1), ops[1])
        .await?;
    equal("match", &applied, &Decision::Applied)?;
    let foreign = store
        .compare_and_set(&next(9), Expect::op_id(ops[0]), Uuid::new_v4())
        .await?;
    ensure!(
        !foreign.is_applied(),
        "matched an op_id that is overwritten"
    );
    let applied = store
        .compare_and_set(&next(3), Expect::op_id(ops[1]), ops[2])
        .await?;
    equal("match by op_id", &applied, &Decision::Applied)?;
    let stored = store
        .get_stored::<Claim>((claim.name.clone(),), ReadLevel::Serial)
        .await?;
    equal(
        "row",
        &stored,
        &Some(Stored {
            row: next(3),
            op_id: ops[2],
        }),
    )
}

pub(super) async fn a_condition_may_name_several_columns_and_null(context: Context) -> CaseResult {
    let store = context.store().await?;
    let owner = Uuid::new_v4();
    let free = Claim::new(Uuid::new_v4().to_string(), 1);
    let owned = Claim {
        owner: Some(owner),
        note: Some(String::new()),
        ..free.clone()
    };
    ensure!(
        store
            .insert_if_absent(&free, Uuid::new_v4())
            .await?
            .is_applied(),
        "the claim is new"
    );
    let wanted_free = Expect::column("owner", Value::Null)
        .and("fence", 1)
        .and("active", true);
    let taken = store
        .compare_and_set(&owned, wanted_free.clone(), Uuid::new_v4())
        .await?;
    ensure!(taken.is_applied(), "null did not match null");
    let again = store
        .compare_and_set(&owned, wanted_free, Uuid::new_v4())
        .await?;
    ensure!(!again.is_applied(), "null matched an owner");
    let null_note = Expect::column("owner", owner).and("note", Value::Null);
    let refused = store
        .compare_and_set(&free, null_note, Uuid::new_v4())
        .await?;
    ensure!(!refused.is_applied(), "null matched empty text");
    let one_wrong = Expect::column("owner", owner)
        .and("note", "")
        .and("active", false);
    let refused = store
        .compare_and_set(&free, one_wrong, Uuid::new_v4())
        .await?;
    ensure!(
        !refused.is_applied(),
        "one of the columns did not match, and it was applied"
    );
    let right = Expect::column("owner", owner)
        .and("note", "")
        .and("active", true);
    ensure!(
        store
            .compare_and_set(&free, right, Uuid::new_v4())
            .await?
            .is_applied(),
        "all matched"
    );
    equal(
        "row",
        &store.get::<Claim>((free.name.clone(),)).await?,
        &Some(free),
    )
}

pub(super) async fn a_deleted_row_may_be_inserted_again(context: Context) -> CaseResult {
    let store = context.store().await?;
    let claim = Claim {
        note: Some("first life".into()),
        ..Claim::new(Uuid::new_v4().to_string(), 1)
    };
    let key = || (claim.name.clone(),);
    for life in 1..=3 {
        let claim = Claim {
            fence: life,
            ..claim.clone()
        };
        let op = Uuid::new_v4();
        ensure!(
            store.insert_if_absent(&claim, op).await?.is_applied(),
            "life {life}: insert"
        );
        let wrong = store
            .delete_if::<Claim>(key(), Expect::column("fence", life + 1), Uuid::new_v4())
            .await?;
        equal(
            "wrong fence",
            &wrong,
            &Decision::Refused {
                current: Some(Stored {
                    row: claim,
                    op_id: op,
                }),
            },
        )?;
        let right = store
            .delete_if::<Claim>(key(), Expect::column("fence", life), Uuid::new_v4())
            .await?;
        equal("deletion", &right, &Decision::Applied)?;
        equal("row", &store.get::<Claim>(key()).await?, &None)?;
        let absent = store
            .delete_if::<Claim>(key(), Expect::column("fence", life), Uuid::new_v4())
            .await?;
        equal(
            "second deletion",
            &absent,
            &Decision::Refused { current: None },
        )?;
    }
    let bare = Claim::new(claim.name.clone(), 9);
    ensure!(
        store
            .insert_if_absent(&bare, Uuid::new_v4())
            .await?
            .is_applied(),
        "insert"
    );
    equal(
        "nothing of earlier lives",
        &store.get::<Claim>(key()).await?,
        &Some(bare),
    )
}

pub(super) async fn several_rows_change_together_or_not_at_all(context: Context) -> CaseResult {
    let store = context.store().await?;
    let bank = Uuid::new_v4();
    let account = |name: &str, balance| Account::new(bank, name, balance);
    let first = store.change::<Account>(Uuid::new_v4());
    let first = first
        .insert_if_absent(&account("a", 10))?
        .insert_if_absent(&account("b", 0))?;
    equal("inserts", &first.apply().await?, &ChangeOutcome::Applied)?;
    let before = store.scan::<Account>((bank,)).all().await?;
    // The last condition fails, so that the first ones must not have happened.
    let refused = store
        .change::<Account>(Uuid::new_v4())
        .compare_and_set(&account("a", 5), Expect::column("balance", 10))?
        .insert_if_absent(&account("c", 1))?
        .delete_if((bank, "b".into()), Expect::column("balance", 1))?;
    ensure!(
        !refused.apply().await?.is_applied(),
        "a failing condition was passed over"
    );
    equal(
        "after the refusal",
        &store.scan::<Account>((bank,)).all().await?,
        &before,
    )?;
    let op = Uuid::new_v4();
    let applied = store
        .change::<Account>(op)
        .compare_and_set(&account("a", 5), Expect::column("balance", 10))?
        .insert_if_absent(&account("c", 5))?
        .delete_if((bank, "b".into()), Expect::column("balance", 0))?;
    equal("applied", &applied.apply().await?, &ChangeOutcome::Applied)?;
    let rows = store.scan::<Account>((bank,)).all().await?;
    equal("rows", &rows, &vec![account("a", 5), account("c", 5)])?;
    for name in ["a", "c"] {
        let stored = store
            .get_stored::<Account>((bank, name.into()), ReadLevel::Serial)
            .await?;
        equal("op_id", &stored.map(|stored| stored.op_id), &Some(op))?;
    }
    Ok(())
}

pub(super) async fn a_refusal_shows_the_present_rows_in_order(context: Context) -> CaseResult {
    let store = context.store().await?;
    let bank = Uuid::new_v4();
    let op = Uuid::new_v4();
    let account = |name: &str, balance| Account::new(bank, name, balance);
    let made = store
        .change::<Account>(op)
        .insert_if_absent(&account("m", 1))?
        .insert_if_absent(&account("z", 2))?;
    ensure!(made.apply().await?.is_applied(), "the accounts are new");
    let refused = store
        .change::<Account>(Uuid::new_v4())
        .insert_if_absent(&account("z", 9))?
        .insert_if_absent(&account("a", 9))?
        .compare_and_set(&account("m", 9), Expect::column("balance", 1))?
        .apply()
        .await?;
    let stored = |name, balance| {
        Some(Stored {
            row: account(name, balance),
            op_id: op,
        })
    };
    let expected = ChangeOutcome::Refused {
        current: vec![stored("z", 2), None, stored("m", 1)],
    };
    equal("refusal", &refused, &expected)
}

pub(super) async fn a_retry_with_the_same_op_id_is_recognised(context: Context) -> CaseResult {
    let store = context.store().await?;
    let claim = Claim::new(Uuid::new_v4().to_string(), 1);
    let (insert, set) = (Uuid::new_v4(), Uuid::new_v4());
    let raw = Conditional {
        schema: Claim::schema(),
        changes: vec![RowChange::InsertIfAbsent(claim.to_row()?)],
        op_id: insert,
    };
    equal(
        "first",
        &store.records().apply(raw.clone()).await?,
        &Outcome::Applied,
    )?;
    // The engine refuses the repetition and shows whose row it is.
    match store.records().apply(raw).await? {
        Outcome::Refused { current } => {
            let op_id = current
                .first()
                .and_then(|row| row.as_ref())
                .and_then(|row| row.op_id);
            equal("op_id of the refusal", &op_id, &Some(insert))?;
        }
        Outcome::Applied => return Err(Failure::new("a second insert was applied")),
    }
    // The store tells the caller that it is done, and it is done once.
    equal(
        "retry",
        &store.insert_if_absent(&claim, insert).await?,
        &Decision::Applied,
    )?;
    let next = Claim {
        fence: 2,
        ..claim.clone()
    };
    for _ in 0..3 {
        let decision = store
            .compare_and_set(&next, Expect::column("fence", 1), set)
            .await?;
        equal("repeated compare_and_set", &decision, &Decision::Applied)?;
    }
    let stored = store
        .get_stored::<Claim>((claim.name.clone(),), ReadLevel::Serial)
        .await?;
    equal(
        "row",
        &stored,
        &Some(Stored {
            row: next,
            op_id: set,
        }),
    )?;
    // An operation that somebody else has overwritten is not taken for done.
    let late = store.insert_if_absent(&claim, insert).await?;
    ensure!(
        !late.is_applied(),
        "an overwritten operation was reported as applied"
    );
    Ok(())
}

pub(super) async fn an_expiry_does_not_take_a_row_before_its_time(context: Context) -> CaseResult {
    let store = context.store().await?;
    let far = DateTime::from_timestamp(4_000_000_000, 0).unwrap_or_default();
    let session = Session {
        id: Uuid::new_v4(),
        user: Uuid::new_v4(),
        count: 1,
        expires_at: far,
    };
    let key = (session.id,);
    ensure!(
        store
            .insert_if_absent(&session, Uuid::new_v4())
            .await?
            .is_applied(),
        "the session is new"
    );
    equal(
        "inserted",
        &store.get::<Session>(key).await?,
        &Some(session.clone()),
    )?;
    // Nearer, then farther again: what is there is always a whole row.
    for (count, days) in [(2, -300), (3, 300), (4, 0)] {
        let next = Session {
            count,
            expires_at: far + TimeDelta::days(days),
            ..session.clone()
        };
        let set = store
            .compare_and_set(&next, Expect::column("count", count - 1), Uuid::new_v4())
            .await?;
        ensure!(set.is_applied(), "compare_and_set of a row with an expiry");
        equal("row", &store.get::<Session>(key).await?, &Some(next))?;
    }
    Ok(())
}
