//! Staged uploads by one writer: offsets, bodies, limits, digests.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;

use super::{
    MIB, Stage, Verdict, begun, body, check, check_eq, check_err, content, list_cases, new_upload,
    pattern, pieces, stored,
};
use crate::{BlobsError, ByteRange, Expected, Sha256, Sha256Hasher};

list_cases![
    an_upload_in_parts_becomes_one_blob,
    an_empty_upload_becomes_an_empty_blob,
    pieces_of_any_size_arrive_in_order,
    a_large_blob_keeps_every_byte,
    an_append_elsewhere_than_at_the_end_is_refused,
    a_body_that_breaks_off_keeps_what_came,
    bytes_beyond_the_limit_are_refused,
    a_wrong_digest_or_size_makes_no_blob,
    completing_again_gives_the_same_blob,
    a_complete_upload_takes_no_more_bytes,
];

async fn an_upload_in_parts_becomes_one_blob(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let bytes = pattern(10_000, 1);
    let upload = begun(&*blobs).await?;
    check_eq!(upload.offset, 0, "a new upload");
    check_eq!(upload.completed, None, "a new upload");
    let mut offset = 0;
    for part in bytes.chunks(3_333) {
        offset = blobs
            .append(&upload.id, upload.fence, offset, body(part))
            .await?;
    }
    check_eq!(offset, 10_000, "the durable offset");
    check_eq!(
        blobs.list(None, 10).await?,
        vec![],
        "nothing is visible before completion"
    );
    let sha256 = Sha256::of(&bytes);
    let expected = Expected {
        size: Some(10_000),
        sha256: Some(sha256),
    };
    let info = blobs.complete(&upload.id, upload.fence, expected).await?;
    check_eq!(
        (info.size, info.sha256, info.marked_at),
        (10_000, sha256, None),
        "the blob"
    );
    check_eq!(blobs.stat(&info.key).await?, info, "stat");
    check!(
        info.key.to_string() != upload.id.to_string(),
        "the upload's name tells the key"
    );
    check_eq!(
        content(&*blobs, &info, ByteRange::Full).await?,
        bytes,
        "content"
    );
    Ok(())
}

async fn an_empty_upload_becomes_an_empty_blob(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let upload = begun(&*blobs).await?;
    let info = blobs
        .complete(&upload.id, upload.fence, Expected::default())
        .await?;
    check_eq!((info.size, info.sha256), (0, Sha256::of(b"")), "the blob");
    check_eq!(
        content(&*blobs, &info, ByteRange::Full).await?,
        Bytes::new(),
        "content"
    );
    let upload = begun(&*blobs).await?;
    let end = blobs.append(&upload.id, upload.fence, 0, body(b"")).await?;
    check_eq!(end, 0, "an empty append");
    check_eq!(
        blobs
            .complete(&upload.id, upload.fence, Expected::default())
            .await?
            .size,
        0,
        "size"
    );
    Ok(())
}

async fn pieces_of_any_size_arrive_in_order(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let bytes = pattern(300_000, 2);
    for size in [1, 511, 65_536, 300_000] {
        let upload = begun(&*blobs).await?;
        let part = if size == 1 {
            &bytes[..2_000]
        } else {
            &bytes[..]
        };
        let with_gaps = pieces(part, size)
            .flat_map(|piece| futures::stream::iter([Ok(Bytes::new()), piece, Ok(Bytes::new())]));
        blobs
            .append(&upload.id, upload.fence, 0, with_gaps.boxed())
            .await?;
        let info = blobs
            .complete(&upload.id, upload.fence, Expected::default())
            .await?;
        check!(
            content(&*blobs, &info, ByteRange::Full).await? == part,
            "pieces of {size} bytes"
        );
    }
    Ok(())
}

async fn a_large_blob_keeps_every_byte(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let bytes = pattern(32 * MIB as usize + 17, 3);
    let info = stored(&*blobs, &bytes).await?;
    check_eq!(info.size, bytes.len() as u64, "size");
    check_eq!(info.sha256, Sha256::of(&bytes), "digest");
    let mut stream = blobs.open(&info.key, ByteRange::Full).await?.into_stream();
    let mut hasher = Sha256Hasher::new();
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        check!(
            piece.len() as u64 <= MIB,
            "a piece of {} bytes",
            piece.len()
        );
        hasher.update(&piece);
    }
    check_eq!(hasher.finish(), info.sha256, "digest of what was read");
    Ok(())
}

async fn an_append_elsewhere_than_at_the_end_is_refused(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let upload = begun(&*blobs).await?;
    blobs
        .append(&upload.id, upload.fence, 0, body(b"0123456789"))
        .await?;
    for offset in [0, 9, 11, u64::MAX] {
        let result = blobs
            .append(&upload.id, upload.fence, offset, body(b"x"))
            .await;
        check_err!(
            result,
            BlobsError::OffsetMismatch { durable: 10 },
            "append at {offset}"
        );
    }
    let info = blobs
        .complete(&upload.id, upload.fence, Expected::default())
        .await?;
    check_eq!(
        content(&*blobs, &info, ByteRange::Full).await?,
        "0123456789",
        "content"
    );
    Ok(())
}

async fn a_body_that_breaks_off_keeps_what_came(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let upload = begun(&*blobs).await?;
    let gone = futures::stream::iter([Err(BlobsError::Body("gone".into()))]);
    let broken = body(&pattern(5_000, 4)).chain(gone).boxed();
    let result = blobs.append(&upload.id, upload.fence, 0, broken).await;
    check_err!(result, BlobsError::Body(_), "a body that breaks off");
    let again = blobs.claim(&upload.id).await?;
    check_eq!(again.offset, 5_000, "what came");
    let rest = &pattern(8_000, 4)[5_000..];
    blobs
        .append(&upload.id, again.fence, 5_000, body(rest))
        .await?;
    let info = blobs
        .complete(&upload.id, again.fence, Expected::default())
        .await?;
    check_eq!(info.sha256, Sha256::of(&pattern(8_000, 4)), "digest");
    Ok(())
}

async fn bytes_beyond_the_limit_are_refused(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let exact = blobs.begin(new_upload(1_000)).await?;
    check_eq!(
        blobs
            .append(&exact.id, exact.fence, 0, body(&[7; 1_000]))
            .await?,
        1_000,
        "end"
    );
    let more = blobs
        .append(&exact.id, exact.fence, 1_000, body(&[7]))
        .await;
    check_err!(
        more,
        BlobsError::TooLarge { max_bytes: 1_000 },
        "one byte more"
    );
    check_eq!(
        blobs
            .complete(&exact.id, exact.fence, Expected::default())
            .await?
            .size,
        1_000,
        "size"
    );
    let over = blobs.begin(new_upload(1_000)).await?;
    let result = blobs
        .append(&over.id, over.fence, 0, pieces(&[7; 5_000], 300))
        .await;
    check_err!(
        result,
        BlobsError::TooLarge { max_bytes: 1_000 },
        "too many bytes"
    );
    check!(
        blobs.claim(&over.id).await?.offset <= 1_000,
        "more was kept than allowed"
    );
    Ok(())
}

async fn a_wrong_digest_or_size_makes_no_blob(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let upload = begun(&*blobs).await?;
    blobs
        .append(&upload.id, upload.fence, 0, body(b"content"))
        .await?;
    let wrong = Expected {
        sha256: Some(Sha256::of(b"other")),
        size: None,
    };
    let result = blobs.complete(&upload.id, upload.fence, wrong).await;
    check_err!(
        result,
        BlobsError::Mismatch {
            field: "sha256",
            ..
        },
        "a wrong digest"
    );
    let wrong = Expected {
        sha256: None,
        size: Some(8),
    };
    let result = blobs.complete(&upload.id, upload.fence, wrong).await;
    check_err!(
        result,
        BlobsError::Mismatch { field: "size", .. },
        "a wrong size"
    );
    check_eq!(blobs.list(None, 10).await?, vec![], "blobs");
    let right = Expected {
        sha256: Some(Sha256::of(b"content")),
        size: Some(7),
    };
    blobs.complete(&upload.id, upload.fence, right).await?;
    Ok(())
}

async fn completing_again_gives_the_same_blob(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let upload = begun(&*blobs).await?;
    blobs
        .append(&upload.id, upload.fence, 0, body(b"once"))
        .await?;
    let info = blobs
        .complete(&upload.id, upload.fence, Expected::default())
        .await?;
    stage.clock.advance(Duration::from_secs(60));
    check_eq!(
        blobs
            .complete(&upload.id, upload.fence, Expected::default())
            .await?,
        info,
        "again"
    );
    check_eq!(blobs.list(None, 10).await?, vec![info], "blobs");
    Ok(())
}

async fn a_complete_upload_takes_no_more_bytes(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let upload = begun(&*blobs).await?;
    blobs
        .append(&upload.id, upload.fence, 0, body(b"whole"))
        .await?;
    let info = blobs
        .complete(&upload.id, upload.fence, Expected::default())
        .await?;
    let more = blobs
        .append(&upload.id, upload.fence, 5, body(b"more"))
        .await;
    check_err!(more, BlobsError::AlreadyComplete, "append");
    check_err!(
        blobs.abort(&upload.id).await,
        BlobsError::AlreadyComplete,
        "abort"
    );
    let claimed = blobs.claim(&upload.id).await?;
    check_eq!(
        (claimed.offset, claimed.completed),
        (5, Some(info.clone())),
        "claim"
    );
    let more = blobs
        .append(&upload.id, claimed.fence, 5, body(b"more"))
        .await;
    check_err!(more, BlobsError::AlreadyComplete, "append after a claim");
    check_eq!(
        content(&*blobs, &info, ByteRange::Full).await?,
        "whole",
        "content"
    );
    Ok(())
}
