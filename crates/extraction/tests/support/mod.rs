//! Makes documents, and reads them in real children.
#![allow(dead_code, reason = "each test file uses its part")]
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::convert::Infallible;
use std::io::{Cursor, Write};

use bytes::Bytes;
use futures::stream;
use riwaq_clock::SystemClock;
use riwaq_extraction::{Config, ExtractError, Extractor, Format, Limits, Page, Reason, Summary};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Settings that start the child of this crate.
pub(crate) fn config(limits: Limits) -> Config {
    Config {
        program: env!("CARGO_BIN_EXE_riwaq-extract").into(),
        args: Vec::new(),
        limits,
        ..Config::default()
    }
}

pub(crate) fn extractor(limits: Limits) -> Extractor {
    Extractor::new(config(limits), SystemClock::shared()).expect("is configured")
}

/// What came out of a document.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) pages: Vec<Page>,
    pub(crate) summary: Summary,
}

impl Read {
    pub(crate) fn reason(&self) -> Option<Reason> {
        self.summary.failure.as_ref().map(|failure| failure.reason)
    }

    pub(crate) fn text(&self) -> String {
        let blocks = self.pages.iter().flat_map(|page| &page.blocks);
        blocks
            .map(|block| block.text.as_str())
            .collect::<Vec<_>>()
            .join("\n")
    }

    pub(crate) fn headings(&self) -> Vec<&str> {
        let blocks = self.pages.iter().flat_map(|page| &page.blocks);
        blocks
            .filter(|block| block.heading)
            .map(|block| block.text.as_str())
            .collect()
    }
}

pub(crate) async fn try_read(
    extractor: &Extractor,
    format: Format,
    content: &[u8],
) -> Result<Read, ExtractError> {
    let chunks: Vec<_> = content
        .chunks(64 * 1024)
        .map(|chunk| Ok::<_, Infallible>(Bytes::copy_from_slice(chunk)))
        .collect();
    let mut pages = Vec::new();
    let summary = extractor
        .extract(format, stream::iter(chunks), |page| pages.push(page))
        .await?;
    Ok(Read { pages, summary })
}

pub(crate) async fn read_with(limits: Limits, format: Format, content: &[u8]) -> Read {
    try_read(&extractor(limits), format, content)
        .await
        .expect("the child works")
}

pub(crate) async fn read(format: Format, content: &[u8]) -> Read {
    read_with(Limits::default(), format, content).await
}

/// An archive with these entries.
pub(crate) fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        zip.start_file(*name, SimpleFileOptions::default())
            .expect("begins");
        zip.write_all(content).expect("writes");
    }
    zip.finish().expect("ends").into_inner()
}

const WORD: &str = "xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\"";

/// A DOCX whose body is this XML, with a French heading style.
pub(crate) fn docx(body: &str) -> Vec<u8> {
    let document =
        format!("<?xml version=\"1.0\"?><w:document {WORD}><w:body>{body}</w:body></w:document>");
    let styles = format!(
        "<w:styles {WORD}><w:style w:styleId=\"Titre1\"><w:name w:val=\"heading 1\"/></w:style>\
         <w:style w:styleId=\"Normal\"><w:name w:val=\"Normal\"/></w:style></w:styles>"
    );
    archive(&[
        ("word/document.xml", document.as_bytes()),
        ("word/styles.xml", styles.as_bytes()),
    ])
}

/// A PPTX with slides of (title, body, notes).
pub(crate) fn pptx(slides: &[(&str, &str, &str)]) -> Vec<u8> {
    const NAMES: &str = "xmlns:a=\"http://schemas.openxmlformats.org/drawingml/2006/main\" \
        xmlns:p=\"http://schemas.openxmlformats.org/presentationml/2006/main\" \
        xmlns:r=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships\"";
    const KINDS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let shape = |kind: &str, text: &str| {
        format!(
            "<p:sp><p:nvSpPr><p:nvPr><p:ph type=\"{kind}\"/></p:nvPr></p:nvSpPr><p:txBody><a:p><a:r>\
             <a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>"
        )
    };
    let mut entries: Vec<(String, String)> = Vec::new();
    let (mut ids, mut relations) = (String::new(), String::new());
    // Stored in another order than they are shown.
    for (number, (title, body, notes)) in slides.iter().enumerate().rev() {
        let file = 100 - number;
        ids = format!("<p:sldId id=\"{}\" r:id=\"rId{file}\"/>{ids}", 256 + number);
        relations.push_str(&format!(
            "<Relationship Id=\"rId{file}\" Type=\"{KINDS}/slide\" Target=\"slides/slide{file}.xml\"/>"
        ));
        let shapes = [
            shape("title", title),
            shape("body", body),
            shape("sldNum", "7"),
        ]
        .concat();
        entries.push((
            format!("ppt/slides/slide{file}.xml"),
            format!("<p:sld {NAMES}>{shapes}</p:sld>"),
        ));
        entries.push((
            format!("ppt/slides/_rels/slide{file}.xml.rels"),
            format!(
                "<Relationships><Relationship Id=\"rId1\" Type=\"{KINDS}/notesSlide\" \
                 Target=\"../notesSlides/notes{file}.xml\"/></Relationships>"
            ),
        ));
        entries.push((
            format!("ppt/notesSlides/notes{file}.xml"),
            format!("<p:notes {NAMES}>{}</p:notes>", shape("body", notes)),
        ));
    }
    entries.push((
        "ppt/presentation.xml".to_owned(),
        format!("<p:presentation {NAMES}><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>"),
    ));
    entries.push((
        "ppt/_rels/presentation.xml.rels".to_owned(),
        format!("<Relationships>{relations}</Relationships>"),
    ));
    let entries: Vec<(&str, &[u8])> = entries
        .iter()
        .map(|(name, content)| (name.as_str(), content.as_bytes()))
        .collect();
    archive(&entries)
}

/// One object of a PDF after the other, and the table that says where they are.
pub(crate) struct Pdf {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

impl Pdf {
    pub(crate) fn new() -> Self {
        Self {
            bytes: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec(),
            places: Vec::new(),
        }
    }

    /// Adds the next object; its number, from 1.
    pub(crate) fn object(&mut self, content: &[u8]) -> usize {
        self.places.push(self.bytes.len());
        let number = self.places.len();
        self.bytes.extend(format!("{number} 0 obj\n").bytes());
        self.bytes.extend(content);
        self.bytes.extend(b"\nendobj\n");
        number
    }

    pub(crate) fn stream(&mut self, entries: &str, content: &[u8]) -> usize {
        let mut object =
            format!("<< /Length {} {entries} >>\nstream\n", content.len()).into_bytes();
        object.extend(content);
        object.extend(b"\nendstream");
        self.object(&object)
    }

    /// Ends the file; object 1 is the catalogue.
    pub(crate) fn finish(mut self, trailer: &str) -> Vec<u8> {
        let table = self.bytes.len();
        self.bytes
            .extend(format!("xref\n0 {}\n0000000000 65535 f \n", self.places.len() + 1).bytes());
        for place in &self.places {
            self.bytes.extend(format!("{place:010} 00000 n \n").bytes());
        }
        let size = self.places.len() + 1;
        self.bytes.extend(
            format!(
                "trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\nstartxref\n{table}\n%%EOF\n"
            )
            .bytes(),
        );
        self.bytes
    }
}

/// A PDF of French pages; each line is (size, text), and the first of a page is at its top.
pub(crate) fn pdf(pages: &[Vec<(u32, &str)>]) -> Vec<u8> {
    let mut pdf = Pdf::new();
    pdf.object(b"<< /Type /Catalog /Pages 2 0 R >>");
    // 3 is the font; a page and its content follow in pairs.
    let kids: Vec<String> = (0..pages.len())
        .map(|page| format!("{} 0 R", 4 + 2 * page))
        .collect();
    pdf.object(
        format!(
            "<< /Type /Pages /Count {} /Kids [{}] >>",
            pages.len(),
            kids.join(" ")
        )
        .as_bytes(),
    );
    pdf.object(
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    );
    for lines in pages {
        let content = 5 + 2 * pdf_pages_so_far(&pdf);
        pdf.object(
            format!(
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {content} 0 R \
                 /Resources << /Font << /F1 3 0 R >> >> >>"
            )
            .as_bytes(),
        );
        pdf.stream("", &page_content(lines));
    }
    pdf.finish("")
}

fn pdf_pages_so_far(pdf: &Pdf) -> usize {
    (pdf.places.len() - 3) / 2
}

fn page_content(lines: &[(u32, &str)]) -> Vec<u8> {
    let mut content = Vec::new();
    let mut y = 800;
    for (size, text) in lines {
        let (encoded, ..) = encoding_rs::WINDOWS_1252.encode(text);
        content.extend(format!("BT /F1 {size} Tf 50 {y} Td (").bytes());
        for byte in encoded.iter() {
            if b"()\\".contains(byte) {
                content.push(b'\\');
            }
            content.push(*byte);
        }
        content.extend(b") Tj ET\n");
        y -= (size * 14) / 10;
    }
    content
}
