//! What content says that it is.

use file_format::FileFormat;
use serde::{Deserialize, Serialize};

/// What kind of content it is, as far as the rules care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shape {
    /// No bytes at all.
    Empty,
    /// Text of whatever kind: what it means is for its name to say.
    Text,
    /// Something with a signature; the media type says what.
    Known,
    /// A ZIP archive whose list of entries could not be read.
    DamagedZip,
    /// Bytes without a signature.
    Unknown,
}

/// What was found by looking at the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sniffed {
    pub(crate) shape: Shape,
    /// The media type by content alone.
    pub(crate) media_type: String,
    /// Whether what was seen of a text is UTF-8.
    pub(crate) utf8: bool,
}

/// How many bytes from the start are looked at.
pub(crate) const HEAD_BYTES: usize = 64 * 1024;
/// Readers of PDF look for the header in so many bytes (ISO 32000-2, annex I).
const PDF_HEADER_WITHIN: usize = 1_024;

impl Sniffed {
    fn new(shape: Shape, media_type: &str) -> Self {
        Self {
            shape,
            media_type: media_type.to_owned(),
            utf8: false,
        }
    }

    /// What the start of the content says, where that is enough. Containers need a look inside: see [`Inside`].
    pub(crate) fn by_head(head: &[u8]) -> Result<Self, Inside> {
        if head.is_empty() {
            return Ok(Self::new(Shape::Empty, "application/x-empty"));
        }
        if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
            return Err(Inside::Zip);
        }
        let start = &head[..head.len().min(PDF_HEADER_WITHIN)];
        if start.windows(5).any(|window| window == b"%PDF-") {
            return Ok(Self::new(Shape::Known, "application/pdf"));
        }
        if head.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
            return Err(Inside::CompoundFile);
        }
        // Before signatures: some of them are ordinary words (`true`, `BM`, `II`).
        let utf8 = is_utf8_text(head);
        if utf8 || has_utf16_mark(head) {
            return Ok(Self {
                utf8,
                ..Self::new(Shape::Text, text_type(head))
            });
        }
        let format = FileFormat::from_bytes(head);
        if !matches!(
            format,
            FileFormat::ArbitraryBinaryData | FileFormat::PlainText | FileFormat::Empty
        ) {
            return Ok(Self::new(Shape::Known, format.media_type()));
        }
        if is_legacy_text(head) {
            return Ok(Self::new(Shape::Text, "text/plain"));
        }
        Ok(Self::new(Shape::Unknown, "application/octet-stream"))
    }

    /// Something with a signature.
    pub(crate) fn known(media_type: &str) -> Self {
        Self::new(Shape::Known, media_type)
    }

    /// A ZIP archive that cannot be read.
    pub(crate) fn damaged_zip() -> Self {
        Self::new(Shape::DamagedZip, "application/zip")
    }
}

/// What must be looked at beyond the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inside {
    /// The entries of a ZIP archive.
    Zip,
    /// The directory of an OLE compound file, as old office programs write it.
    CompoundFile,
}

/// The media type of a ZIP archive with these entries; `mimetype` is what the entry of that name holds.
pub(crate) fn zip_type<'a>(
    names: impl Iterator<Item = &'a str>,
    mimetype: Option<&str>,
) -> &'static str {
    const OPEN_DOCUMENT: &[&str] = &[
        "application/epub+zip",
        "application/vnd.oasis.opendocument.text",
        "application/vnd.oasis.opendocument.presentation",
        "application/vnd.oasis.opendocument.spreadsheet",
        "application/vnd.oasis.opendocument.graphics",
        "application/vnd.oasis.opendocument.formula",
    ];
    if let Some(found) =
        mimetype.and_then(|text| OPEN_DOCUMENT.iter().find(|known| **known == text.trim()))
    {
        return found;
    }
    let (mut is_office, mut part) = (false, None);
    for name in names {
        match name {
            "[Content_Types].xml" => is_office = true,
            "META-INF/MANIFEST.MF" => part = part.or(Some("application/java-archive")),
            _ if name.starts_with("word/") => part = Some(super::media::DOCX),
            _ if name.starts_with("ppt/") => part = Some(super::media::PPTX),
            _ if name.starts_with("xl/") => part = Some(super::media::XLSX),
            _ => {}
        }
    }
    match part {
        Some(jar @ "application/java-archive") => jar,
        Some(office) if is_office => office,
        _ => "application/zip",
    }
}

/// UTF-8 without control characters; the last character may be cut off.
fn is_utf8_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.chars().any(|c| c.is_control() && !is_text_control(c))
}

/// Tab, line ends, form feed, and the escape of coloured terminal output.
fn is_text_control(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{c}' | '\u{1b}' | '\u{85}')
}

fn has_utf16_mark(head: &[u8]) -> bool {
    head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff")
}

/// ISO 8859, Windows-1252 or -1256: bytes without controls, most of them ASCII.
fn is_legacy_text(head: &[u8]) -> bool {
    let odd = head
        .iter()
        .any(|byte| *byte == 0x7f || (*byte < 0x20 && !is_text_control(char::from(*byte))));
    // Text has spaces and lines; compressed data of any length has controls.
    !odd && head.iter().any(u8::is_ascii_whitespace)
}

fn text_type(head: &[u8]) -> &'static str {
    let start = String::from_utf8_lossy(&head[..head.len().min(256)]).to_ascii_lowercase();
    let start = start.trim_start_matches('\u{feff}').trim_start();
    match start {
        _ if start.starts_with("<!doctype html") || start.starts_with("<html") => "text/html",
        _ if start.starts_with("<svg") => "image/svg+xml",
        _ if start.starts_with("<?xml") => "text/xml",
        _ if start.starts_with("{\\rtf") => "application/rtf",
        _ => "text/plain",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape(head: &[u8]) -> (Shape, String) {
        let sniffed = Sniffed::by_head(head).unwrap();
        (sniffed.shape, sniffed.media_type)
    }

    #[test]
    fn signatures_are_known() {
        assert_eq!(
            shape(b"%PDF-1.7\nrest"),
            (Shape::Known, "application/pdf".into())
        );
        assert_eq!(
            shape(b"\n\njunk %PDF-1.4"),
            (Shape::Known, "application/pdf".into())
        );
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        assert_eq!(shape(png), (Shape::Known, "image/png".into()));
        assert_eq!(
            shape(b"\xff\xd8\xff\xe0\0\x10JFIF\0"),
            (Shape::Known, "image/jpeg".into())
        );
        assert_eq!(Sniffed::by_head(b"PK\x03\x04rest"), Err(Inside::Zip));
        assert_eq!(
            Sniffed::by_head(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
            Err(Inside::CompoundFile)
        );
    }

    #[test]
    fn text_is_text_even_where_it_begins_like_a_signature() {
        for text in [
            "true story",
            "BM is a bitmap",
            "MZ",
            "ID3 tags",
            "GIF89a",
            "محاضرة",
            "été\r\n\tx",
        ] {
            assert_eq!(shape(text.as_bytes()).0, Shape::Text, "{text}");
        }
        assert_eq!(
            shape(b"<!DOCTYPE html><p>"),
            (Shape::Text, "text/html".into())
        );
        assert_eq!(shape(b"\xff\xfet\0e\0x\0t\0").0, Shape::Text);
        assert_eq!(shape(b"cours d'\xe9t\xe9 \xe0 Rabat\n").0, Shape::Text);
        let cut = &"ééé".as_bytes()[..5];
        assert_eq!(shape(cut).0, Shape::Text);
    }

    #[test]
    fn bytes_without_meaning_are_unknown() {
        assert_eq!(shape(b"\x01\x02\x03\x04\x05\x06\x07").0, Shape::Unknown);
        assert_eq!(shape(b"").0, Shape::Empty);
    }

    #[test]
    fn archives_are_told_apart_by_their_entries() {
        let of = |names: &[&'static str], mimetype| zip_type(names.iter().copied(), mimetype);
        assert_eq!(
            of(
                &["[Content_Types].xml", "_rels/.rels", "word/document.xml"],
                None
            ),
            super::super::media::DOCX
        );
        assert_eq!(
            of(&["[Content_Types].xml", "ppt/presentation.xml"], None),
            super::super::media::PPTX
        );
        assert_eq!(
            of(&["[Content_Types].xml", "xl/workbook.xml"], None),
            super::super::media::XLSX
        );
        assert_eq!(of(&["word/notes.txt"], None), "application/zip");
        assert_eq!(
            of(&["mimetype"], Some("application/epub+zip\n")),
            "application/epub+zip"
        );
        assert_eq!(
            of(&["mimetype"], Some("application/x-evil")),
            "application/zip"
        );
        assert_eq!(
            of(&["META-INF/MANIFEST.MF", "A.class"], None),
            "application/java-archive"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(head in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let _ = Sniffed::by_head(&head);
        }
    }
}
