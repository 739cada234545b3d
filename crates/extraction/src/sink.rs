//! Where readers put what they find; keeps the limits of pages and characters.

use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::protocol::PAGE_CHARACTERS;
use crate::{Block, Failure, Limits, Page, Reason};

/// Takes finished pages.
pub(crate) type Give<'g> = dyn FnMut(Page) -> Result<(), Failure> + 'g;

/// Collects blocks into pages, and gives each page away as soon as it is whole.
pub(crate) struct Sink<'g> {
    give: &'g mut Give<'g>,
    limits: Limits,
    page: Page,
    /// The page was begun and nothing of it was given yet: it is given even when it is blank, so
    /// that pages can be counted.
    begun: bool,
    page_characters: usize,
    characters: usize,
    pages: u32,
}

impl<'g> Sink<'g> {
    pub(crate) fn new(limits: &Limits, give: &'g mut Give<'g>) -> Self {
        Self {
            give,
            limits: limits.clone(),
            page: Page::default(),
            begun: false,
            page_characters: 0,
            characters: 0,
            pages: 0,
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether any text was given.
    pub(crate) fn is_empty(&self) -> bool {
        self.characters == 0
    }

    /// Ends the page before and begins the next one with this number.
    pub(crate) fn begin_page(&mut self, number: u32) -> Result<(), Failure> {
        self.flush()?;
        if self.pages >= self.limits.pages {
            let most = self.limits.pages;
            return Err(Failure::new(
                Reason::TooManyPages,
                format!("more than {most} pages"),
            ));
        }
        self.pages += 1;
        self.page.number = number;
        self.begun = number > 0;
        Ok(())
    }

    /// Adds a paragraph; whitespace is tidied, empty ones are left out.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.block(false, tidy(text))
    }

    /// Adds a heading.
    pub(crate) fn heading(&mut self, text: &str) -> Result<(), Failure> {
        self.block(true, tidy(text))
    }

    /// Adds a paragraph whose line breaks mean something.
    pub(crate) fn lines(&mut self, text: &str) -> Result<(), Failure> {
        let tidied: Vec<String> = text.lines().map(tidy).collect();
        self.block(false, tidied.join("\n").trim_matches('\n').to_owned())
    }

    fn block(&mut self, heading: bool, mut text: String) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        let room = self.limits.characters - self.characters;
        let mut characters = text.chars().count();
        let too_long = characters > room;
        if too_long {
            text = text.chars().take(room).collect();
            characters = room;
        }
        self.characters += characters;
        self.page_characters += characters;
        self.page.blocks.push(Block { heading, text });
        if too_long {
            let most = self.limits.characters;
            return Err(Failure::new(
                Reason::TooLarge,
                format!("more than {most} characters"),
            ));
        }
        if self.page_characters > PAGE_CHARACTERS {
            self.flush()?;
        }
        Ok(())
    }

    /// Gives the page that is begun away; needed at the end, also after a failure.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.page_characters = 0;
        let given = !std::mem::take(&mut self.begun);
        if given && self.page.blocks.is_empty() {
            return Ok(());
        }
        let next = Page {
            number: self.page.number,
            blocks: Vec::new(),
        };
        (self.give)(std::mem::replace(&mut self.page, next))
    }
}

/// One space for whitespace, no control characters, composed.
pub(crate) fn tidy(text: &str) -> String {
    let mut tidied = String::with_capacity(text.len());
    let mut space = false;
    for c in text.chars() {
        if c.is_whitespace() {
            space = !tidied.is_empty();
        } else if !c.is_control() && c != '\u{feff}' && c != '\u{fffc}' {
            if std::mem::take(&mut space) {
                tidied.push(' ');
            }
            tidied.push(c);
        }
    }
    if is_nfc(&tidied) {
        tidied
    } else {
        tidied.nfc().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(
        limits: &Limits,
        fill: impl FnOnce(&mut Sink<'_>) -> Result<(), Failure>,
    ) -> (Vec<Page>, Option<Reason>) {
        let mut pages = Vec::new();
        let mut give = |page| {
            pages.push(page);
            Ok(())
        };
        let mut sink = Sink::new(limits, &mut give);
        let end = fill(&mut sink).err().map(|failure| failure.reason);
        sink.flush().expect("gives");
        (pages, end)
    }

    #[test]
    fn text_is_tidied_and_composed() {
        assert_eq!(tidy("  a\t\n b\u{0}c \u{feff}e\u{301} "), "a bc é");
        assert_eq!(tidy(" \u{a0}\n"), "");
    }

    #[test]
    fn what_fits_is_given_before_a_limit_stops_the_reader() {
        let limits = Limits {
            pages: 2,
            characters: 10,
            ..Limits::default()
        };
        let (pages, end) = collect(&limits, |sink| {
            for number in 1..=3 {
                sink.begin_page(number)?;
                sink.text("abc")?;
            }
            Ok(())
        });
        assert_eq!((pages.len(), end), (2, Some(Reason::TooManyPages)));
        let (pages, end) = collect(&limits, |sink| sink.text("abcdefghijklm"));
        assert_eq!(
            (pages[0].blocks[0].text.as_str(), end),
            ("abcdefghij", Some(Reason::TooLarge))
        );
    }
}
