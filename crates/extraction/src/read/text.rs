//! Plain text: paragraphs are separated by empty lines, pages by form feeds.

use super::encoding;
use crate::Failure;
use crate::sink::Sink;

pub(super) fn read(bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), Failure> {
    let text = encoding::decode(bytes)?;
    let paged = text.trim_end().contains('\u{c}');
    for (number, page) in (1..).zip(text.split('\u{c}')) {
        if paged || number == 1 {
            sink.begin_page(if paged { number } else { 0 })?;
        }
        paragraphs(page, sink)?;
    }
    Ok(())
}

fn paragraphs(text: &str, sink: &mut Sink<'_>) -> Result<(), Failure> {
    let mut paragraph = String::new();
    for line in text.lines() {
        if line.trim().is_empty() {
            sink.lines(&std::mem::take(&mut paragraph))?;
        } else {
            paragraph.push_str(line);
            paragraph.push('\n');
        }
    }
    sink.lines(&paragraph)
}
