//! PPTX (ECMA-376, PresentationML): slides in the order they are shown, each with its notes.

use std::collections::HashMap;

use super::archive::Archive;
use super::xml::{Node, attribute, walk};
use crate::sink::Sink;
use crate::{Failure, Reason};

const PRESENTATION: &str = "ppt/presentation.xml";

pub(super) fn read(bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), Failure> {
    let mut archive = Archive::open(bytes, sink.limits())?;
    let slides = slides(&mut archive, sink.limits().pages)?;
    for (number, slide) in (1..).zip(slides) {
        sink.begin_page(number)?;
        if let Some(entry) = archive.entry(&slide)? {
            shapes(entry, sink, true)?;
        }
        let related = relations(&mut archive, &slide)?;
        let notes = related
            .into_values()
            .find(|(kind, _)| kind.ends_with("/notesSlide"));
        if let Some((_, notes)) = notes
            && let Some(entry) = archive.entry(&notes)?
        {
            shapes(entry, sink, false)?;
        }
    }
    Ok(())
}

/// The slides' entries in order.
fn slides(archive: &mut Archive<'_>, most: u32) -> Result<Vec<String>, Failure> {
    let related = relations(archive, PRESENTATION)?;
    let mut slides = Vec::new();
    walk(archive.needed(PRESENTATION)?, |node| {
        if let Node::Start("sldId", start) = node {
            // `id` and `r:id` have the same local name; the second is the relation.
            let relation = start
                .attributes()
                .flatten()
                .filter(|attribute| attribute.key.prefix().is_some())
                .find(|attribute| attribute.key.local_name().into_inner() == "id");
            let target = relation.and_then(|relation| related.get(relation.value.as_ref()));
            slides.extend(target.map(|(_, target)| target.clone()));
            if slides.len() > most as usize + 1 {
                return Err(Failure::new(
                    Reason::TooManyPages,
                    format!("more than {most} slides"),
                ));
            }
        }
        Ok(())
    })?;
    Ok(slides)
}

/// What an entry relates to: id → (type, entry).
fn relations(
    archive: &mut Archive<'_>,
    entry: &str,
) -> Result<HashMap<String, (String, String)>, Failure> {
    let (folder, name) = entry.rsplit_once('/').unwrap_or(("", entry));
    let mut related = HashMap::new();
    let Some(source) = archive.entry(&format!("{folder}/_rels/{name}.rels"))? else {
        return Ok(related);
    };
    walk(source, |node| {
        if let Node::Start("Relationship", start) = node
            && let (Some(id), Some(kind), Some(target)) = (
                attribute(start, "Id"),
                attribute(start, "Type"),
                attribute(start, "Target"),
            )
        {
            related.insert(id, (kind, resolve(folder, &target)));
        }
        Ok(())
    })?;
    Ok(related)
}

/// A target relative to a folder of the archive.
fn resolve(folder: &str, target: &str) -> String {
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute.to_owned();
    }
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// What a shape is a place for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Body,
    Title,
    /// Slide number, date, footer: the same on every slide.
    Furniture,
}

fn shapes(
    source: impl std::io::BufRead,
    sink: &mut Sink<'_>,
    has_title: bool,
) -> Result<(), Failure> {
    let mut place = Place::Body;
    let mut paragraph = String::new();
    let mut in_text = false;
    walk(source, |node| {
        match node {
            Node::Start("sp", _) => place = Place::Body,
            Node::Start("ph", start) => {
                place = match attribute(start, "type").as_deref() {
                    Some("title" | "ctrTitle") if has_title => Place::Title,
                    Some("sldNum" | "dt" | "ftr" | "hdr") => Place::Furniture,
                    _ => Place::Body,
                };
            }
            Node::Start("t", _) => in_text = true,
            Node::End("t") => in_text = false,
            Node::Start("br", _) => paragraph.push(' '),
            Node::Text(text) if in_text => paragraph.push_str(text),
            Node::End("p") => {
                let text = std::mem::take(&mut paragraph);
                return match place {
                    Place::Title => sink.heading(&text),
                    Place::Body => sink.text(&text),
                    Place::Furniture => Ok(()),
                };
            }
            _ => {}
        }
        Ok(())
    })
}
