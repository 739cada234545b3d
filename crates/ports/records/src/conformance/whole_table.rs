//! Scans of whole tables.

use std::collections::BTreeMap;

use bytes::Bytes;
use uuid::Uuid;

use super::tables::{Ledger, Version};
use super::{CaseResult, Context, Failure, ensure, equal};
use crate::{RecordsError, Store, TableCursor, limits};

/// Writes that happen while a table is scanned.
struct Passing<'a> {
    store: &'a Store,
    run: &'a str,
    written: i64,
}

impl Passing<'_> {
    /// A row of another partition, and one that comes and goes inside of the partition that is
    /// being read, behind the lines that stay.
    async fn write(&mut self) -> Result<(), RecordsError> {
        self.written += 1;
        let line = self.written;
        let text = "passing".to_owned();
        let outside = Ledger {
            book: format!("other{}{line}", self.run),
            line,
            text: text.clone(),
        };
        self.store.put_at(&outside, 1).await?;
        let inside = Ledger {
            book: format!("{}large", self.run),
            line: STAYING + line,
            text,
        };
        self.store.put_at(&inside, 1).await?;
        self.store
            .delete_at::<Ledger>((inside.book, inside.line), 2)
            .await
    }
}

/// Lines from this one on only pass.
const STAYING: i64 = 1000;

/// How often each line of these books was seen.
type Census = BTreeMap<(String, i64), usize>;

/// Scans the whole table, with writes after every page where there are any to make.
async fn census(
    store: &Store,
    run: &str,
    page_size: usize,
    mut passing: Option<Passing<'_>>,
) -> Result<Census, Failure> {
    let mut seen = Census::new();
    let mut cursor: Option<TableCursor> = None;
    loop {
        let page = store
            .scan_table::<Ledger>(cursor.as_ref(), page_size)
            .await?;
        ensure!(
            page.rows.len() <= page_size,
            "a page of {page_size} has {} rows",
            page.rows.len()
        );
        for stored in page.rows {
            if stored.row.book.starts_with(run) {
                *seen.entry((stored.row.book, stored.row.line)).or_default() += 1;
            }
        }
        if let Some(passing) = &mut passing {
            passing.write().await?;
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(seen),
        }
    }
}

async fn fill(store: &Store, run: &str) -> Result<Census, RecordsError> {
    let mut expected = Census::new();
    // One large partition among small ones, so that pages end inside of partitions.
    for (book, lines) in [
        ("large", 60),
        ("a", 1),
        ("b", 5),
        ("c", 7),
        ("d", 1),
        ("e", 3),
    ] {
        let mut batch = store.batch();
        for line in 0..lines {
            let row = Ledger {
                book: format!("{run}{book}"),
                line,
                text: "text".into(),
            };
            batch = batch.put_at(&row, 1)?;
            expected.insert((row.book, line), 1);
        }
        batch.write().await?;
    }
    Ok(expected)
}

pub(super) async fn every_row_is_seen_once_over_pages(context: Context) -> CaseResult {
    let store = context.store().await?;
    let run = Uuid::new_v4().to_string();
    let mut expected = fill(&store, &run).await?;
    for page in [1, 7, 60, limits::SCAN_ROWS] {
        equal(
            format!("pages of {page}"),
            &census(&store, &run, page, None).await?,
            &expected,
        )?;
    }
    let gone = (format!("{run}large"), 30);
    store.delete_at::<Ledger>(gone.clone(), 2).await?;
    expected.remove(&gone);
    equal(
        "without the deleted row",
        &census(&store, &run, 7, None).await?,
        &expected,
    )?;
    conditional_rows_are_seen(&store).await
}

/// A conditional table, too, and with its `op_id`.
async fn conditional_rows_are_seen(store: &Store) -> CaseResult {
    let (id, op) = (Uuid::new_v4(), Uuid::new_v4());
    let state = super::tables::State {
        schema: 1,
        title: "t".into(),
        tags: Vec::new(),
    };
    let version = Version {
        id,
        version: 1,
        author: id,
        state,
    };
    ensure!(
        store.insert_if_absent(&version, op).await?.is_applied(),
        "the version is new"
    );
    let mut cursor = None;
    let mut seen = Vec::new();
    loop {
        let page = store
            .scan_table::<Version>(cursor.as_ref(), limits::SCAN_ROWS)
            .await?;
        seen.extend(page.rows.into_iter().filter(|stored| stored.row.id == id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    equal(
        "version",
        &seen,
        &vec![crate::Stored {
            row: version,
            op_id: op,
        }],
    )
}

pub(super) async fn rows_that_stay_are_seen_once_while_others_change(
    context: Context,
) -> CaseResult {
    let store = context.store().await?;
    let run = Uuid::new_v4().to_string();
    let staying = fill(&store, &run).await?;
    let passing = Passing {
        store: &store,
        run: &run,
        written: 0,
    };
    let mut seen = census(&store, &run, 7, Some(passing)).await?;
    seen.retain(|(_, line), _| *line < STAYING);
    equal("rows that stay", &seen, &staying)
}

pub(super) async fn a_cursor_of_garbage_is_refused(context: Context) -> CaseResult {
    let store = context.store().await?;
    for bytes in [
        &b""[..],
        b"\0",
        b"garbage",
        b"[]",
        b"{\"a\":1}",
        &[0xff; 64],
    ] {
        let cursor = TableCursor::new(Bytes::from_static(bytes));
        super::invalid(
            format!("cursor {bytes:?}"),
            store.scan_table::<Ledger>(Some(&cursor), 10).await,
        )?;
    }
    Ok(())
}
