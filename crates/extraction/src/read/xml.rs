//! XML by its events. A document type is refused: entities are how small files become large and
//! how files of others are read, and no Office document has one.

use std::io::BufRead;

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use super::{archive, broken};
use crate::Failure;

/// Deeper than any real document.
const DEEPEST: usize = 1_000;

/// What readers of a format want to know.
pub(super) enum Node<'n> {
    /// An element begins; its local name.
    Start(&'n str, &'n BytesStart<'n>),
    /// An element ends.
    End(&'n str),
    /// Text, references resolved.
    Text(&'n str),
}

/// Calls `each` for every element and text of the document.
pub(super) fn walk(
    source: impl BufRead,
    mut each: impl FnMut(Node<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut reader = Reader::from_reader(source);
    let mut buffer = Vec::new();
    let mut depth = 0_usize;
    loop {
        buffer.clear();
        let event = reader
            .read_event_into(&mut buffer)
            .map_err(|error| failure(&error))?;
        match event {
            Event::Start(start) => {
                depth += 1;
                if depth > DEEPEST {
                    return Err(broken("elements nested too deep"));
                }
                each(Node::Start(local(&start)?, &start))?;
            }
            Event::Empty(start) => {
                let name = local(&start)?;
                each(Node::Start(name, &start))?;
                each(Node::End(name))?;
            }
            Event::End(end) => {
                depth = depth.saturating_sub(1);
                let name = end.local_name();
                each(Node::End(name.as_ref()))?;
            }
            Event::Text(text) => each(Node::Text(&text.xml_content(XmlVersion::Implicit1_0)))?,
            Event::CData(text) => each(Node::Text(&text.xml_content(XmlVersion::Implicit1_0)))?,
            Event::GeneralRef(reference) => {
                let resolved = match reference.resolve_char_ref() {
                    Ok(Some(c)) => Some(c),
                    Ok(None) => predefined(&reference),
                    Err(_) => None,
                };
                let c = resolved.ok_or_else(|| broken("an unknown entity"))?;
                each(Node::Text(c.encode_utf8(&mut [0; 4])))?;
            }
            Event::DocType(_) => return Err(broken("a document type in an Office document")),
            Event::Eof => return Ok(()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

fn local<'s>(start: &'s BytesStart<'_>) -> Result<&'s str, Failure> {
    Ok(start.local_name().into_inner())
}

fn predefined(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

/// The value of an attribute by its local name.
pub(super) fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    start.attributes().flatten().find_map(|attribute| {
        let found = attribute.key.local_name().into_inner() == name;
        found
            .then(|| attribute.normalized_value(XmlVersion::Implicit1_0).ok())
            .flatten()
            .map(|value| value.into_owned())
    })
}

fn failure(error: &quick_xml::Error) -> Failure {
    match error {
        quick_xml::Error::Io(error) => archive::reading(error),
        other => broken(format!("not XML: {other}")),
    }
}
