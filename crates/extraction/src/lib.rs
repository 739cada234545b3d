//! Text out of documents, in a confined child process.
//!
//! Owns the readers of PDF, DOCX, PPTX, HTML, Markdown, plain text and notebooks; the child that
//! runs them (no file system, no network, limited memory, time and output); the parent that
//! starts it, feeds it and reads one line a page; and the cutting of pages into passages.
//! Must not know where files are kept or what is done with the text.
//!
//! A document is untrusted: it may be broken, encrypted, endless, or written to crash its reader.
//! Whatever it is, [`Extractor::extract`] comes back in bounded time with what was read and, where
//! it stopped, one of a closed set of [`Reason`]s. The child confines itself before it reads the
//! first byte, so nothing of that depends on the readers being right.
#![warn(missing_docs)]

pub mod child;
mod config;
mod confine;
mod format;
mod language;
mod model;
mod parent;
mod passages;
mod protocol;
mod read;
mod sink;

pub use config::{Config, Limits};
pub use confine::Confinement;
pub use format::Format;
pub use language::language_of;
pub use model::{Block, ExtractError, Failure, Page, Reason, Summary};
pub use parent::Extractor;
pub use passages::{Passage, Splitter};
