//! What is written is what is read.

use bytes::Bytes;
use chrono::DateTime;
use uuid::Uuid;

use super::tables::{Claim, Everything, Named, State};
use super::{CaseResult, Context, ensure, equal};
use crate::{Table, limits};

/// Text that something on the way might mishandle.
pub(super) const HOSTILE: &[&str] = &[
    " ",
    " leading and trailing ",
    "nul\0inside",
    "\0",
    "line\nfeed\r\ntab\t",
    "'; DROP TABLE suite_named; --",
    "\"quoted\" `ticked` $$dollars$$ {} ? ?1 :name",
    "%_like\\",
    "UPPER",
    "upper",
    "e\u{301}",
    "\u{e9}",
    "رواق الطلاب",
    "\u{202e}txet desrever",
    "👩\u{200d}🎓 student",
    "\u{feff}bom",
    "\u{ffff}",
    "\u{10ffff}",
    "../../etc/passwd",
    "null",
];

pub(super) async fn every_type_reads_back_as_it_was_written(context: Context) -> CaseResult {
    let store = context.store().await?;
    let id = Uuid::new_v4();
    let state = State {
        schema: 1,
        title: "Analyse – تحليل \" \\ \0".into(),
        tags: vec![String::new(), "x".into()],
    };
    let full = Everything {
        flag: Some(true),
        number: Some(i64::MAX),
        ratio: Some(f64::MAX),
        text: Some("texte – نص".into()),
        state: Some(state.clone()),
        bytes: Some(Bytes::from((0..=255).collect::<Vec<u8>>())),
        other: Some(Uuid::max()),
        at: DateTime::from_timestamp_millis(1_785_000_000_123),
        ..Everything::empty(id, 1)
    };
    let low = Everything {
        flag: Some(false),
        number: Some(i64::MIN),
        ratio: Some(f64::MIN_POSITIVE),
        text: Some("\0".into()),
        state: Some(State {
            tags: Vec::new(),
            ..state
        }),
        bytes: Some(Bytes::from_static(b"\0")),
        other: Some(Uuid::nil()),
        at: DateTime::from_timestamp_millis(-1),
        ..Everything::empty(id, i64::MIN)
    };
    let whole = Everything {
        ratio: Some(3.0),
        number: Some(0),
        ..Everything::empty(id, i64::MAX)
    };
    for row in [full, low, whole] {
        store.put_at(&row, 1).await?;
        let read = store.get::<Everything>((id, row.k)).await?;
        equal("row", &read, &Some(row))?;
    }
    Ok(())
}

pub(super) async fn empty_text_and_blob_differ_from_null(context: Context) -> CaseResult {
    let store = context.store().await?;
    let id = Uuid::new_v4();
    let empty = Everything {
        text: Some(String::new()),
        bytes: Some(Bytes::new()),
        ..Everything::empty(id, 1)
    };
    let null = Everything::empty(id, 2);
    store.put_at(&empty, 1).await?;
    store.put_at(&null, 1).await?;
    equal(
        "both",
        &store.scan::<Everything>((id,)).all().await?,
        &vec![empty, null],
    )?;
    let claim = Claim {
        note: Some(String::new()),
        ..Claim::new(id.to_string(), 1)
    };
    ensure!(
        store
            .insert_if_absent(&claim, Uuid::new_v4())
            .await?
            .is_applied(),
        "the claim is new"
    );
    equal(
        "claim",
        &store.get::<Claim>((id.to_string(),)).await?,
        &Some(claim),
    )
}

pub(super) async fn hostile_text_is_kept_byte_for_byte(context: Context) -> CaseResult {
    let store = context.store().await?;
    let run = Uuid::new_v4();
    let long = "ب".repeat(1000);
    let texts: Vec<&str> = HOSTILE.iter().copied().chain([long.as_str()]).collect();
    for text in &texts {
        let row = Named {
            name: format!("{run}{text}"),
            part: (*text).to_owned(),
            word: (*text).to_owned(),
            value: (*text).to_owned(),
        };
        store.put_at(&row, 1).await?;
        let claim = Claim {
            note: Some((*text).to_owned()),
            ..Claim::new(format!("{run}{text}"), 1)
        };
        let inserted = store.insert_if_absent(&claim, Uuid::new_v4()).await?;
        ensure!(
            inserted.is_applied(),
            "claim {text:?} met another one: names are not kept apart"
        );
    }
    for text in &texts {
        let partition = (format!("{run}{text}"), (*text).to_owned());
        let rows = store.scan::<Named>(partition.clone()).all().await?;
        let words: Vec<&str> = rows.iter().map(|row| row.word.as_str()).collect();
        equal(format!("words of {text:?}"), &words, &vec![*text])?;
        let row = store
            .get::<Named>((partition.0.clone(), partition.1, (*text).to_owned()))
            .await?;
        equal(
            format!("value of {text:?}"),
            &row.map(|row| row.value).as_deref(),
            &Some(text),
        )?;
        let claim = store.get::<Claim>((partition.0,)).await?;
        equal(
            "note",
            &claim.and_then(|claim| claim.note).as_deref(),
            &Some(text),
        )?;
    }
    Ok(())
}

pub(super) async fn a_row_without_any_value_exists(context: Context) -> CaseResult {
    let store = context.store().await?;
    let row = Everything::empty(Uuid::new_v4(), 1);
    store.put_at(&row, 1).await?;
    equal(
        "get",
        &store.get::<Everything>((row.id, 1)).await?,
        &Some(row.clone()),
    )?;
    // Also once its values were taken away again.
    store
        .put_at(
            &Everything {
                number: Some(1),
                ..row.clone()
            },
            2,
        )
        .await?;
    store.put_at(&row, 3).await?;
    equal(
        "scan",
        &store.scan::<Everything>((row.id,)).all().await?,
        &vec![row],
    )
}

pub(super) async fn times_are_kept_to_the_millisecond(context: Context) -> CaseResult {
    let store = context.store().await?;
    let id = Uuid::new_v4();
    for (k, (micros, millis)) in [
        (1_999, 1),
        (-1, -1),
        (1_785_000_000_123_456, 1_785_000_000_123),
    ]
    .into_iter()
    .enumerate()
    {
        let k = k as i64;
        let row = Everything {
            at: DateTime::from_timestamp_micros(micros),
            ..Everything::empty(id, k)
        };
        store.put_at(&row, 1).await?;
        let read = store
            .get::<Everything>((id, k))
            .await?
            .and_then(|row| row.at);
        equal(
            format!("{micros} µs"),
            &read,
            &DateTime::from_timestamp_millis(millis),
        )?;
    }
    Ok(())
}

pub(super) async fn the_largest_row_is_kept(context: Context) -> CaseResult {
    let store = context.store().await?;
    let id = Uuid::new_v4();
    let mut row = Everything::empty(id, 1);
    let fixed = row.to_row()?.size_bytes();
    row.text = Some("é".repeat((limits::ROW_BYTES - fixed) / 4));
    let rest = limits::ROW_BYTES - row.to_row()?.size_bytes();
    row.bytes = Some(Bytes::from(vec![0xff; rest]));
    equal("size", &row.to_row()?.size_bytes(), &limits::ROW_BYTES)?;
    store.put_at(&row, 1).await?;
    ensure!(
        store.get::<Everything>((id, 1)).await? == Some(row),
        "the largest row came back changed"
    );
    let claim = Claim::new(id.to_string(), 1);
    let left = limits::ROW_BYTES - claim.to_row()?.size_bytes();
    let claim = Claim {
        note: Some("x".repeat(left)),
        ..claim
    };
    ensure!(
        store
            .insert_if_absent(&claim, Uuid::new_v4())
            .await?
            .is_applied(),
        "the claim is new"
    );
    let read = store.get::<Claim>((claim.name.clone(),)).await?;
    ensure!(
        read == Some(claim),
        "the largest conditional row came back changed"
    );
    Ok(())
}
