//! Reading: ranges and their edges, unknown keys, lists.

use super::{
    Stage, Verdict, begun, body, check, check_eq, check_err, content, list_cases, pattern, stored,
};
use crate::{BlobInfo, BlobKey, BlobsError, ByteRange, Expected, MAX_LIST, Presign};

list_cases![
    every_range_gives_its_bytes,
    ranges_outside_the_blob_are_refused,
    only_the_full_range_of_an_empty_blob_is_allowed,
    unknown_blobs_are_not_found,
    reads_at_once_do_not_disturb_each_other,
    lists_are_in_order_and_whole,
    a_blob_is_seen_by_every_handle,
    a_store_that_works_says_so,
];

async fn every_range_gives_its_bytes(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let bytes = pattern(300_007, 11);
    let info = stored(&*blobs, &bytes).await?;
    let last = info.size - 1;
    let ranges = [
        (ByteRange::Full, 0, bytes.len()),
        (ByteRange::From(0), 0, bytes.len()),
        (ByteRange::From(last), 300_006, bytes.len()),
        (ByteRange::Span(0, 0), 0, 1),
        (ByteRange::Span(0, last), 0, bytes.len()),
        (ByteRange::Span(131_071, 131_072), 131_071, 131_073),
        (ByteRange::Span(100_000, 299_999), 100_000, 300_000),
        (ByteRange::Span(last, last), 300_006, bytes.len()),
        (ByteRange::Span(7, u64::MAX), 7, bytes.len()),
        (ByteRange::Suffix(1), 300_006, bytes.len()),
        (ByteRange::Suffix(u64::MAX), 0, bytes.len()),
    ];
    for (range, start, end) in ranges {
        let opened = blobs.open(&info.key, range).await?;
        check_eq!(opened.info, info, "{range:?}");
        check_eq!(opened.range, start as u64..end as u64, "{range:?}");
        check_eq!(opened.len(), (end - start) as u64, "{range:?}");
        check!(
            opened.read_to_end(info.size).await? == bytes[start..end],
            "bytes of {range:?}"
        );
    }
    let limited = blobs
        .open(&info.key, ByteRange::Full)
        .await?
        .read_to_end(10)
        .await;
    check_err!(
        limited,
        BlobsError::TooLarge { max_bytes: 10 },
        "a limited read"
    );
    Ok(())
}

async fn ranges_outside_the_blob_are_refused(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let info = stored(&*blobs, b"0123456789").await?;
    for range in [
        ByteRange::From(10),
        ByteRange::From(u64::MAX),
        ByteRange::Span(10, 10),
        ByteRange::Span(5, 4),
        ByteRange::Suffix(0),
    ] {
        let result = blobs.open(&info.key, range).await;
        check_err!(
            result,
            BlobsError::RangeNotSatisfiable { size: 10 },
            "{range:?}"
        );
    }
    Ok(())
}

async fn only_the_full_range_of_an_empty_blob_is_allowed(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let info = stored(&*blobs, b"").await?;
    check_eq!(
        content(&*blobs, &info, ByteRange::Full).await?,
        "",
        "content"
    );
    for range in [
        ByteRange::From(0),
        ByteRange::Span(0, 0),
        ByteRange::Suffix(1),
    ] {
        let result = blobs.open(&info.key, range).await;
        check_err!(
            result,
            BlobsError::RangeNotSatisfiable { size: 0 },
            "{range:?}"
        );
    }
    Ok(())
}

async fn unknown_blobs_are_not_found(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let unknown = BlobKey::random();
    check_err!(
        blobs.open(&unknown, ByteRange::Full).await,
        BlobsError::BlobNotFound,
        "open"
    );
    check_err!(blobs.stat(&unknown).await, BlobsError::BlobNotFound, "stat");
    check_err!(blobs.mark(&unknown).await, BlobsError::BlobNotFound, "mark");
    check_err!(
        blobs.unmark(&unknown).await,
        BlobsError::BlobNotFound,
        "unmark"
    );
    check_eq!(blobs.delete(&unknown).await?, false, "delete");
    // An upload that is not finished is no blob, under no name.
    let upload = begun(&*blobs).await?;
    blobs
        .append(&upload.id, upload.fence, 0, body(b"unfinished"))
        .await?;
    let as_key: BlobKey = upload.id.to_string().parse()?;
    check_err!(
        blobs.open(&as_key, ByteRange::Full).await,
        BlobsError::BlobNotFound,
        "upload as blob"
    );
    Ok(())
}

async fn reads_at_once_do_not_disturb_each_other(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let bytes = pattern(500_000, 12);
    let info = stored(&*blobs, &bytes).await?;
    let read = |n: u64| {
        content(
            &*blobs,
            &info,
            ByteRange::Span(n * 1_000, n * 1_000 + 400_000),
        )
    };
    let results = futures::future::join_all((0..50).map(read)).await;
    for (n, result) in results.into_iter().enumerate() {
        check!(
            result? == bytes[n * 1_000..=n * 1_000 + 400_000],
            "read {n}"
        );
    }
    Ok(())
}

async fn lists_are_in_order_and_whole(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    check_eq!(blobs.list(None, MAX_LIST).await?, vec![], "an empty store");
    let mut made = Vec::new();
    for n in 0..25 {
        made.push(stored(&*blobs, &pattern(n, 13)).await?);
    }
    made.sort_by_key(|info| info.key);
    for limit in [1, 4, 5, 24, 25, 26] {
        let mut listed: Vec<BlobInfo> = Vec::new();
        loop {
            let page = blobs
                .list(listed.last().map(|info| info.key), limit)
                .await?;
            check!(page.len() <= limit, "a page of {}", page.len());
            listed.extend_from_slice(&page);
            if page.len() < limit {
                break;
            }
        }
        check_eq!(listed, made, "pages of {limit}");
    }
    for limit in [0, MAX_LIST + 1] {
        let result = blobs.list(None, limit).await;
        check_err!(
            result,
            BlobsError::InvalidInput { field: "limit", .. },
            "limit {limit}"
        );
    }
    Ok(())
}

async fn a_blob_is_seen_by_every_handle(stage: &mut Stage) -> Verdict {
    let (blobs, other) = (stage.blobs(), stage.fixture.second().await);
    let upload = begun(&*blobs).await?;
    other
        .append(&upload.id, upload.fence, 0, body(b"shared"))
        .await?;
    let info = blobs
        .complete(&upload.id, upload.fence, Expected::default())
        .await?;
    check_eq!(other.stat(&info.key).await?, info, "stat");
    check_eq!(
        content(&*other, &info, ByteRange::Full).await?,
        "shared",
        "content"
    );
    Ok(())
}

async fn a_store_that_works_says_so(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    blobs.ping().await?;
    check_eq!(blobs.list(None, 10).await?, vec![], "ping leaves nothing");
    let info = stored(&*blobs, b"linked").await?;
    let request = Presign {
        expires_after: std::time::Duration::from_secs(300),
        content_disposition: "attachment".into(),
        media_type: "text/plain".into(),
    };
    if let Some(url) = blobs.presign(&info.key, &request).await? {
        check!(
            matches!(url.scheme(), "http" | "https"),
            "a link of scheme {}",
            url.scheme()
        );
    }
    Ok(())
}
