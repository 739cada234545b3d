//! Lines put together to paragraphs and headings.

use std::collections::BTreeMap;

use super::lines::Line;
use crate::Block;

/// Lines of one paragraph are not farther apart, in ems.
const LINE_GAP: f64 = 1.9;
/// How much larger than the body a heading is.
const HEADING_SCALE: f64 = 1.15;
/// Lines of one paragraph do not differ more in size.
const SAME_SIZE: f64 = 1.08;
/// A longer one is not a heading.
const HEADING_CHARS: usize = 160;

/// The size that most of the document's characters have, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct BodySize {
    /// Characters by size, in tenths of a point.
    characters: BTreeMap<i64, usize>,
}

impl BodySize {
    pub(super) fn learn(&mut self, lines: &[Line]) {
        for line in lines {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "sizes are finite; huge ones saturate"
            )]
            let size = (line.size * 10.0).round() as i64;
            *self.characters.entry(size).or_default() += line.text.chars().count();
        }
    }

    fn points(&self) -> f64 {
        let most = self.characters.iter().max_by_key(|(_, count)| **count);
        #[expect(clippy::cast_precision_loss, reason = "tenths of a point")]
        most.map_or(0.0, |(size, _)| *size as f64 / 10.0)
    }
}

/// The blocks of a page.
pub(super) fn blocks(lines: &[Line], body: &BodySize) -> Vec<Block> {
    let points = body.points();
    let is_large = |line: &Line| line.size > points * HEADING_SCALE;
    let mut blocks: Vec<Block> = Vec::new();
    let mut last: Option<&Line> = None;
    for line in lines {
        let text = line.text.trim();
        match (blocks.last_mut(), last) {
            (Some(block), Some(before)) if continues(before, line) => join(&mut block.text, text),
            _ => blocks.push(Block {
                heading: is_large(line),
                text: text.to_owned(),
            }),
        }
        last = Some(line);
    }
    for block in &mut blocks {
        let letters = block.text.chars().any(char::is_alphabetic);
        block.heading &= letters && block.text.chars().count() <= HEADING_CHARS;
    }
    blocks
}

/// Whether a line goes on with the paragraph of the line before.
fn continues(before: &Line, line: &Line) -> bool {
    let (large, small) = (before.size.max(line.size), before.size.min(line.size));
    let down = before.baseline - line.baseline;
    let overlap = before.end.min(line.end) - before.start.max(line.start);
    before.turn == line.turn
        && large <= small * SAME_SIZE
        && down > 0.0
        && down <= LINE_GAP * large
        && overlap > 0.0
}

/// Adds the next line; a word that was divided at the line's end becomes whole again.
fn join(text: &mut String, next: &str) {
    let divided = match text.chars().next_back() {
        Some('\u{ad}') => true,
        Some('-' | '\u{2010}') => {
            let mut before = text.chars().rev().skip(1);
            let word = before.next().is_some_and(char::is_lowercase)
                && before.next().is_some_and(char::is_alphabetic);
            word && next.chars().next().is_some_and(char::is_lowercase)
        }
        _ => false,
    };
    if divided {
        text.pop();
    } else {
        text.push(' ');
    }
    text.push_str(next);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, baseline: f64, size: f64) -> Line {
        Line {
            text: text.to_owned(),
            start: 50.0,
            end: 400.0,
            baseline,
            size,
            turn: 0,
        }
    }

    fn read(lines: &[Line]) -> Vec<Block> {
        let mut body = BodySize::default();
        body.learn(lines);
        blocks(lines, &body)
    }

    #[test]
    fn larger_lines_are_headings_and_close_lines_a_paragraph() {
        let blocks = read(&[
            line("Chapitre 1", 700.0, 18.0),
            line("Une première ligne de texte qui est lon-", 670.0, 11.0),
            line("gue, et une seconde,", 656.0, 11.0),
            line("Un autre paragraphe.", 620.0, 11.0),
        ]);
        assert_eq!(
            blocks,
            [
                Block::heading("Chapitre 1"),
                Block::text("Une première ligne de texte qui est longue, et une seconde,"),
                Block::text("Un autre paragraphe."),
            ]
        );
    }

    #[test]
    fn a_large_number_is_no_heading() {
        let blocks = read(&[
            line("42", 700.0, 30.0),
            line("un texte assez long", 650.0, 11.0),
        ]);
        assert!(!blocks[0].heading);
    }
}
