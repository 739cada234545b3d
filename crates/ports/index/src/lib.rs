//! The index port: what Riwaq asks of a full-text index, and what it is promised.
//!
//! Owns the model of what is indexed ([`Document`], [`Change`]), the question ([`Query`]), the
//! guarantees of [`Index`], the analysis of French, Arabic and English that every adapter shares
//! ([`analysis`]), a version in memory ([`MemoryIndex`]) and the [`conformance`] suite.
//! Must not know where text comes from, who asks, or how rights are decided: the caller brings
//! the set of courses that the reader may read, and that set is part of the question.
#![warn(missing_docs)]

pub mod analysis;
pub mod conformance;
mod error;
mod memory;
mod model;
mod port;

pub use error::IndexError;
pub use memory::MemoryIndex;
pub use model::{
    Change, Content, Document, Hit, Hits, Kind, Language, Outcome, Position, Query, Readable,
    Source, SourceKind, SourceState, Stats, limits,
};
pub use port::{InPlace, Index, Rebuilding};
