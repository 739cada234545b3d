//! What comes out of documents that are in order.

mod support;

use riwaq_extraction::{Block, Format, Splitter};
use support::{docx, pdf, pptx, read};

/// What the fixtures say, line breaks aside. Made by WeasyPrint, Chromium, fpdf2, reportlab and
/// python-docx from these texts.
const ARABIC: [&str; 4] = [
    "الخوارزميات وهياكل البيانات",
    "تعد الخوارزمية مجموعة من الخطوات المرتبة لحل مسألة معينة، وقد سميت بهذا الاسم نسبة إلى العالم محمد بن موسى الخوارزمي.",
    "في سنة 2026 درس طلاب الجامعة لغة Python 3 في القاهرة، ثم انتقلوا إلى الفرز السريع.",
    "يقاس تعقيد الخوارزمية بعدد العمليات الأولية التي تنفذها.",
];
const FRENCH: [&str; 3] = [
    "Chapitre 3 : la complexité",
    "L’élève définit l’efficacité d’un algorithme : le coût croît avec la taille n des données, où qu’elles soient.",
    "Le tri rapide est en moyenne de complexité n log n ; voir l’annexe, page 12.",
];

/// A text without what layout may change: spaces.
fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

fn assert_words(text: &str, expected: &[&str], name: &str) {
    let words: Vec<&str> = text.split_whitespace().collect();
    let expected: Vec<&str> = expected
        .iter()
        .flat_map(|line| line.split_whitespace())
        .collect();
    assert_eq!(words, expected, "{name}");
}

#[tokio::test]
async fn arabic_pdfs_of_four_producers_come_out_word_by_word() {
    for (name, bytes) in [
        (
            "weasyprint",
            &include_bytes!("fixtures/weasyprint-ar.pdf")[..],
        ),
        ("chromium", include_bytes!("fixtures/chromium-ar.pdf")),
        ("fpdf2", include_bytes!("fixtures/fpdf2-ar.pdf")),
        ("reportlab", include_bytes!("fixtures/reportlab-ar.pdf")),
    ] {
        let read = read(Format::Pdf, bytes).await;
        assert_eq!(read.reason(), None, "{name}");
        assert_words(&read.text(), &ARABIC, name);
        assert_eq!(
            squeezed(&read.headings().concat()),
            squeezed(ARABIC[0]),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_french_pdf_of_a_real_producer_comes_out_whole() {
    let read = read(Format::Pdf, include_bytes!("fixtures/weasyprint-fr.pdf")).await;
    assert_words(&read.text(), &FRENCH, "weasyprint");
    assert_eq!(read.headings(), [FRENCH[0]]);
}

#[tokio::test]
async fn a_pdf_has_pages_headings_and_whole_words() {
    let bytes = pdf(&[
        vec![
            (24, "Introduction aux graphes"),
            (
                11,
                "Un graphe orienté relie des sommets par des arcs, et l'algo-",
            ),
            (11, "rithme de Dijkstra y cherche (vite) un chemin."),
        ],
        vec![(11, "La deuxième page parle d'arbres couvrants.")],
        vec![(11, "La troisième finit.")],
    ]);
    let read = read(Format::Pdf, &bytes).await;
    assert_eq!(read.reason(), None);
    assert_eq!(read.summary.pages, 3);
    assert_eq!(
        read.pages
            .iter()
            .map(|page| page.number)
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(
        read.pages[0].blocks,
        [
            Block::heading("Introduction aux graphes"),
            Block::text(
                "Un graphe orienté relie des sommets par des arcs, et l'algorithme de Dijkstra y cherche (vite) un chemin."
            ),
        ]
    );
    let mut splitter = Splitter::new();
    read.pages.iter().for_each(|page| splitter.push(page));
    let passages = splitter.finish();
    assert_eq!(
        passages
            .iter()
            .map(|passage| passage.page)
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert!(
        passages.iter().all(
            |passage| passage.language == "fr" && passage.heading == "Introduction aux graphes"
        )
    );
}

#[tokio::test]
async fn a_pdf_with_an_owners_password_is_read() {
    let read = read(Format::Pdf, include_bytes!("fixtures/owner-password.pdf")).await;
    assert_eq!(
        read.text(),
        "Readable by everybody, changed by its owner only."
    );
}

#[tokio::test]
async fn a_docx_has_its_paragraphs_headings_and_no_doubles() {
    let bytes = docx(
        "<w:p><w:pPr><w:pStyle w:val=\"Titre1\"/></w:pPr><w:r><w:t>Les tris</w:t></w:r></w:p>\
         <w:p><w:r><w:t xml:space=\"preserve\">Tri </w:t></w:r><w:r><w:t>fusion &amp; tri&#233;</w:t><w:tab/><w:t>ici</w:t></w:r></w:p>\
         <w:p><w:r><w:delText>effacé</w:delText></w:r></w:p>\
         <w:tbl><w:tr><w:tc><w:p><w:r><w:t>cellule</w:t></w:r></w:p></w:tc></w:tr></w:tbl>\
         <mc:AlternateContent><mc:Choice><w:p><w:r><w:t>cadre</w:t></w:r></w:p></mc:Choice>\
         <mc:Fallback><w:p><w:r><w:t>cadre</w:t></w:r></w:p></mc:Fallback></mc:AlternateContent>",
    );
    let read = read(Format::Docx, &bytes).await;
    assert_eq!(read.reason(), None);
    assert_eq!(
        read.pages[0].blocks,
        [
            Block::heading("Les tris"),
            Block::text("Tri fusion & trié ici"),
            Block::text("cellule"),
            Block::text("cadre")
        ]
    );
    assert_eq!(
        read.pages[0].number, 0,
        "where pages break is up to who shows it"
    );
}

#[tokio::test]
async fn an_arabic_docx_of_a_real_producer_comes_out_whole() {
    let read = read(Format::Docx, include_bytes!("fixtures/python-docx-ar.docx")).await;
    assert_eq!(read.text().lines().collect::<Vec<_>>(), ARABIC);
    assert_eq!(read.headings(), [ARABIC[0]]);
}

#[tokio::test]
async fn slides_come_in_their_order_with_title_and_notes() {
    let bytes = pptx(&[
        ("Premier", "Corps un", "Notes de l'orateur"),
        ("Deuxième", "Corps deux", "À dire"),
        ("الثالث", "النص الثالث", ""),
    ]);
    let read = read(Format::Pptx, &bytes).await;
    assert_eq!(read.reason(), None);
    assert_eq!(read.headings(), ["Premier", "Deuxième", "الثالث"]);
    assert_eq!(
        read.pages[0].blocks,
        [
            Block::heading("Premier"),
            Block::text("Corps un"),
            Block::text("Notes de l'orateur")
        ]
    );
    assert_eq!(
        read.pages
            .iter()
            .map(|page| page.number)
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
}

#[tokio::test]
async fn html_is_text_without_scripts() {
    let page = "<!doctype html><html><head><title>Cours</title><style>p{color:red}</style></head><body>\
        <script>var x = '<p>caché</p>';</script><h2>Réseaux</h2><p>Un <b>pro</b>tocole&nbsp;: l&eacute;g&egrave;re<br>suite</p>\
        <ul><li>un<li>deux</ul><pre>a = 1\n  b = 2</pre><svg><text>caché</text></svg><p>fin";
    let read = read(Format::Html, page.as_bytes()).await;
    assert_eq!(
        read.pages[0].blocks,
        [
            Block::heading("Cours"),
            Block::heading("Réseaux"),
            Block::text("Un protocole : légère suite"),
            Block::text("un"),
            Block::text("deux"),
            Block::text("a = 1\nb = 2"),
            Block::text("fin"),
        ]
    );
}

#[tokio::test]
async fn html_is_read_in_the_encoding_it_names() {
    let page =
        "<html><head><meta charset=\"windows-1256\"></head><body><p>مرحبا بكم</p></body></html>";
    let (bytes, ..) = encoding_rs::WINDOWS_1256.encode(page);
    assert_eq!(read(Format::Html, &bytes).await.text(), "مرحبا بكم");
}

#[tokio::test]
async fn markdown_has_headings_paragraphs_and_code() {
    let text = "---\ntitre: caché\n---\n# Les piles\n\nUne *pile* est\nune structure.\n\n- un\n  - deux\n\n```python\nx = 1\ny = 2\n```\n\n| a | b |\n|---|---|\n| c | d |\n\n<script>caché</script>\n";
    let read = read(Format::Markdown, text.as_bytes()).await;
    assert_eq!(
        read.pages[0].blocks,
        [
            Block::heading("Les piles"),
            Block::text("Une pile est une structure."),
            Block::text("un"),
            Block::text("deux"),
            Block::text("x = 1\ny = 2"),
            Block::text("a b"),
            Block::text("c d"),
        ]
    );
}

#[tokio::test]
async fn a_notebook_has_its_cells_and_not_its_outputs() {
    let notebook = r##"{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Régression\n", "Une droite."]},
        {"cell_type": "code", "metadata": {}, "execution_count": 1, "source": "import numpy as np\nx = np.arange(3)",
         "outputs": [{"output_type": "stream", "name": "stdout", "text": ["caché"]}]}]}"##;
    let read = read(Format::Notebook, notebook.as_bytes()).await;
    assert_eq!(
        read.pages[0].blocks,
        [
            Block::heading("Régression"),
            Block::text("Une droite."),
            Block::text("import numpy as np\nx = np.arange(3)")
        ]
    );
}

#[tokio::test]
async fn plain_text_has_paragraphs_and_pages_where_it_says_so() {
    let text = "Premier paragraphe\nsuite.\n\nSecond.\u{c}Autre page.";
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [text.as_bytes(), &utf16] {
        let read = read(Format::Text, bytes).await;
        assert_eq!(read.summary.pages, 2);
        assert_eq!(
            read.pages[0].blocks,
            [
                Block::text("Premier paragraphe\nsuite."),
                Block::text("Second.")
            ]
        );
        assert_eq!(read.pages[1].blocks, [Block::text("Autre page.")]);
    }
    let unpaged = read(Format::Text, "Un.\n\nDeux.\n".as_bytes()).await;
    assert_eq!(unpaged.pages[0].number, 0);
    let empty = read(Format::Text, b"").await;
    assert_eq!((empty.pages.len(), empty.reason()), (0, None));
}
