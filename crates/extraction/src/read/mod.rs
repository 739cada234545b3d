//! The readers. They run in the child, on bytes that nobody vouches for.

mod archive;
mod docx;
mod encoding;
mod html;
mod markdown;
mod notebook;
mod pdf;
mod pptx;
mod text;
mod xml;

use crate::sink::Sink;
use crate::{Failure, Format, Reason};

/// Reads a document into the sink.
pub(crate) fn read(format: Format, content: Vec<u8>, sink: &mut Sink<'_>) -> Result<(), Failure> {
    match format {
        Format::Pdf => pdf::read(content, sink),
        Format::Docx => docx::read(&content, sink),
        Format::Pptx => pptx::read(&content, sink),
        Format::Html => html::read(&content, sink),
        Format::Markdown => markdown::read(&encoding::decode(&content)?, sink),
        Format::Text => text::read(&content, sink),
        Format::Notebook => notebook::read(&content, sink),
    }
}

fn broken(detail: impl Into<String>) -> Failure {
    Failure::new(Reason::Broken, detail)
}
