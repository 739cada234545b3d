//! PDF: glyphs with their places from hayro, put together to lines and paragraphs by us.

mod glyphs;
mod lines;
mod order;
mod paragraphs;

use hayro_interpret::hayro_syntax::{DecryptionError, LoadPdfError, Pdf};
use hayro_interpret::kurbo::{Affine, Rect};
use hayro_interpret::{Context, InterpreterCache, InterpreterSettings, interpret_page};

use super::broken;
use crate::sink::Sink;
use crate::{Failure, Reason};
use glyphs::GlyphCollector;
use paragraphs::BodySize;

/// How far into a file its header may stand (ISO 32000-1, implementation note 13).
const HEADER_WITHIN: usize = 1_024;

pub(super) fn read(content: Vec<u8>, sink: &mut Sink<'_>) -> Result<(), Failure> {
    let head = &content[..content.len().min(HEADER_WITHIN)];
    if !head.windows(5).any(|window| window == b"%PDF-") {
        return Err(broken("no PDF header"));
    }
    let pdf = Pdf::new(content).map_err(load_failure)?;
    let pages = pdf.pages();
    if pages.is_empty() {
        return Err(broken("no pages"));
    }
    let cache = InterpreterCache::new();
    let mut body = BodySize::default();
    for (number, page) in (1..).zip(pages.iter()) {
        sink.begin_page(number)?;
        let crop = page.intersected_crop_box();
        let visible = Rect::new(crop.x0, crop.y0, crop.x1, crop.y1);
        let mut context = Context::new(
            Affine::IDENTITY,
            visible,
            &cache,
            pdf.xref(),
            InterpreterSettings::default(),
        );
        let mut collector = GlyphCollector::new(visible);
        interpret_page(page, &mut context, &mut collector);
        let lines = lines::assemble(collector.into_glyphs());
        body.learn(&lines);
        for block in paragraphs::blocks(&lines, &body) {
            if block.heading {
                sink.heading(&block.text)?;
            } else {
                sink.text(&block.text)?;
            }
        }
    }
    if sink.is_empty() {
        return Err(Failure::new(Reason::NoTextLayer, "pages without text"));
    }
    Ok(())
}

fn load_failure(error: LoadPdfError) -> Failure {
    match error {
        LoadPdfError::Decryption(
            DecryptionError::PasswordProtected | DecryptionError::UnsupportedAlgorithm,
        ) => Failure::new(Reason::Encrypted, "a password is needed"),
        LoadPdfError::Decryption(other) => broken(format!("broken encryption: {other:?}")),
        LoadPdfError::Invalid => broken("not a PDF that can be read"),
    }
}
