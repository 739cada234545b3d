//! What comes out of a document.

use serde::{Deserialize, Serialize};

use crate::Confinement;

/// One page, slide, or stretch of a document without pages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Page {
    /// From 1; 0 where the document has no pages.
    pub number: u32,
    /// Headings and paragraphs, in reading order.
    pub blocks: Vec<Block>,
}

/// A heading or a paragraph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Whether it is a heading.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub heading: bool,
    /// Its text, in logical order, NFC.
    pub text: String,
}

impl Block {
    /// A paragraph.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            heading: false,
            text: text.into(),
        }
    }

    /// A heading.
    pub fn heading(text: impl Into<String>) -> Self {
        Self {
            heading: true,
            text: text.into(),
        }
    }
}

/// Why a document has no text, or not all of it. A reason is final: reading the same bytes again
/// ends the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A password is needed.
    Encrypted,
    /// Pages without any text: a scan.
    NoTextLayer,
    /// It is not what it says it is, or is damaged, or crashed its reader.
    Broken,
    /// More bytes, unpacked bytes or characters than allowed.
    TooLarge,
    /// More pages than allowed.
    TooManyPages,
    /// Reading took longer than allowed.
    TimedOut,
    /// Reading took more memory than allowed.
    OutOfMemory,
    /// A kind of document that is not read.
    Unsupported,
}

impl Reason {
    /// The name in events and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Encrypted => "encrypted",
            Self::NoTextLayer => "no_text_layer",
            Self::Broken => "broken",
            Self::TooLarge => "too_large",
            Self::TooManyPages => "too_many_pages",
            Self::TimedOut => "timed_out",
            Self::OutOfMemory => "out_of_memory",
            Self::Unsupported => "unsupported",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A reason with what the reader said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The reason.
    pub reason: Reason,
    /// For operators; may hold pieces of the document, so it is not shown to others.
    pub detail: String,
}

impl Failure {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

/// How an extraction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Pages that were given, blank ones too; 0 for a document without pages.
    pub pages: u32,
    /// Why there are no more, where that is not simply the end.
    pub failure: Option<Failure>,
    /// What confined the child; none where it did not come that far.
    pub confinement: Option<Confinement>,
}

/// Why nothing can be said about the document; try again, or mend the machine.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The child could not be started, or is not the program that it should be.
    #[error("the extraction program does not work: {0}")]
    Program(String),
    /// The kernel cannot confine the child, and `require_confinement` is set.
    #[error("the extraction program cannot be confined: {0}")]
    Unconfined(String),
    /// The content could not be read.
    #[error("the content could not be read: {0}")]
    Content(String),
}
