//! Pages cut into passages: the pieces that are found and quoted.

use crate::{Block, Page, language_of};

/// From this length on a paragraph's end ends the passage.
const ENOUGH_CHARS: usize = 800;
/// No passage is longer.
const MOST_CHARS: usize = 1_200;
/// A shorter rest joins the passage before it.
const REST_CHARS: usize = 200;
/// No heading is longer.
const HEADING_CHARS: usize = 200;

/// A piece of one page under one heading, of 800 to 1,200 characters where there is that much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// The page, from 1; 0 where there are no pages.
    pub page: u32,
    /// The nearest heading above; may be on an earlier page, may be empty.
    pub heading: String,
    /// Whole sentences, as far as they are short enough.
    pub text: String,
    /// `fr`, `ar`, `en`, or empty.
    pub language: &'static str,
}

/// Cuts pages as they come.
#[derive(Debug, Default)]
pub struct Splitter {
    passages: Vec<(Passage, bool)>,
    heading: String,
    /// Whether text stood under the present heading.
    heading_used: bool,
    page: u32,
    text: String,
    chars: usize,
    /// Where the passages of the present page and heading begin.
    section: usize,
}

impl Splitter {
    /// A splitter at the beginning of a document.
    #[must_use]
    pub fn new() -> Self {
        Self {
            heading_used: true,
            ..Self::default()
        }
    }

    /// Takes the next page.
    pub fn push(&mut self, page: &Page) {
        // A document without pages comes in several pieces with the number 0.
        if page.number != self.page || page.number != 0 {
            self.end_section();
            self.page = page.number;
        }
        for Block { heading, text } in &page.blocks {
            if *heading {
                self.end_section();
                self.lone_heading();
                self.heading = text.chars().take(HEADING_CHARS).collect();
                self.heading_used = false;
            } else {
                self.paragraph(text);
            }
        }
        if page.number != 0 {
            self.end_section();
            self.lone_heading();
        }
    }

    /// The passages; those that say too little about their language have the document's.
    #[must_use]
    pub fn finish(mut self) -> Vec<Passage> {
        self.end_section();
        self.lone_heading();
        let mut counts: Vec<(&'static str, usize)> = Vec::new();
        for (passage, certain) in &self.passages {
            if *certain {
                match counts
                    .iter_mut()
                    .find(|(language, _)| *language == passage.language)
                {
                    Some((_, count)) => *count += passage.text.len(),
                    None => counts.push((passage.language, passage.text.len())),
                }
            }
        }
        let main = counts
            .into_iter()
            .max_by_key(|(_, count)| *count)
            .map_or("", |(main, _)| main);
        let settle = |(passage, certain)| match certain {
            true => passage,
            false => Passage {
                language: main,
                ..passage
            },
        };
        self.passages.into_iter().map(settle).collect()
    }

    fn paragraph(&mut self, text: &str) {
        self.heading_used = true;
        for (number, sentence) in sentences(text).enumerate() {
            for piece in pieces(sentence) {
                let length = piece.chars().count();
                if self.chars + 1 + length > MOST_CHARS {
                    self.end_passage();
                }
                if !self.text.is_empty() {
                    self.text.push(if number == 0 { '\n' } else { ' ' });
                    self.chars += 1;
                }
                self.text.push_str(piece);
                self.chars += length;
            }
        }
        if self.chars >= ENOUGH_CHARS {
            self.end_passage();
        }
    }

    fn end_passage(&mut self) {
        self.chars = 0;
        if self.text.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.text);
        self.add(text);
    }

    fn add(&mut self, text: String) {
        let language = language_of(&text);
        let passage = Passage {
            page: self.page,
            heading: self.heading.clone(),
            text,
            language: language.unwrap_or_default(),
        };
        self.passages.push((passage, language.is_some()));
    }

    /// Ends the passages of a page and heading; a short rest joins the one before.
    fn end_section(&mut self) {
        if self.chars < REST_CHARS
            && self.passages.len() > self.section
            && let Some((last, _)) = self.passages.last_mut()
            && last.text.chars().count() + 1 + self.chars <= MOST_CHARS
            && !self.text.is_empty()
        {
            last.text.push('\n');
            last.text.push_str(&std::mem::take(&mut self.text));
            self.chars = 0;
        }
        self.end_passage();
        self.section = self.passages.len();
    }

    /// A heading that nothing stood under is text itself: a slide with a title only.
    fn lone_heading(&mut self) {
        if !std::mem::replace(&mut self.heading_used, true) && !self.heading.is_empty() {
            let text = self.heading.clone();
            self.add(text);
        }
        self.section = self.passages.len();
    }
}

/// The sentences of a text, without the whitespace around them.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                return None;
            }
            let end = sentence_end(rest);
            let (sentence, after) = rest.split_at(end);
            rest = after;
            let sentence = sentence.trim_end();
            if !sentence.is_empty() {
                return Some(sentence);
            }
        }
    })
}

fn sentence_end(text: &str) -> usize {
    let mut ended = false;
    for (at, c) in text.char_indices() {
        match c {
            '\n' => return at,
            '.' | '!' | '?' | '…' | '؟' | '۔' | '。' => ended = true,
            ')' | '"' | '»' | '”' | '\'' | '’' | ']' if ended => {}
            c if ended && c.is_whitespace() => return at,
            _ => ended = false,
        }
    }
    text.len()
}

/// A sentence in pieces that fit into a passage, cut at spaces where there are any.
fn pieces(sentence: &str) -> impl Iterator<Item = &str> {
    let mut rest = sentence;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        if rest.is_empty() {
            return None;
        }
        let Some((limit, _)) = rest.char_indices().nth(MOST_CHARS) else {
            return Some(std::mem::take(&mut rest));
        };
        let end = rest[..limit]
            .rfind(char::is_whitespace)
            .filter(|end| *end > 0)
            .unwrap_or(limit);
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pages: &[Page]) -> Vec<Passage> {
        let mut splitter = Splitter::new();
        pages.iter().for_each(|page| splitter.push(page));
        splitter.finish()
    }

    fn page(number: u32, blocks: Vec<Block>) -> Page {
        Page { number, blocks }
    }

    #[test]
    fn passages_end_with_sentences_and_stay_within_their_page() {
        let long = "Une phrase de longueur moyenne sur les arbres binaires. ".repeat(60);
        let passages = split(&[
            page(1, vec![Block::heading("Arbres"), Block::text(&long)]),
            page(
                2,
                vec![Block::text("Suite sur la page deux, sous le même titre.")],
            ),
        ]);
        assert!(passages.len() >= 4);
        for passage in &passages {
            let length = passage.text.chars().count();
            assert!(length <= MOST_CHARS, "{length}");
            assert!(passage.text.ends_with('.'), "{}", passage.text);
            assert_eq!(passage.heading, "Arbres");
            assert_eq!(passage.language, "fr");
        }
        let (last, first) = (passages.last().expect("some"), &passages[0]);
        assert!(first.text.chars().count() >= ENOUGH_CHARS);
        assert_eq!((last.page, first.page), (2, 1));
        let first_page: Vec<&str> = passages
            .iter()
            .filter(|passage| passage.page == 1)
            .map(|passage| passage.text.as_str())
            .collect();
        assert_eq!(
            first_page.join(" "),
            long.trim_end(),
            "nothing is lost or doubled"
        );
    }

    #[test]
    fn a_heading_begins_a_new_passage_and_a_lone_one_is_its_own_text() {
        let passages = split(&[
            page(1, vec![Block::heading("Couverture")]),
            page(
                2,
                vec![
                    Block::heading("Un"),
                    Block::text("Premier."),
                    Block::heading("Deux"),
                    Block::text("Second."),
                ],
            ),
            page(3, vec![Block::heading("Fin")]),
        ]);
        let seen: Vec<_> = passages
            .iter()
            .map(|passage| {
                (
                    passage.page,
                    passage.heading.as_str(),
                    passage.text.as_str(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                (1, "Couverture", "Couverture"),
                (2, "Un", "Premier."),
                (2, "Deux", "Second."),
                (3, "Fin", "Fin")
            ]
        );
    }

    #[test]
    fn pieces_of_a_document_without_pages_flow_together() {
        let passages = split(&[
            page(0, vec![Block::text("Un.")]),
            page(0, vec![Block::text("Deux.")]),
        ]);
        assert_eq!(passages.len(), 1);
        assert_eq!(passages[0].text, "Un.\nDeux.");
    }

    #[test]
    fn endless_sentences_and_words_are_cut() {
        let words = "mot ".repeat(2_000);
        let word = "é".repeat(5_000);
        for text in [&words, &word] {
            let passages = split(&[page(1, vec![Block::text(text)])]);
            let whole: String = passages
                .iter()
                .map(|passage| passage.text.replace(' ', ""))
                .collect();
            assert_eq!(whole, text.replace(' ', ""));
            assert!(
                passages
                    .iter()
                    .all(|passage| passage.text.chars().count() <= MOST_CHARS)
            );
        }
    }

    #[test]
    fn what_says_too_little_has_the_language_of_the_document() {
        let french = "La complexité d'un algorithme se mesure en nombre d'opérations élémentaires.";
        let passages = split(&[
            page(1, vec![Block::text(french)]),
            page(2, vec![Block::text("x = 1")]),
        ]);
        assert_eq!(passages[1].language, "fr");
    }
}
