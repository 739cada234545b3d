//! The blobs port: large immutable content by random key.
//!
//! Owns the contract ([`Blobs`]), the values that cross it, signed links ([`LinkSigner`]), the way unreferenced
//! blobs go away ([`mark_and_sweep`]), a version in memory ([`MemoryBlobs`]), seeded faults ([`FaultyBlobs`]) and the
//! [`conformance`] suite that every adapter passes. Must not know what a blob means to its owner: no names, courses
//! or people, except the opaque reference inside a signed link.
#![warn(missing_docs)]

pub mod conformance;
mod content;
mod error;
mod faults;
mod links;
mod memory;
mod port;
pub mod rules;
mod sweep;
mod types;

pub use content::{Content, ContentBody, FileStream, READ_BYTES};
pub use error::BlobsError;
pub use faults::{FaultPlan, FaultyBlobs};
pub use links::{Disposition, Link, LinkError, LinkKey, LinkMethod, LinkSigner};
pub use memory::MemoryBlobs;
pub use port::{Blobs, ByteStream, Presign};
pub use sweep::{Liveness, SweepReport, mark_and_sweep};
pub use types::{
    BlobInfo, BlobKey, ByteRange, DELETE_GRACE, Expected, Fence, MAX_LIST, NewUpload, Sha256,
    Sha256Hasher, Upload, UploadId,
};
