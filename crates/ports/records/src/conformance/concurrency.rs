//! Races: many writers, one truth.

use tokio::task::JoinSet;
use uuid::Uuid;

use super::tables::{Account, Claim, Everything, State, Version};
use super::{CaseResult, Context, Failure, ensure, equal};
use crate::{Decision, Expect, RecordsError, Store};

/// Repeats a conditional change with the same `op_id` until its outcome is known.
async fn settled<T, F>(attempt: impl Fn() -> F) -> Result<Decision<T>, RecordsError>
where
    F: Future<Output = Result<Decision<T>, RecordsError>>,
{
    Ok(settled_with_doubt(attempt).await?.0)
}

/// As [`settled`], and whether the first answer was none. Then a refusal may be another's success over our
/// own, which is the one thing that nobody can tell apart.
async fn settled_with_doubt<T, F>(
    attempt: impl Fn() -> F,
) -> Result<(Decision<T>, bool), RecordsError>
where
    F: Future<Output = Result<Decision<T>, RecordsError>>,
{
    let mut doubted = false;
    for _ in 0..50 {
        match attempt().await {
            Err(error) if error.is_retryable() => {
                doubted |= matches!(error, RecordsError::Unknown { .. });
                tokio::task::yield_now().await;
            }
            known => return Ok((known?, doubted)),
        }
    }
    Ok((attempt().await?, doubted))
}

/// A few handles on the store, which the workers take turns to use.
async fn handles(context: &Context) -> Result<[Store; 2], RecordsError> {
    Ok([context.store().await?, context.store().await?])
}

pub(super) async fn of_many_inserts_one_wins(context: Context) -> CaseResult {
    let handles = handles(&context).await?;
    for _ in 0..5 {
        let name = Uuid::new_v4().to_string();
        let mut workers = JoinSet::new();
        for worker in 0..16_usize {
            let (store, name) = (handles[worker % 2].clone(), name.clone());
            workers.spawn(async move {
                let claim = Claim {
                    owner: Some(Uuid::new_v4()),
                    ..Claim::new(name, worker as i64)
                };
                let op = Uuid::new_v4();
                let decision = settled(|| store.insert_if_absent(&claim, op)).await?;
                Ok::<_, RecordsError>((claim, decision))
            });
        }
        let (mut winners, mut shown) = (Vec::new(), Vec::new());
        while let Some(joined) = workers.join_next().await {
            match joined?? {
                (claim, Decision::Applied) => winners.push(claim),
                (_, Decision::Refused { current }) => {
                    shown.extend(current.map(|stored| stored.row))
                }
            }
        }
        equal("winners", &winners.len(), &1)?;
        ensure!(
            shown.len() == 15 && shown.iter().all(|claim| *claim == winners[0]),
            "the losers saw {shown:?}"
        );
        equal(
            "stored",
            &handles[0].get::<Claim>((name,)).await?.as_ref(),
            &winners.first(),
        )?;
    }
    Ok(())
}

pub(super) async fn no_increment_is_lost(context: Context) -> CaseResult {
    let handles = handles(&context).await?;
    let name = Uuid::new_v4().to_string();
    ensure!(
        handles[0]
            .insert_if_absent(&Claim::new(&name, 0), Uuid::new_v4())
            .await?
            .is_applied(),
        "the claim is new"
    );
    let (workers, increments) = (4_usize, 15);
    let mut set = JoinSet::new();
    for worker in 0..workers {
        let (store, name) = (handles[worker % 2].clone(), name.clone());
        set.spawn(async move {
            let (mut done, mut doubtful) = (0, 0);
            while done < increments {
                let Some(current) = store.get::<Claim>((name.clone(),)).await? else {
                    continue;
                };
                let next = Claim {
                    fence: current.fence + 1,
                    ..current.clone()
                };
                let op = Uuid::new_v4();
                let expect = Expect::column("fence", current.fence);
                let attempt = || store.compare_and_set(&next, expect.clone(), op);
                match settled_with_doubt(attempt).await? {
                    (Decision::Applied, _) => done += 1,
                    (Decision::Refused { .. }, true) => doubtful += 1,
                    (Decision::Refused { .. }, false) => {}
                }
            }
            Ok::<_, RecordsError>(doubtful)
        });
    }
    let mut doubtful = 0;
    while let Some(joined) = set.join_next().await {
        doubtful += joined??;
    }
    let fence = handles[1]
        .get::<Claim>((name,))
        .await?
        .map_or(0, |claim| claim.fence);
    let told = (workers * increments) as i64;
    ensure!(
        (told..=told + doubtful).contains(&fence),
        "{told} increments were acknowledged and {doubtful} are in doubt, and there are {fence}"
    );
    Ok(())
}

pub(super) async fn versions_have_no_gap_and_no_double(context: Context) -> CaseResult {
    let handles = handles(&context).await?;
    let id = Uuid::new_v4();
    let mut set = JoinSet::new();
    for worker in 0..4_usize {
        let store = handles[worker % 2].clone();
        set.spawn(async move {
            let author = Uuid::new_v4();
            let mut mine = Vec::new();
            while mine.len() < 8 {
                let newest = store.scan::<Version>((id,)).first().await?;
                let version = newest.map_or(1, |newest| newest.version + 1);
                let state = State {
                    schema: 1,
                    title: format!("{worker}"),
                    tags: Vec::new(),
                };
                let (row, op) = (
                    Version {
                        id,
                        version,
                        author,
                        state,
                    },
                    Uuid::new_v4(),
                );
                if settled(|| store.insert_if_absent(&row, op))
                    .await?
                    .is_applied()
                {
                    mine.push(row);
                }
            }
            Ok::<_, RecordsError>(mine)
        });
    }
    let mut written = Vec::new();
    while let Some(joined) = set.join_next().await {
        written.extend(joined??);
    }
    written.sort_by_key(|row| std::cmp::Reverse(row.version));
    let versions: Vec<i64> = written.iter().map(|row| row.version).collect();
    equal("versions", &versions, &(1..=32).rev().collect())?;
    equal(
        "history",
        &handles[0].scan::<Version>((id,)).all().await?,
        &written,
    )
}

pub(super) async fn sums_over_rows_of_a_partition_are_kept(context: Context) -> CaseResult {
    let handles = handles(&context).await?;
    let bank = Uuid::new_v4();
    let names = ["a", "b", "c", "d"];
    let mut opening = handles[0].change::<Account>(Uuid::new_v4());
    for name in names {
        opening = opening.insert_if_absent(&Account::new(bank, name, 100))?;
    }
    ensure!(opening.apply().await?.is_applied(), "the accounts are new");
    let mut set = JoinSet::new();
    for worker in 0..4_usize {
        let store = handles[worker % 2].clone();
        set.spawn(async move {
            for round in 0..10 {
                let (from, to) = (
                    names[(worker + round) % 4],
                    names[(worker + round * 3 + 1) % 4],
                );
                if from != to {
                    transfer(&store, bank, from, to, 7 + round as i64).await?;
                }
            }
            Ok::<_, RecordsError>(())
        });
    }
    while let Some(joined) = set.join_next().await {
        joined??;
    }
    let rows = handles[1].scan::<Account>((bank,)).all().await?;
    equal("accounts", &rows.len(), &names.len())?;
    equal(
        "sum",
        &rows.iter().map(|account| account.balance).sum::<i64>(),
        &400,
    )
}

/// Moves an amount between two rows, in one conditional change.
async fn transfer(
    store: &Store,
    bank: Uuid,
    from: &str,
    to: &str,
    amount: i64,
) -> Result<(), RecordsError> {
    loop {
        let source = store.get::<Account>((bank, from.into())).await?;
        let target = store.get::<Account>((bank, to.into())).await?;
        let (Some(source), Some(target)) = (source, target) else {
            continue;
        };
        let op = Uuid::new_v4();
        let change = || {
            store
                .change::<Account>(op)
                .compare_and_set(
                    &Account {
                        balance: source.balance - amount,
                        ..source.clone()
                    },
                    Expect::column("balance", source.balance),
                )?
                .compare_and_set(
                    &Account {
                        balance: target.balance + amount,
                        ..target.clone()
                    },
                    Expect::column("balance", target.balance),
                )
        };
        loop {
            match change()?.apply().await {
                Ok(outcome) if outcome.is_applied() => return Ok(()),
                Ok(_) => break,
                // Unknown: the same operation again, or the money would move twice.
                Err(error) if error.is_retryable() => tokio::task::yield_now().await,
                Err(error) => return Err(error),
            }
        }
    }
}

pub(super) async fn a_lease_has_one_owner_at_a_time(context: Context) -> CaseResult {
    let handles = handles(&context).await?;
    let name = Uuid::new_v4().to_string();
    let free = Claim::new(&name, 0);
    ensure!(
        handles[0]
            .insert_if_absent(&free, Uuid::new_v4())
            .await?
            .is_applied(),
        "the lease is new"
    );
    let mut set = JoinSet::new();
    for worker in 0..6_usize {
        let (store, name) = (handles[worker % 2].clone(), name.clone());
        set.spawn(async move {
            let me = Uuid::new_v4();
            let Some(seen) = store.get::<Claim>((name,)).await? else {
                return Ok(Vec::new());
            };
            let mine = Claim {
                owner: Some(me),
                fence: seen.fence + 1,
                ..seen.clone()
            };
            let (take, give) = (Uuid::new_v4(), Uuid::new_v4());
            let free = Expect::column("fence", seen.fence).and("owner", seen.owner);
            if !settled(|| store.compare_and_set(&mine, free.clone(), take))
                .await?
                .is_applied()
            {
                return Ok(Vec::new());
            }
            let back = Claim {
                owner: None,
                fence: mine.fence + 1,
                ..mine.clone()
            };
            let held = Expect::column("fence", mine.fence).and("owner", me);
            let given = settled(|| store.compare_and_set(&back, held.clone(), give)).await?;
            Ok::<_, RecordsError>(vec![(mine.fence, given.is_applied())])
        });
    }
    let mut fences = Vec::new();
    while let Some(joined) = set.join_next().await {
        fences.extend(joined??);
    }
    ensure!(!fences.is_empty(), "nobody got the lease");
    fences.sort_unstable();
    let distinct = fences.windows(2).all(|pair| pair[0].0 != pair[1].0);
    ensure!(distinct, "one fence was handed out twice: {fences:?}");
    ensure!(
        fences.iter().any(|(_, given_back)| *given_back),
        "nobody could give the lease back: {fences:?}"
    );
    Ok(())
}

pub(super) async fn a_writer_reads_its_own_writes(context: Context) -> CaseResult {
    let handles = handles(&context).await?;
    let mut set = JoinSet::new();
    for worker in 0..8_usize {
        let (writer, reader) = (
            handles[worker % 2].clone(),
            handles[(worker + 1) % 2].clone(),
        );
        set.spawn(async move {
            let id = Uuid::new_v4();
            for round in 1..=20 {
                let row = Everything {
                    number: Some(round),
                    ..Everything::empty(id, round % 3)
                };
                writer.put_at(&row, round).await?;
                let read = reader.get::<Everything>((id, row.k)).await?;
                equal("own write by key", &read, &Some(row.clone()))?;
                let scanned = reader.scan::<Everything>((id,)).all().await?;
                ensure!(
                    scanned.contains(&row),
                    "own write is missing in a scan: {scanned:?}"
                );
                if round % 5 == 0 {
                    writer.delete_at::<Everything>((id, row.k), round).await?;
                    equal(
                        "own deletion",
                        &reader.get::<Everything>((id, row.k)).await?,
                        &None,
                    )?;
                }
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(joined) = set.join_next().await {
        joined??;
    }
    Ok(())
}
