//! The order of each type that can be a clustering column.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::tables::{ByBlob, ByTime, ByUuid, Named};
use super::values::HOSTILE;
use super::{CaseResult, Context, Failure, equal};

pub(super) async fn text_sorts_by_its_bytes(context: Context) -> CaseResult {
    let store = context.store().await?;
    let name = Uuid::new_v4().to_string();
    // UTF-16 would put U+10FFFF before U+FFFF, and a locale would put "a" before "B".
    let mut words: Vec<String> = HOSTILE.iter().map(|word| (*word).to_owned()).collect();
    words.extend(["", "a", "B", "b", "a\0", "aa", "é", "z", "ز", "\u{fffd}"].map(str::to_owned));
    for word in &words {
        let row = Named {
            name: name.clone(),
            part: "p".into(),
            word: word.clone(),
            value: String::new(),
        };
        store.put_at(&row, 1).await?;
    }
    words.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    words.dedup();
    let rows = store
        .scan::<Named>((name.clone(), "p".into()))
        .all()
        .await?;
    equal(
        "words",
        &rows.into_iter().map(|row| row.word).collect(),
        &words,
    )?;
    let between = store
        .scan::<Named>((name, "p".into()))
        .greater_than("a".to_owned())
        .at_most("b".to_owned());
    let expected: Vec<String> = words
        .into_iter()
        .filter(|word| word.as_str() > "a" && word.as_str() <= "b")
        .collect();
    equal(
        "between",
        &between
            .all()
            .await?
            .into_iter()
            .map(|row| row.word)
            .collect(),
        &expected,
    )
}

pub(super) async fn uuids_sort_by_version_first(context: Context) -> CaseResult {
    let store = context.store().await?;
    let space = Uuid::new_v4();
    // In the order of Cassandra's `uuid`, written down by hand.
    let ordered = [
        "00000000-0000-0000-0000-000000000000",
        // Version 1 by time: its low part comes first in the text.
        "ffffffff-0000-1000-8000-000000000000",
        "00000000-0001-1000-8000-000000000000",
        "00000000-0000-1001-8000-000000000000",
        "00000000-0000-1001-8000-000000000001",
        "00000000-0000-1001-c000-000000000000",
        "00000000-0000-3000-8000-000000000000",
        "00000000-0000-4000-7000-000000000000",
        "00000000-0000-4000-8000-000000000000",
        "7fffffff-ffff-4fff-bfff-ffffffffffff",
        "80000000-0000-4000-8000-000000000000",
        "ffffffff-ffff-4fff-bfff-ffffffffffff",
        "00000000-0000-5000-8000-000000000000",
        "01980000-0000-7000-8000-000000000000",
        "01980000-0000-7001-8000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ];
    let ids: Vec<Uuid> = ordered
        .iter()
        .map(|text| Uuid::parse_str(text).map_err(Failure::new))
        .collect::<Result<_, _>>()?;
    for at in (0..ids.len())
        .rev()
        .step_by(2)
        .chain((0..ids.len()).rev().skip(1).step_by(2))
    {
        store
            .put_at(
                &ByUuid {
                    space,
                    id: ids[at],
                    value: at as i64,
                },
                1,
            )
            .await?;
    }
    let read = |rows: Vec<ByUuid>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    equal(
        "forward",
        &read(store.scan::<ByUuid>((space,)).all().await?),
        &ids,
    )?;
    equal(
        "pages",
        &read(store.scan::<ByUuid>((space,)).limit(3).all().await?),
        &ids,
    )?;
    for (at, id) in ids.iter().enumerate() {
        let scan = || store.scan::<ByUuid>((space,));
        equal(
            "after",
            &read(scan().after((*id,)).all().await?),
            &ids[at + 1..].to_vec(),
        )?;
        equal(
            "at most",
            &read(scan().at_most(*id).all().await?),
            &ids[..=at].to_vec(),
        )?;
        equal(
            "get",
            &store
                .get::<ByUuid>((space, *id))
                .await?
                .map(|row| row.value),
            &Some(at as i64),
        )?;
    }
    Ok(())
}

pub(super) async fn blobs_sort_unsigned_and_downwards_when_declared(
    context: Context,
) -> CaseResult {
    let store = context.store().await?;
    let space = Uuid::new_v4();
    let digests: &[&[u8]] = &[
        b"",
        b"\0",
        b"\0\0",
        b"\0\xff",
        b"\x01",
        b"a",
        b"\x7f",
        b"\x80",
        b"\xff",
        b"\xff\0",
        b"\xff\xff",
    ];
    for digest in digests {
        store
            .put_at(
                &ByBlob {
                    space,
                    digest: Bytes::from_static(digest),
                    value: 1,
                },
                1,
            )
            .await?;
    }
    let read = |rows: Vec<ByBlob>| {
        rows.into_iter()
            .map(|row| row.digest.to_vec())
            .collect::<Vec<_>>()
    };
    let downwards: Vec<Vec<u8>> = digests.iter().rev().map(|digest| digest.to_vec()).collect();
    equal(
        "forward",
        &read(store.scan::<ByBlob>((space,)).all().await?),
        &downwards,
    )?;
    equal(
        "pages",
        &read(store.scan::<ByBlob>((space,)).limit(2).all().await?),
        &downwards,
    )?;
    let upper = store
        .scan::<ByBlob>((space,))
        .at_least(Bytes::from_static(b"\x80"));
    equal(
        "upper half",
        &read(upper.all().await?),
        &downwards[..4].to_vec(),
    )
}

pub(super) async fn flags_and_times_sort_by_value(context: Context) -> CaseResult {
    let store = context.store().await?;
    let space = Uuid::new_v4();
    let time = |millis| DateTime::<Utc>::from_timestamp_millis(millis).unwrap_or_default();
    let times = [
        -62_135_596_800_000,
        -1,
        0,
        1,
        1_785_000_000_123,
        253_402_300_799_999,
    ]
    .map(time);
    let mut expected = Vec::new();
    for flag in [true, false] {
        for at in times {
            expected.push(ByTime { space, flag, at });
        }
    }
    for row in expected.iter().rev() {
        store.put_at(row, 1).await?;
    }
    equal(
        "forward",
        &store.scan::<ByTime>((space,)).all().await?,
        &expected,
    )?;
    let since = store
        .scan::<ByTime>((space,))
        .prefix((true,))
        .greater_than(time(0))
        .all()
        .await?;
    equal("since 1970", &since, &expected[3..6].to_vec())?;
    let pages = store.scan::<ByTime>((space,)).limit(5).all().await?;
    equal("pages", &pages, &expected)
}
