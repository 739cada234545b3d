//! Content on its way out: as it comes from the server, in order, and continued where the connection broke.

use std::ops::Range;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream as ObjectStream;
use bytes::Bytes;
use futures::StreamExt;
use riwaq_blobs::{BlobKey, BlobsError, ByteRange, ByteStream, Content, ContentBody};

use crate::Inner;
use crate::metrics::{self, Running};
use crate::store::{Opened, Store};
use crate::stored::Description;

/// How often one read is continued after it was cut.
const CONTINUATIONS: u32 = 3;

impl Inner {
    pub(crate) async fn open(
        &self,
        key: &BlobKey,
        wanted: ByteRange,
    ) -> Result<Content, BlobsError> {
        // A blob's size and place never change, so what was read of it before will do; that it is still there shows when it is
        // opened. Refusals are given on what is there now.
        if let Some(known) = self.descriptions.get(key)
            && let Ok(range) = wanted.resolve(known.size)
            && let Some(content) = self.open_described(&known, range).await?
        {
            return Ok(content);
        }
        let description = self.describe(key).await?;
        let range = wanted.resolve(description.size)?;
        if let Some(content) = self.open_described(&description, range.clone()).await? {
            return Ok(content);
        }
        if description.content.is_none() {
            return Ok(Content {
                info: description.info(),
                range,
                body: ContentBody::Stream(futures::stream::empty().boxed()),
            });
        }
        // Deleted between the two looks, or damaged.
        self.describe(key).await?;
        Err(BlobsError::Corrupt(format!("the content of {key} is gone")))
    }

    /// None where the content is not there, or where there is none.
    async fn open_described(
        &self,
        description: &Description,
        range: Range<u64>,
    ) -> Result<Option<Content>, BlobsError> {
        let Some(content) = &description.content else {
            return Ok(None);
        };
        let name = self.layout.content(&description.key, content);
        let whole = range == (0..description.size);
        let asked = (!whole).then_some(&range);
        let Some(opened) = self.store.get(&name, asked, None).await? else {
            return Ok(None);
        };
        check_length(&name, &opened, &range)?;
        let verify = whole && self.store.config().verify_reads;
        let reader = Reader {
            idle: self.store.config().read_idle_timeout(),
            store: self.store.clone(),
            name,
            etag: opened.etag,
            body: opened.body,
            next: range.start,
            end: range.end,
            continuations: CONTINUATIONS,
            check: verify.then(|| (crc32fast::Hasher::new(), description.crc32)),
            _running: Running::start("read"),
        };
        Ok(Some(Content {
            info: description.info(),
            range,
            body: ContentBody::Stream(reader.into_stream()),
        }))
    }
}

fn check_length(name: &str, opened: &Opened, range: &Range<u64>) -> Result<(), BlobsError> {
    let expected = range.end - range.start;
    if opened.length != expected {
        let length = opened.length;
        return Err(BlobsError::Corrupt(format!(
            "{name} gives {length} bytes instead of {expected}"
        )));
    }
    Ok(())
}

/// A read that is running.
struct Reader {
    store: Store,
    name: String,
    etag: String,
    body: ObjectStream,
    next: u64,
    end: u64,
    idle: Duration,
    continuations: u32,
    /// The checksum so far, and what it must be in the end.
    check: Option<(crc32fast::Hasher, u32)>,
    _running: Running,
}

impl Reader {
    fn into_stream(self) -> ByteStream<'static> {
        let pieces = futures::stream::try_unfold(self, |mut reader| async move {
            let piece = reader.piece().await?;
            Ok(piece.map(|piece| (piece, reader)))
        });
        pieces.boxed()
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, BlobsError> {
        while self.next < self.end {
            let why = match tokio::time::timeout(self.idle, self.body.next()).await {
                Ok(Some(Ok(piece))) if piece.is_empty() => continue,
                Ok(Some(Ok(piece))) => return self.hand_out(piece).map(Some),
                Ok(Some(Err(error))) => error.to_string(),
                Ok(None) => "it ended early".to_owned(),
                Err(_) => "nothing came for too long".to_owned(),
            };
            self.go_on(why).await?;
        }
        Ok(None)
    }

    fn hand_out(&mut self, piece: Bytes) -> Result<Bytes, BlobsError> {
        self.next += piece.len() as u64;
        if self.next > self.end {
            return Err(BlobsError::Corrupt(format!(
                "{} is longer than the blob",
                self.name
            )));
        }
        if let Some((hasher, _)) = &mut self.check {
            hasher.update(&piece);
        }
        // Before the last piece is out: whoever has all of it has what was stored.
        if self.next == self.end
            && let Some((hasher, expected)) = self.check.take()
            && hasher.finalize() != expected
        {
            let damaged = format!("the content of {} is not what was stored", self.name);
            tracing::error!(damaged, "a blob is damaged");
            return Err(BlobsError::Corrupt(damaged));
        }
        Ok(piece)
    }

    /// Opens the rest anew.
    async fn go_on(&mut self, why: String) -> Result<(), BlobsError> {
        metrics::cut();
        let cut = |why: &str| BlobsError::Unavailable(format!("get_object: {why}"));
        if self.continuations == 0 {
            return Err(cut(&why));
        }
        self.continuations -= 1;
        tracing::debug!(why, "a read was cut and goes on");
        let rest = self.next..self.end;
        let opened = self
            .store
            .get(&self.name, Some(&rest), Some(&self.etag))
            .await?;
        let opened = opened.ok_or_else(|| cut("the object is gone"))?;
        check_length(&self.name, &opened, &rest)?;
        self.body = opened.body;
        Ok(())
    }
}
