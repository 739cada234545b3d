//! DOCX (ECMA-376, WordprocessingML). It has no pages: where they break is up to who shows it.

use std::collections::HashSet;

use super::archive::Archive;
use super::xml::{Node, attribute, walk};
use crate::Failure;
use crate::sink::Sink;

pub(super) fn read(bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), Failure> {
    let mut archive = Archive::open(bytes, sink.limits())?;
    let headings = heading_styles(&mut archive)?;
    sink.begin_page(0)?;
    paragraphs(archive.needed("word/document.xml")?, &headings, sink)?;
    for notes in ["word/footnotes.xml", "word/endnotes.xml"] {
        if let Some(entry) = archive.entry(notes)? {
            paragraphs(entry, &headings, sink)?;
        }
    }
    Ok(())
}

/// The ids of styles that make a heading. Ids are in the language of who wrote the document
/// (`Titre1`), names are not, and an outline level says it too.
fn heading_styles(archive: &mut Archive<'_>) -> Result<HashSet<String>, Failure> {
    let mut headings = HashSet::new();
    let Some(entry) = archive.entry("word/styles.xml")? else {
        return Ok(headings);
    };
    let mut style = String::new();
    walk(entry, |node| {
        match node {
            Node::Start("style", start) => {
                style = attribute(start, "styleId").unwrap_or_default();
            }
            Node::Start("name", start) if !style.is_empty() => {
                let name = attribute(start, "val").unwrap_or_default().to_lowercase();
                if name.starts_with("heading") || name == "title" {
                    headings.insert(style.clone());
                }
            }
            // 9 is "body text".
            Node::Start("outlineLvl", start)
                if !style.is_empty()
                    && attribute(start, "val").is_some_and(|level| level != "9") =>
            {
                headings.insert(style.clone());
            }
            Node::End("style") => style.clear(),
            _ => {}
        }
        Ok(())
    })?;
    Ok(headings)
}

#[derive(Default)]
struct Paragraph {
    text: String,
    heading: bool,
}

fn paragraphs(
    source: impl std::io::BufRead,
    headings: &HashSet<String>,
    sink: &mut Sink<'_>,
) -> Result<(), Failure> {
    // A text box is a paragraph within a paragraph.
    let mut open: Vec<Paragraph> = Vec::new();
    let mut in_text = 0_u32;
    // The same drawing once more, for old programs.
    let mut in_fallback = 0_u32;
    walk(source, |node| {
        match node {
            Node::Start("Fallback", _) => in_fallback += 1,
            Node::End("Fallback") => in_fallback = in_fallback.saturating_sub(1),
            _ if in_fallback > 0 => {}
            Node::Start("p", _) => open.push(Paragraph::default()),
            Node::End("p") => {
                let Some(paragraph) = open.pop() else {
                    return Ok(());
                };
                return if paragraph.heading {
                    sink.heading(&paragraph.text)
                } else {
                    sink.text(&paragraph.text)
                };
            }
            Node::Start("pStyle", start) => {
                let heading =
                    attribute(start, "val").is_some_and(|style| headings.contains(&style));
                if let Some(paragraph) = open.last_mut() {
                    paragraph.heading |= heading;
                }
            }
            Node::Start("t", _) => in_text += 1,
            Node::End("t") => in_text = in_text.saturating_sub(1),
            Node::Start(mark, _) => push(&mut open, mark_text(mark)),
            Node::Text(text) if in_text > 0 => push(&mut open, text),
            _ => {}
        }
        Ok(())
    })
}

fn push(open: &mut [Paragraph], text: &str) {
    if let Some(paragraph) = open.last_mut() {
        paragraph.text.push_str(text);
    }
}

fn mark_text(name: &str) -> &'static str {
    match name {
        "tab" | "br" | "cr" | "ptab" => " ",
        "noBreakHyphen" => "-",
        _ => "",
    }
}
