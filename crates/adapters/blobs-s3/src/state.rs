//! What is written down about an upload, and the rules of changing it. No requests here.

use chrono::{DateTime, Utc};
use riwaq_blobs::{BlobInfo, BlobKey, BlobsError, Fence, Upload, UploadId};
use serde::{Deserialize, Serialize};

use crate::documents::Document;
use crate::sha256::RunningSha256;

/// The most parts of a multipart upload (S3's rule).
const MAX_PART_NUMBER: i32 = 10_000;

/// How many part numbers a writer that was replaced may still be using: it sends one part at a time.
const NUMBERS_IN_FLIGHT: i32 = 2;

/// An upload. Its content is, in order, the parts of `multipart` and then `pieces`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UploadState {
    pub(crate) stamp: String,
    /// The key that the blob will have.
    pub(crate) key: BlobKey,
    pub(crate) fence: Fence,
    pub(crate) max_bytes: u64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
    /// How many bytes are durable.
    pub(crate) offset: u64,
    /// The digest of those bytes.
    pub(crate) sha256: RunningSha256,
    /// Their CRC-32.
    pub(crate) crc32: u32,
    /// The append that is running, once it has lasted a while.
    pub(crate) writer: Option<String>,
    /// Whether a completion is sending the last part.
    pub(crate) closing: bool,
    /// What is smaller than a part, as objects of its own.
    pub(crate) pieces: Vec<Piece>,
    /// The multipart upload, once there was enough for a part.
    pub(crate) multipart: Option<Multipart>,
    /// Names of objects for which a multipart upload was or will be begun.
    pub(crate) begun: Vec<String>,
    /// The number of the next part. Numbers are never used for two contents.
    pub(crate) next_part: i32,
    /// Whether a writer was replaced, so that objects may lie about that are named nowhere.
    pub(crate) untidy: bool,
    /// Set by the completion: from here on nothing of the content changes.
    pub(crate) sealed: Option<Sealed>,
    /// Set by abort and expiry: only tidying is left to do.
    pub(crate) aborted: bool,
}

/// Some bytes in an object of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Piece {
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

/// A multipart upload.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Multipart {
    /// The name of the object that it makes.
    pub(crate) name: String,
    pub(crate) upload_id: String,
    pub(crate) parts: Vec<Part>,
}

/// A part that the server has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    #[serde(rename = "n")]
    pub(crate) number: i32,
    #[serde(rename = "e")]
    pub(crate) etag: String,
    #[serde(rename = "c")]
    pub(crate) crc32: u32,
}

/// What the completion decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sealed {
    pub(crate) created_at: DateTime<Utc>,
    /// The name of the object that holds the content; none for no content.
    pub(crate) content: Option<String>,
}

impl Document for UploadState {
    fn stamp(&self) -> &str {
        &self.stamp
    }

    fn set_stamp(&mut self, stamp: String) {
        self.stamp = stamp;
    }
}

impl UploadState {
    pub(crate) fn new(
        max_bytes: u64,
        created_at: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Self {
        Self {
            stamp: String::new(),
            key: BlobKey::random(),
            fence: Fence(1),
            max_bytes,
            created_at,
            expires_at,
            offset: 0,
            sha256: RunningSha256::new(),
            crc32: 0,
            writer: None,
            closing: false,
            pieces: Vec::new(),
            multipart: None,
            begun: Vec::new(),
            next_part: 1,
            untidy: false,
            sealed: None,
            aborted: false,
        }
    }

    pub(crate) fn seen(&self, id: UploadId, completed: Option<BlobInfo>) -> Upload {
        Upload {
            id,
            fence: self.fence,
            offset: self.offset,
            max_bytes: self.max_bytes,
            created_at: self.created_at,
            expires_at: self.expires_at,
            completed,
        }
    }

    pub(crate) fn is_expired(&self, now: DateTime<Utc>) -> bool {
        now >= self.expires_at
    }

    pub(crate) fn check_alive(&self, now: DateTime<Utc>) -> Result<(), BlobsError> {
        if self.aborted || self.is_expired(now) {
            return Err(BlobsError::UploadNotFound);
        }
        Ok(())
    }

    /// Whether the holder of `fence` may begin to change the content now.
    pub(crate) fn check_writable(
        &self,
        fence: Fence,
        now: DateTime<Utc>,
    ) -> Result<(), BlobsError> {
        self.check_alive(now)?;
        self.check_holder(fence)?;
        if self.writer.is_some() {
            return Err(BlobsError::Busy);
        }
        Ok(())
    }

    /// Whether the append `writer` that began at `offset` may go on.
    pub(crate) fn check_writing(
        &self,
        fence: Fence,
        writer: &str,
        offset: u64,
    ) -> Result<(), BlobsError> {
        if self.aborted {
            return Err(BlobsError::UploadNotFound);
        }
        self.check_holder(fence)?;
        match &self.writer {
            Some(other) if other != writer => Err(BlobsError::Busy),
            _ if self.offset != offset => Err(BlobsError::OffsetMismatch {
                durable: self.offset,
            }),
            _ => Ok(()),
        }
    }

    fn check_holder(&self, fence: Fence) -> Result<(), BlobsError> {
        if self.fence != fence {
            return Err(BlobsError::Fenced);
        }
        if self.sealed.is_some() {
            return Err(BlobsError::AlreadyComplete);
        }
        Ok(())
    }

    /// Shuts out the writer before.
    pub(crate) fn take_over(&mut self) {
        self.fence.0 += 1;
        if self.sealed.is_some() {
            return;
        }
        self.untidy = true;
        if self.writer.take().is_some() {
            self.next_part += NUMBERS_IN_FLIGHT;
        }
        self.leave_closing();
    }

    /// What a completion may still be sending gets no part in what comes now.
    pub(crate) fn leave_closing(&mut self) {
        if std::mem::take(&mut self.closing) {
            self.next_part += NUMBERS_IN_FLIGHT;
        }
    }

    /// The number of the next part.
    pub(crate) fn part_number(&self) -> Result<i32, BlobsError> {
        if self.next_part > MAX_PART_NUMBER {
            // Reached only by thousands of interrupted appends to one upload.
            return Err(BlobsError::Unavailable(
                "this upload has used up its parts; begin another".into(),
            ));
        }
        Ok(self.next_part)
    }

    pub(crate) fn add_part(&mut self, part: Part) {
        self.next_part = part.number + 1;
        if let Some(multipart) = &mut self.multipart {
            multipart.parts.push(part);
        }
    }

    /// Ends the upload: its content is that of `content`.
    pub(crate) fn seal(&mut self, now: DateTime<Utc>, content: Option<String>) {
        self.closing = false;
        self.sealed = Some(Sealed {
            created_at: now,
            content,
        });
    }

    /// The objects of this upload that are named here, except `keep`.
    pub(crate) fn leftovers(&self, keep: Option<&str>) -> Vec<&str> {
        let names = self.pieces.iter().map(|piece| piece.name.as_str());
        names.filter(|name| Some(*name) != keep).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn state() -> UploadState {
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        UploadState::new(100, start, start + Duration::from_secs(60))
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_030, 0).unwrap()
    }

    #[test]
    fn a_take_over_shuts_out_the_writer_and_leaves_it_its_part_numbers() {
        let mut state = state();
        state.writer = Some("one".into());
        let before = state.next_part;
        state.take_over();
        assert_eq!(state.fence, Fence(2));
        assert!(state.next_part >= before + NUMBERS_IN_FLIGHT && state.untidy);
        assert!(matches!(
            state.check_writing(Fence(1), "one", 0),
            Err(BlobsError::Fenced)
        ));
        assert!(state.check_writable(Fence(2), now()).is_ok());
    }

    #[test]
    fn refusals_come_in_the_order_of_the_port() {
        let mut state = state();
        state.writer = Some("one".into());
        assert!(matches!(
            state.check_writable(Fence(9), now()),
            Err(BlobsError::Fenced)
        ));
        assert!(matches!(
            state.check_writable(Fence(1), now()),
            Err(BlobsError::Busy)
        ));
        assert!(matches!(
            state.check_writing(Fence(1), "two", 7),
            Err(BlobsError::Busy)
        ));
        assert!(matches!(
            state.check_writing(Fence(1), "one", 7),
            Err(BlobsError::OffsetMismatch { durable: 0 })
        ));
        state.seal(now(), None);
        assert!(matches!(
            state.check_writable(Fence(1), now()),
            Err(BlobsError::AlreadyComplete)
        ));
        assert!(matches!(
            state.check_writable(Fence(2), now()),
            Err(BlobsError::Fenced)
        ));
        let later = now() + Duration::from_secs(30);
        assert!(matches!(
            state.check_writable(Fence(2), later),
            Err(BlobsError::UploadNotFound)
        ));
    }

    #[test]
    fn a_number_that_a_completion_may_be_using_is_left_alone() {
        let mut state = state();
        state.closing = true;
        let number = state.part_number().unwrap();
        state.leave_closing();
        assert!(state.part_number().unwrap() > number);
        let after = state.part_number().unwrap();
        state.leave_closing();
        assert_eq!(state.part_number().unwrap(), after);
        state.next_part = MAX_PART_NUMBER + 1;
        assert!(state.part_number().is_err());
    }

    #[test]
    fn a_state_is_read_back_as_it_was_written() {
        let mut state = state();
        state.sha256.update(b"some bytes");
        state.multipart = Some(Multipart {
            name: "n".into(),
            upload_id: "u".into(),
            parts: vec![Part {
                number: 3,
                etag: "\"e\"".into(),
                crc32: 7,
            }],
        });
        state.pieces.push(Piece {
            name: "p".into(),
            bytes: 5,
        });
        let written = serde_json::to_string(&state).unwrap();
        let read: UploadState = serde_json::from_str(&written).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), written);
        assert_eq!(read.leftovers(Some("p")), Vec::<&str>::new());
        assert_eq!(read.leftovers(None), vec!["p"]);
    }
}
