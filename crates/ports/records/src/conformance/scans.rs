//! Scans of a partition: order, bounds and pages.

use std::cmp::Ordering;

use uuid::Uuid;

use super::tables::{Claim, Entry, Everything, Named};
use super::{CaseResult, Context, ensure, equal};
use crate::{Direction, RecordsError, Scan, Store, Table, Value, limits};

/// Few values for each column, so that every column has ties.
const KINDS: &[&str] = &["", "a", "a\0", "b", "ب"];
const NUMBERS: &[i64] = &[i64::MIN, -1, 0, 7, i64::MAX];
const IDS: [Uuid; 2] = [Uuid::nil(), Uuid::max()];

/// Writes every combination, in an order that is not the declared one; returns them in the declared one.
async fn fill(store: &Store, space: Uuid) -> Result<Vec<Entry>, RecordsError> {
    let mut entries = Vec::new();
    for id in IDS {
        for number in NUMBERS {
            for kind in KINDS {
                let kind = (*kind).to_owned();
                entries.push(Entry {
                    space,
                    bucket: 1,
                    kind,
                    number: *number,
                    id,
                    note: None,
                });
            }
        }
    }
    for chunk in entries.chunks(limits::BATCH_ROWS) {
        let mut batch = store.batch();
        for entry in chunk {
            batch = batch.put_at(entry, 1)?;
        }
        batch.write().await?;
    }
    // Text by bytes, numbers downwards, and the nil UUID (version 0) before the largest (version 15).
    entries.sort_by(|a, b| match a.kind.as_bytes().cmp(b.kind.as_bytes()) {
        Ordering::Equal => b.number.cmp(&a.number).then(a.id.cmp(&b.id)),
        order => order,
    });
    Ok(entries)
}

pub(super) async fn rows_come_in_the_declared_order(context: Context) -> CaseResult {
    let store = context.store().await?;
    let space = Uuid::new_v4();
    let mut entries = fill(&store, space).await?;
    equal(
        "forward",
        &store.scan::<Entry>((space, 1)).all().await?,
        &entries,
    )?;
    equal(
        "first",
        &store.scan::<Entry>((space, 1)).first().await?,
        &entries.first().cloned(),
    )?;
    entries.reverse();
    equal(
        "backward",
        &store.scan::<Entry>((space, 1)).backward().all().await?,
        &entries,
    )?;
    equal(
        "last",
        &store.scan::<Entry>((space, 1)).backward().first().await?,
        &entries.first().cloned(),
    )
}

pub(super) async fn pages_meet_without_gap_or_overlap_in_both_directions(
    context: Context,
) -> CaseResult {
    let store = context.store().await?;
    let space = Uuid::new_v4();
    let forward = fill(&store, space).await?;
    let backward: Vec<Entry> = forward.iter().rev().cloned().collect();
    for size in [
        1,
        2,
        3,
        7,
        forward.len() - 1,
        forward.len(),
        forward.len() + 1,
    ] {
        for (direction, expected) in [
            (Direction::Forward, &forward),
            (Direction::Backward, &backward),
        ] {
            let mut scan = store.scan::<Entry>((space, 1)).limit(size);
            let mut seen = Vec::new();
            loop {
                if direction == Direction::Backward {
                    scan = scan.backward();
                }
                let page = scan.page().await?;
                ensure!(
                    page.rows.len() <= size,
                    "a page of {size} has {} rows",
                    page.rows.len()
                );
                seen.extend(page.rows);
                let Some(next) = page.next else { break };
                scan = store.scan::<Entry>((space, 1)).limit(size).after(next);
            }
            equal(format!("pages of {size}, {direction:?}"), &seen, expected)?;
        }
    }
    Ok(())
}

pub(super) async fn a_page_begins_behind_a_row_that_is_gone(context: Context) -> CaseResult {
    let store = context.store().await?;
    let space = Uuid::new_v4();
    let entries = fill(&store, space).await?;
    for at in [0, 13, entries.len() - 1] {
        let gone = &entries[at];
        let key = (space, 1, gone.kind.clone(), gone.number, gone.id);
        store.delete_at::<Entry>(key, 2).await?;
        let cursor = || (gone.kind.clone(), gone.number, gone.id);
        let behind = store
            .scan::<Entry>((space, 1))
            .after(cursor())
            .limit(3)
            .page()
            .await?
            .rows;
        equal(
            "behind",
            &behind,
            &entries.iter().skip(at + 1).take(3).cloned().collect(),
        )?;
        let before = store
            .scan::<Entry>((space, 1))
            .backward()
            .after(cursor())
            .limit(3)
            .page()
            .await?
            .rows;
        let expected = entries[..at].iter().rev().filter(|entry| {
            // The first row is gone by the time of the later rounds.
            at == 0 || **entry != entries[0]
        });
        equal("before", &before, &expected.take(3).cloned().collect())?;
    }
    Ok(())
}

pub(super) async fn prefix_and_bounds_select_by_value(context: Context) -> CaseResult {
    let store = context.store().await?;
    let space = Uuid::new_v4();
    let entries = fill(&store, space).await?;
    let scan = || store.scan::<Entry>((space, 1));
    let chosen = |wanted: &dyn Fn(&Entry) -> bool| -> Vec<Entry> {
        entries
            .iter()
            .filter(|entry| wanted(entry))
            .cloned()
            .collect()
    };
    let a = || ("a".to_owned(),);
    let id = IDS[0];
    let cases = [
        (
            "prefix of one",
            scan().prefix(a()),
            chosen(&|e| e.kind == "a"),
        ),
        (
            "empty text as prefix",
            scan().prefix((String::new(),)),
            chosen(&|e| e.kind.is_empty()),
        ),
        (
            "prefix of two",
            scan().prefix(("b".to_owned(), 7i64)),
            chosen(&|e| e.kind == "b" && e.number == 7),
        ),
        (
            "whole key",
            scan().prefix(("b".to_owned(), 7i64, id)),
            chosen(&|e| e.kind == "b" && e.number == 7 && e.id == id),
        ),
        (
            "at least, ascending",
            scan().at_least("a".to_owned()),
            chosen(&|e| e.kind.as_str() >= "a"),
        ),
        (
            "greater, ascending",
            scan().greater_than("a".to_owned()),
            chosen(&|e| e.kind.as_str() > "a"),
        ),
        (
            "less, ascending",
            scan().less_than("a".to_owned()),
            chosen(&|e| e.kind.as_str() < "a"),
        ),
        (
            "between, descending",
            scan().prefix(a()).greater_than(-1i64).at_most(7i64),
            chosen(&|e| e.kind == "a" && e.number > -1 && e.number <= 7),
        ),
        (
            "beyond the extremes",
            scan().prefix(a()).at_least(i64::MIN).less_than(i64::MAX),
            chosen(&|e| e.kind == "a" && e.number < i64::MAX),
        ),
        (
            "one value",
            scan().prefix(a()).at_least(0i64).at_most(0i64),
            chosen(&|e| e.kind == "a" && e.number == 0),
        ),
        (
            "nothing between",
            scan().prefix(a()).greater_than(0i64).less_than(7i64),
            Vec::new(),
        ),
        (
            "bounds that cross",
            scan().prefix(a()).at_least(7i64).at_most(0i64),
            Vec::new(),
        ),
        (
            "one value excluded",
            scan().prefix(a()).greater_than(0i64).at_most(0i64),
            Vec::new(),
        ),
        (
            "an absent prefix",
            scan().prefix(("nothing".to_owned(),)),
            Vec::new(),
        ),
    ];
    for (what, scan, expected) in cases {
        equal(what, &scan.all().await?, &expected)?;
    }
    let mut backward = chosen(&|e| e.kind == "a" && e.number <= 7);
    backward.reverse();
    let scan = scan().prefix(a()).at_most(7i64).backward().limit(2);
    equal(
        "bounds backward, in pages of two",
        &scan.all().await?,
        &backward,
    )?;
    bounds_and_cursor(&store, space, &entries).await
}

/// A cursor before, within and behind the bounds.
async fn bounds_and_cursor(store: &Store, space: Uuid, entries: &[Entry]) -> CaseResult {
    for cursor in entries {
        let key = || (cursor.kind.clone(), cursor.number, cursor.id);
        let scan = || {
            store
                .scan::<Entry>((space, 1))
                .greater_than(String::new())
                .at_most("b".to_owned())
        };
        let selected = |entry: &&Entry| !entry.kind.is_empty() && entry.kind.as_str() <= "b";
        let position = entries
            .iter()
            .position(|entry| entry == cursor)
            .unwrap_or(0);
        let behind: Vec<Entry> = entries[position + 1..]
            .iter()
            .filter(selected)
            .cloned()
            .collect();
        equal(
            format!("behind {cursor:?}"),
            &scan().after(key()).all().await?,
            &behind,
        )?;
        let before: Vec<Entry> = entries[..position]
            .iter()
            .rev()
            .filter(selected)
            .cloned()
            .collect();
        equal(
            format!("before {cursor:?}"),
            &scan().backward().after(key()).all().await?,
            &before,
        )?;
    }
    Ok(())
}

pub(super) async fn a_scan_stays_in_its_partition(context: Context) -> CaseResult {
    let store = context.store().await?;
    let run = Uuid::new_v4();
    // Keys that run together if they are merely joined.
    let partitions = [
        ("a", "bc"),
        ("ab", "c"),
        ("abc", "\0"),
        ("a\0b", "c"),
        ("a", "b\0c"),
    ];
    let row = |(name, part): (&str, &str), word: &str| Named {
        name: format!("{run}{name}"),
        part: part.into(),
        word: word.into(),
        value: format!("{name}/{part}"),
    };
    for partition in partitions {
        store.put_at(&row(partition, "one"), 1).await?;
        store.put_at(&row(partition, "two"), 1).await?;
    }
    for partition in partitions {
        let key = (format!("{run}{}", partition.0), partition.1.to_owned());
        let rows = store.scan::<Named>(key).all().await?;
        equal(
            format!("{partition:?}"),
            &rows,
            &vec![row(partition, "one"), row(partition, "two")],
        )?;
    }
    let nothing = store
        .scan::<Named>((format!("{run}abc"), "x".into()))
        .all()
        .await?;
    equal("a partition that is not there", &nothing, &Vec::new())?;
    let claim = Claim::new(run.to_string(), 1);
    ensure!(
        store
            .insert_if_absent(&claim, Uuid::new_v4())
            .await?
            .is_applied(),
        "the claim is new"
    );
    for limit in [1, 2] {
        let rows = store
            .scan::<Claim>((run.to_string(),))
            .limit(limit)
            .all()
            .await?;
        equal(
            "a table without clustering columns",
            &rows,
            &vec![claim.clone()],
        )?;
    }
    Ok(())
}

pub(super) async fn a_partition_of_thousands_is_read_in_pages(context: Context) -> CaseResult {
    let store = context.store().await?;
    let (id, rows) = (Uuid::new_v4(), 2_500);
    for start in (0..rows).step_by(limits::BATCH_ROWS) {
        let mut batch = store.batch();
        for k in start..start + limits::BATCH_ROWS as i64 {
            batch = batch.put_at(
                &Everything {
                    number: Some(-k),
                    ..Everything::empty(id, k)
                },
                1,
            )?;
        }
        batch.write().await?;
    }
    let numbers = |rows: Vec<Everything>| -> Vec<i64> { rows.iter().map(|row| row.k).collect() };
    equal(
        "all",
        &numbers(store.scan::<Everything>((id,)).all().await?),
        &(0..rows).collect(),
    )?;
    let page = store.scan::<Everything>((id,)).page().await?;
    equal("a full page", &page.rows.len(), &limits::SCAN_ROWS)?;
    let raw = Scan {
        limit: 2,
        ..Scan::partition(Everything::schema(), vec![Value::Uuid(id)])
    };
    equal("limit", &store.records().scan(&raw).await?.len(), &2)?;
    Ok(())
}
