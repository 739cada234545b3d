//! Documents that are broken, endless, or made to harm: each has its reason, none hangs.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream;
use riwaq_extraction::{Format, Limits, Reason};
use support::{Pdf, archive, docx, extractor, pdf, read, read_with, try_read};

const MEGABYTE: u64 = 1024 * 1024;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde";

#[tokio::test]
async fn what_is_not_what_it_says_is_broken() {
    for format in [Format::Pdf, Format::Docx, Format::Pptx, Format::Notebook] {
        for content in [
            b"".as_slice(),
            b"hello",
            &b"%PDF-1.7\n"[..7],
            b"PK\x03\x04",
            &[0; 10_000],
        ] {
            let read = read(format, content).await;
            let reason = read.reason();
            let refused = matches!(reason, Some(Reason::Broken | Reason::Unsupported));
            assert!(refused, "{format:?} {content:?}: {reason:?}");
            assert!(read.pages.is_empty());
        }
    }
    assert_eq!(read(Format::Pdf, PNG).await.reason(), Some(Reason::Broken));
    assert_eq!(
        read(Format::Text, PNG).await.reason(),
        Some(Reason::Unsupported)
    );
    assert_eq!(
        read(Format::Html, PNG).await.reason(),
        Some(Reason::Unsupported)
    );
    assert_eq!(
        read(Format::Docx, &archive(&[("other.xml", b"<a/>")]))
            .await
            .reason(),
        Some(Reason::Broken)
    );
}

#[tokio::test]
async fn an_encrypted_document_is_called_encrypted() {
    let encrypted = include_bytes!("fixtures/user-password.pdf");
    assert_eq!(
        read(Format::Pdf, encrypted).await.reason(),
        Some(Reason::Encrypted)
    );
    let mut office = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
    office.extend([0; 504]);
    assert_eq!(
        read(Format::Docx, &office).await.reason(),
        Some(Reason::Unsupported),
        "a .doc"
    );
    office.extend("EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes));
    for format in [Format::Docx, Format::Pptx] {
        assert_eq!(
            read(format, &office).await.reason(),
            Some(Reason::Encrypted)
        );
    }
}

#[tokio::test]
async fn a_scan_has_no_text_layer() {
    let scan = pdf(&[vec![], vec![]]);
    let read = read(Format::Pdf, &scan).await;
    assert_eq!(
        (read.reason(), read.summary.pages),
        (Some(Reason::NoTextLayer), 2)
    );
}

#[tokio::test]
async fn of_two_thousand_pages_the_first_are_read() {
    let pages: Vec<String> = (1..=2_000)
        .map(|number| format!("Contenu de la page {number}."))
        .collect();
    let pages: Vec<Vec<(u32, &str)>> = pages.iter().map(|text| vec![(11, text.as_str())]).collect();
    let read = read(Format::Pdf, &pdf(&pages)).await;
    assert_eq!(read.reason(), Some(Reason::TooManyPages));
    assert_eq!((read.pages.len(), read.summary.pages), (1_000, 1_000));
    assert_eq!(read.pages[999].blocks[0].text, "Contenu de la page 1000.");
}

#[tokio::test]
async fn of_too_much_text_the_beginning_is_kept() {
    let text = "Une phrase. ".repeat(10_000);
    let limits = Limits {
        characters: 1_000,
        ..Limits::default()
    };
    for (format, content) in [
        (Format::Text, text.clone().into_bytes()),
        (Format::Markdown, text.clone().into_bytes()),
        (Format::Html, format!("<p>{text}").into_bytes()),
        (
            Format::Docx,
            docx(&format!("<w:p><w:r><w:t>{text}</w:t></w:r></w:p>")),
        ),
    ] {
        let read = read_with(limits.clone(), format, &content).await;
        assert_eq!(read.reason(), Some(Reason::TooLarge), "{format:?}");
        let characters = read.text().chars().count();
        assert!(
            (900..=1_000).contains(&characters),
            "{format:?}: {characters}"
        );
    }
}

#[tokio::test]
async fn a_zip_bomb_is_cut_by_what_it_unpacks_to() {
    let limits = Limits {
        unpacked_bytes: 2 * MEGABYTE,
        ..Limits::default()
    };
    let spaces = " ".repeat(40 * 1024 * 1024);
    let text = "<w:p><w:r><w:t>mot</w:t></w:r></w:p>".repeat(100_000);
    for body in [&spaces, &text] {
        let bomb = docx(body);
        assert!(bomb.len() < body.len() / 50, "it is a bomb");
        let read = read_with(limits.clone(), Format::Docx, &bomb).await;
        assert_eq!(read.reason(), Some(Reason::TooLarge));
    }
    let many: Vec<(String, Vec<u8>)> = (0..200)
        .map(|number| (format!("f{number}"), Vec::new()))
        .collect();
    let many: Vec<(&str, &[u8])> = many
        .iter()
        .map(|(name, content)| (name.as_str(), content.as_slice()))
        .collect();
    let limits = Limits {
        archive_entries: 100,
        ..Limits::default()
    };
    let read = read_with(limits, Format::Docx, &archive(&many)).await;
    assert_eq!(read.reason(), Some(Reason::TooLarge));
}

#[tokio::test]
async fn entities_are_refused() {
    let laughs = r#"<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
        <!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><w:document><w:p><w:t>&c;</w:t></w:p></w:document>"#;
    let outside =
        r#"<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><d><p><t>&x;</t></p></d>"#;
    let undeclared = "<d><p><t>&nothing;</t></p></d>";
    for document in [laughs, outside, undeclared] {
        let read = read(
            Format::Docx,
            &archive(&[("word/document.xml", document.as_bytes())]),
        )
        .await;
        assert_eq!(read.reason(), Some(Reason::Broken), "{document}");
        assert!(read.text().is_empty());
    }
}

#[tokio::test]
async fn nesting_exhausts_nobody() {
    let html = format!(
        "{}au fond{}",
        "<div>".repeat(300_000),
        "</div>".repeat(300_000)
    );
    assert_eq!(read(Format::Html, html.as_bytes()).await.text(), "au fond");
    let unclosed = format!("{}au fond", "<b><i><table><tr><td>".repeat(50_000));
    assert_eq!(
        read(Format::Html, unclosed.as_bytes()).await.text(),
        "au fond"
    );
    let quotes = format!("{} au fond", ">".repeat(50_000));
    assert_eq!(
        read(Format::Markdown, quotes.as_bytes()).await.reason(),
        None
    );
    let xml = format!("{}{}", "<w:p>".repeat(5_000), "</w:p>".repeat(5_000));
    assert_eq!(
        read(Format::Docx, &docx(&xml)).await.reason(),
        Some(Reason::Broken)
    );
    let json = format!(r#"{{"nbformat": 4, "cells": {}"#, "[".repeat(100_000));
    assert_eq!(
        read(Format::Notebook, json.as_bytes()).await.reason(),
        Some(Reason::Broken)
    );
    let mut objects = Pdf::new();
    objects.object(b"<< /Type /Catalog /Pages 2 0 R >>");
    objects.object(format!("{}{}", "<< /Kids [".repeat(20_000), "] >>".repeat(20_000)).as_bytes());
    assert_eq!(
        read(Format::Pdf, &objects.finish("")).await.reason(),
        Some(Reason::Broken)
    );
}

#[tokio::test]
async fn a_page_tree_that_bites_its_tail_is_broken() {
    let mut objects = Pdf::new();
    objects.object(b"<< /Type /Catalog /Pages 2 0 R >>");
    objects.object(b"<< /Type /Pages /Count 3 /Kids [2 0 R 2 0 R] >>");
    let read = read(Format::Pdf, &objects.finish("")).await;
    assert!(
        matches!(read.reason(), Some(Reason::Broken | Reason::NoTextLayer)),
        "{:?}",
        read.reason()
    );
}

/// A page that draws a form, which draws another ten times, and so on.
fn exponential_pdf() -> Vec<u8> {
    const LEVELS: usize = 14;
    let mut objects = Pdf::new();
    objects.object(b"<< /Type /Catalog /Pages 2 0 R >>");
    objects.object(b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>");
    objects.object(
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R \
          /Resources << /XObject << /X 5 0 R >> >> >>",
    );
    objects.stream("", b"/X Do");
    for level in 0..LEVELS {
        let next = 6 + level;
        let resources = format!(
            "/Type /XObject /Subtype /Form /BBox [0 0 600 800] /Resources << /XObject << /X {next} 0 R >> >>"
        );
        let content = if level + 1 < LEVELS {
            "/X Do ".repeat(10)
        } else {
            "0 0 1 1 re f".to_owned()
        };
        objects.stream(&resources, content.as_bytes());
    }
    objects.finish("")
}

#[tokio::test]
async fn what_takes_too_long_is_stopped_by_processor_time() {
    let limits = Limits {
        cpu_seconds: 1,
        wall_seconds: 60,
        ..Limits::default()
    };
    let begun = Instant::now();
    let read = read_with(limits, Format::Pdf, &exponential_pdf()).await;
    assert_eq!(read.reason(), Some(Reason::TimedOut), "{:?}", read.summary);
    assert!(
        begun.elapsed() < Duration::from_secs(45),
        "by its own limit, not by the parent's"
    );
}

#[tokio::test]
async fn what_takes_too_long_is_stopped_by_the_parents_clock() {
    let limits = Limits {
        cpu_seconds: 60,
        wall_seconds: 1,
        ..Limits::default()
    };
    let read = read_with(limits, Format::Pdf, &exponential_pdf()).await;
    assert_eq!(read.reason(), Some(Reason::TimedOut));
    assert!(
        read.summary
            .failure
            .is_some_and(|failure| failure.detail.contains("1 seconds"))
    );
}

#[tokio::test]
async fn what_takes_too_much_memory_is_stopped() {
    // A stream of a PDF that unpacks to 300 MB; the packed bytes are taken out of an archive.
    let zeros = vec![b' '; 300 * 1024 * 1024];
    let packed = archive(&[("z", &zeros)]);
    let data = 30 + 1 + usize::from(u16::from_le_bytes([packed[28], packed[29]]));
    let end = packed
        .windows(4)
        .rposition(|window| window == b"PK\x01\x02")
        .expect("a directory");
    let mut objects = Pdf::new();
    objects.object(b"<< /Type /Catalog /Pages 2 0 R >>");
    objects.object(b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>");
    objects.object(b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R >>");
    objects.stream(
        "/Filter /FlateDecode",
        &[b"\x78\x9c", &packed[data..end]].concat(),
    );
    let limits = Limits {
        memory_bytes: 64 * MEGABYTE,
        ..Limits::default()
    };
    let limits = Limits {
        file_bytes: 4 * MEGABYTE,
        ..limits
    };
    let read = read_with(limits, Format::Pdf, &objects.finish("")).await;
    assert_eq!(
        read.reason(),
        Some(Reason::OutOfMemory),
        "{:?}",
        read.summary
    );
}

#[tokio::test]
async fn a_file_without_end_is_too_large() {
    let limits = Limits {
        file_bytes: MEGABYTE,
        ..Limits::default()
    };
    let endless =
        stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 64 * 1024])));
    let summary = extractor(limits)
        .extract(Format::Text, endless, |_| ())
        .await
        .expect("the child works");
    assert_eq!(
        summary.failure.map(|failure| failure.reason),
        Some(Reason::TooLarge)
    );
}

#[tokio::test]
async fn a_text_in_any_script_or_none_is_text() {
    let odd = "\u{202e}gnirts\u{202c} \u{0}\u{1} \u{10ffff} e\u{301} 𝔘 \u{feff}".repeat(3);
    let read = read(
        Format::Markdown,
        format!("# {odd}\n\n{} fin", "mot ".repeat(200)).as_bytes(),
    )
    .await;
    assert_eq!(read.reason(), None);
    assert!(read.text().ends_with("fin") && !read.text().contains('\0'));
}

/// Small numbers from a seed (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % most as u64).expect("small")
    }
}

fn mutated(content: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut mutated = content.to_vec();
    for _ in 0..1 + numbers.below(20) {
        if mutated.is_empty() {
            return mutated;
        }
        let at = numbers.below(mutated.len());
        match numbers.below(4) {
            0 => mutated[at] = u8::try_from(numbers.below(256)).expect("a byte"),
            1 => mutated.truncate(at.max(16)),
            2 => {
                let end = (at + numbers.below(64)).min(mutated.len());
                let piece = mutated[at..end].to_vec();
                let to = numbers.below(mutated.len());
                mutated.splice(to..to, piece);
            }
            _ => {
                let end = (at + numbers.below(16)).min(mutated.len());
                mutated.drain(at..end);
            }
        }
    }
    mutated
}

#[tokio::test]
async fn mutated_documents_end_with_pages_or_a_reason() {
    let limits = Limits {
        cpu_seconds: 5,
        wall_seconds: 20,
        memory_bytes: 256 * MEGABYTE,
        ..Limits::default()
    };
    let extractor = extractor(limits);
    let pages = vec![vec![(18, "Titre"), (11, "Un texte de cours.")]; 5];
    let seeds: Vec<(Format, Vec<u8>)> = vec![
        (
            Format::Pdf,
            include_bytes!("fixtures/weasyprint-ar.pdf").to_vec(),
        ),
        (
            Format::Pdf,
            include_bytes!("fixtures/fpdf2-ar.pdf").to_vec(),
        ),
        (Format::Pdf, pdf(&pages)),
        (
            Format::Docx,
            docx("<w:p><w:r><w:t>Un texte</w:t></w:r></w:p>"),
        ),
        (
            Format::Pptx,
            support::pptx(&[("Un", "Deux", "Trois"), ("Quatre", "Cinq", "Six")]),
        ),
    ];
    let mut numbers = Numbers(0x5eed);
    let mut whole = 0;
    for round in 0..125 {
        let (format, content) = &seeds[round % seeds.len()];
        let content = mutated(content, &mut numbers);
        let read = try_read(&extractor, *format, &content)
            .await
            .expect("whatever it is, the child works");
        whole += usize::from(read.reason().is_none());
    }
    assert!(
        whole > 5 && whole < 125,
        "{whole} of 125 were read: they say nothing"
    );
}
