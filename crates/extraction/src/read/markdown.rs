//! Markdown.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::Failure;
use crate::sink::Sink;

pub(super) fn read(text: &str, sink: &mut Sink<'_>) -> Result<(), Failure> {
    sink.begin_page(0)?;
    blocks(text, sink)
}

/// Adds the blocks of a text to the page that is begun.
pub(super) fn blocks(text: &str, sink: &mut Sink<'_>) -> Result<(), Failure> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_MATH
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut block = String::new();
    let mut hidden = false;
    for event in Parser::new_ext(text, options) {
        match event {
            _ if hidden => hidden = !matches!(event, Event::End(TagEnd::MetadataBlock(_))),
            Event::Start(Tag::MetadataBlock(_)) => hidden = true,
            Event::Text(text)
            | Event::Code(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text) => block.push_str(&text),
            Event::SoftBreak => block.push(' '),
            Event::HardBreak => block.push('\n'),
            // What stands in a list item before a nested list is a block of its own.
            Event::Start(Tag::List(_) | Tag::Paragraph | Tag::CodeBlock(_)) => {
                sink.text(&std::mem::take(&mut block))?;
            }
            Event::End(TagEnd::Heading(_)) => sink.heading(&std::mem::take(&mut block))?,
            Event::End(TagEnd::CodeBlock) => sink.lines(&std::mem::take(&mut block))?,
            Event::End(TagEnd::TableCell) => block.push(' '),
            Event::End(
                TagEnd::Paragraph
                | TagEnd::Item
                | TagEnd::TableRow
                | TagEnd::TableHead
                | TagEnd::FootnoteDefinition,
            ) => sink.text(&std::mem::take(&mut block))?,
            _ => {}
        }
    }
    sink.text(&block)
}
