//! Looking at what was received: its start, and inside of containers.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;
use file_format::FileFormat;
use futures::future::BoxFuture;
use riwaq_blobs::{BlobInfo, BlobKey, Blobs, BlobsError, ByteRange};

use crate::domain::sniffed::{Inside, Sniffed, zip_type};

/// How much is read at once, in bytes.
const WINDOW_BYTES: u64 = 64 * 1024;
/// How much is read altogether, in bytes: a list of entries that is longer is not looked through.
const BUDGET_BYTES: u64 = 4 * 1024 * 1024;
/// The longest media type inside of an archive.
const MAX_MIMETYPE_BYTES: u64 = 256;

/// What the content is, by its own bytes; `head` is how it starts.
pub(crate) async fn inspect(
    blobs: &Arc<dyn Blobs>,
    blob: &BlobInfo,
    head: &[u8],
) -> Result<Sniffed, BlobsError> {
    let inside = match Sniffed::by_head(head) {
        Ok(sniffed) => return Ok(sniffed),
        Err(inside) => inside,
    };
    let (blobs, key, size) = (Arc::clone(blobs), blob.key, blob.size);
    let runtime = tokio::runtime::Handle::current();
    let looked = tokio::task::spawn_blocking(move || {
        let fetch = |range: ByteRange| runtime.block_on(fetch(&blobs, key, range));
        let mut reader = Window::new(size, &fetch);
        let sniffed = match inside {
            Inside::Zip => inside_zip(&mut reader),
            Inside::CompoundFile => inside_compound_file(&mut reader),
        };
        // Content that cannot be read is one thing, a store that cannot be read another.
        reader.failed.map_or(Ok(sniffed), Err)
    });
    looked
        .await
        .unwrap_or_else(|error| Err(BlobsError::Unavailable(error.to_string())))
}

fn fetch(
    blobs: &Arc<dyn Blobs>,
    key: BlobKey,
    range: ByteRange,
) -> BoxFuture<'_, Result<Bytes, BlobsError>> {
    Box::pin(async move {
        blobs
            .open(&key, range)
            .await?
            .read_to_end(WINDOW_BYTES)
            .await
    })
}

fn inside_zip(reader: &mut Window<'_>) -> Sniffed {
    let Ok(mut archive) = zip::ZipArchive::new(reader) else {
        return Sniffed::damaged_zip();
    };
    let mimetype = archive.by_name("mimetype").ok().and_then(|entry| {
        let mut text = String::new();
        entry
            .take(MAX_MIMETYPE_BYTES)
            .read_to_string(&mut text)
            .ok()
            .map(|_| text)
    });
    let names: Vec<String> = archive
        .file_names()
        .filter_map(|name| Some(name.ok()?.into_owned()))
        .collect();
    Sniffed::known(zip_type(
        names.iter().map(String::as_str),
        mimetype.as_deref(),
    ))
}

fn inside_compound_file(reader: &mut Window<'_>) -> Sniffed {
    let format = FileFormat::from_reader(reader).unwrap_or(FileFormat::CompoundFileBinary);
    match format {
        FileFormat::ArbitraryBinaryData | FileFormat::PlainText | FileFormat::Empty => {
            Sniffed::known(FileFormat::CompoundFileBinary.media_type())
        }
        format => Sniffed::known(format.media_type()),
    }
}

type Fetch<'a> = dyn Fn(ByteRange) -> Result<Bytes, BlobsError> + 'a;

/// A blob as a file of which only so much may be read.
struct Window<'a> {
    size: u64,
    position: u64,
    start: u64,
    bytes: Bytes,
    budget: u64,
    fetch: &'a Fetch<'a>,
    failed: Option<BlobsError>,
}

impl<'a> Window<'a> {
    fn new(size: u64, fetch: &'a Fetch<'a>) -> Self {
        Self {
            size,
            position: 0,
            start: 0,
            bytes: Bytes::new(),
            budget: BUDGET_BYTES,
            fetch,
            failed: None,
        }
    }

    /// What is loaded from the position on.
    fn loaded(&self) -> &[u8] {
        let offset = self
            .position
            .checked_sub(self.start)
            .and_then(|offset| usize::try_from(offset).ok());
        offset
            .and_then(|offset| self.bytes.get(offset..))
            .unwrap_or_default()
    }

    fn load(&mut self) -> io::Result<()> {
        // Archives are read backwards from their end: half of the window lies before the position.
        let start = self.position.saturating_sub(WINDOW_BYTES / 2);
        let last = (start + WINDOW_BYTES).min(self.size) - 1;
        let length = last + 1 - start;
        self.budget = self
            .budget
            .checked_sub(length)
            .ok_or_else(|| io::Error::other("too much to look through"))?;
        self.bytes = (self.fetch)(ByteRange::Span(start, last)).map_err(|error| {
            let text = error.to_string();
            self.failed = Some(error);
            io::Error::other(text)
        })?;
        self.start = start;
        Ok(())
    }
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.size || buffer.is_empty() {
            return Ok(0);
        }
        if self.loaded().is_empty() {
            self.load()?;
        }
        let loaded = self.loaded();
        let read = loaded.len().min(buffer.len());
        buffer[..read].copy_from_slice(&loaded[..read]);
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};
    use std::time::Duration;

    use futures::StreamExt;
    use riwaq_blobs::{Expected, MemoryBlobs, NewUpload};
    use riwaq_clock::SystemClock;
    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::domain::media::{DOCX, XLSX};
    use crate::domain::sniffed::{HEAD_BYTES, Shape};

    async fn look(bytes: Vec<u8>) -> Sniffed {
        let blobs: Arc<dyn Blobs> = Arc::new(MemoryBlobs::new(SystemClock::shared()));
        let new = NewUpload {
            max_bytes: 1 << 30,
            expires_after: Duration::from_secs(60),
        };
        let upload = blobs.begin(new).await.unwrap();
        let head = bytes[..bytes.len().min(HEAD_BYTES)].to_vec();
        let body = futures::stream::iter([Ok(Bytes::from(bytes))]).boxed();
        blobs
            .append(&upload.id, upload.fence, 0, body)
            .await
            .unwrap();
        let info = blobs
            .complete(&upload.id, upload.fence, Expected::default())
            .await
            .unwrap();
        inspect(&blobs, &info, &head).await.unwrap()
    }

    fn archive(entries: &[(&str, usize)]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, size) in entries {
            writer
                .start_file(*name, SimpleFileOptions::default())
                .unwrap();
            writer.write_all(&vec![b'x'; *size]).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[tokio::test]
    async fn office_documents_are_known_by_their_entries() {
        let docx = archive(&[
            ("[Content_Types].xml", 10),
            ("word/media/a.bin", 300_000),
            ("word/document.xml", 99),
        ]);
        assert_eq!(look(docx).await, Sniffed::known(DOCX));
        let xlsx = archive(&[("xl/workbook.xml", 10), ("[Content_Types].xml", 10)]);
        assert_eq!(look(xlsx).await, Sniffed::known(XLSX));
        assert_eq!(
            look(archive(&[("a.txt", 5)])).await,
            Sniffed::known("application/zip")
        );
    }

    #[tokio::test]
    async fn an_archive_that_is_cut_off_is_damaged() {
        let mut bytes = archive(&[("[Content_Types].xml", 10), ("word/document.xml", 100_000)]);
        bytes.truncate(bytes.len() - 30);
        assert_eq!(look(bytes).await.shape, Shape::DamagedZip);
    }

    #[tokio::test]
    async fn an_archive_with_too_many_entries_is_not_looked_through() {
        let names: Vec<String> = (0..8_000).map(|n| format!("{n:0>600}")).collect();
        let entries: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 0)).collect();
        assert_eq!(look(archive(&entries)).await.shape, Shape::DamagedZip);
    }

    #[tokio::test]
    async fn a_compound_file_that_says_nothing_more_is_still_one() {
        let mut bytes = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
        bytes.resize(4_096, 0);
        let sniffed = look(bytes).await;
        assert_eq!(
            (sniffed.shape, sniffed.media_type.as_str()),
            (Shape::Known, "application/x-cfb")
        );
    }
}
