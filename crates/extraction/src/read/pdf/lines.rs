//! Glyphs put together to lines.
//!
//! The order in which a page is painted follows the order of reading in what almost every program
//! writes, columns included; within a line it does not (Arabic is painted as it looks). So lines
//! come in painting order, and within a line the place decides.

use unicode_normalization::char::is_combining_mark;

use super::glyphs::Glyph;
use super::order;

/// Baselines closer than this belong to one line, in ems.
const SAME_LINE: f64 = 0.4;
/// Pieces of one line that are farther apart are columns or cells, in ems.
const COLUMN_GAP: f64 = 1.5;
/// Pieces that were painted apart belong together when they are as close as words are, in ems.
const WORD_GAP: f64 = 0.8;
/// A gap that is a space, in ems.
const SPACE_GAP: f64 = 0.18;
/// The same character closer than this is painted twice, for boldness, in ems.
const TWICE: f64 = 0.1;
/// How many lines back a piece may belong to.
const LINES_BACK: usize = 4;

/// A line of text.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// In logical order.
    pub(super) text: String,
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) baseline: f64,
    /// The size of most of its characters.
    pub(super) size: f64,
    pub(super) turn: u8,
}

/// A line that glyphs are still added to.
struct Open {
    glyphs: Vec<Glyph>,
    start: f64,
    end: f64,
    baseline: f64,
    size: f64,
    turn: u8,
}

impl Open {
    fn new(glyph: Glyph) -> Self {
        let Glyph {
            start,
            end,
            baseline,
            size,
            turn,
            ..
        } = glyph;
        Self {
            glyphs: vec![glyph],
            start,
            end,
            baseline,
            size,
            turn,
        }
    }

    fn takes(&self, glyph: &Glyph) -> bool {
        let size = self.size.max(glyph.size);
        let apart = (glyph.start - self.end).max(self.start - glyph.end);
        self.turn == glyph.turn
            && (self.baseline - glyph.baseline).abs() < SAME_LINE * size
            && apart < COLUMN_GAP * size
    }

    fn joins(&self, other: &Self) -> bool {
        let size = self.size.max(other.size);
        let apart = (other.start - self.end).max(self.start - other.end);
        self.turn == other.turn
            && (self.baseline - other.baseline).abs() < SAME_LINE * size
            && apart < WORD_GAP * size
    }

    fn add(&mut self, glyph: Glyph) {
        let twice = |known: &Glyph| {
            known.text == glyph.text && (known.start - glyph.start).abs() < TWICE * glyph.size
        };
        if self.glyphs.iter().rev().take(400).any(twice) {
            return;
        }
        self.start = self.start.min(glyph.start);
        self.end = self.end.max(glyph.end);
        if glyph.size > self.size {
            // A line that began with a superscript.
            self.baseline = glyph.baseline;
            self.size = glyph.size;
        }
        self.glyphs.push(glyph);
    }

    fn finish(self) -> Option<Line> {
        let size = usual_size(&self.glyphs);
        let text = order::logical(spell(self.glyphs));
        (!text.trim().is_empty()).then_some(Line {
            text,
            start: self.start,
            end: self.end,
            baseline: self.baseline,
            size,
            turn: self.turn,
        })
    }
}

/// The lines of a page, in reading order.
pub(super) fn assemble(glyphs: Vec<Glyph>) -> Vec<Line> {
    let mut open: Vec<Open> = Vec::new();
    for glyph in glyphs {
        // A space alone neither begins a line nor moves one.
        let blank = glyph.text.trim().is_empty();
        let known = open
            .iter_mut()
            .rev()
            .take(LINES_BACK)
            .find(|line| line.takes(&glyph));
        match known {
            Some(line) => line.add(glyph),
            None if blank => {}
            None => open.push(Open::new(glyph)),
        }
    }
    merge(open).into_iter().filter_map(Open::finish).collect()
}

/// Puts together what was painted in pieces whose beginnings were too far apart.
fn merge(pieces: Vec<Open>) -> Vec<Open> {
    let mut merged: Vec<Open> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let known = merged
            .iter_mut()
            .rev()
            .take(LINES_BACK)
            .find(|line| line.joins(&piece));
        match known {
            Some(line) => piece.glyphs.into_iter().for_each(|glyph| line.add(glyph)),
            None => merged.push(piece),
        }
    }
    merged
}

fn usual_size(glyphs: &[Glyph]) -> f64 {
    let mut sizes: Vec<f64> = glyphs.iter().map(|glyph| glyph.size).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.get(sizes.len() / 2).copied().unwrap_or(0.0)
}

/// The glyphs of a line as they look from left to right, with spaces where there are gaps.
fn spell(mut glyphs: Vec<Glyph>) -> Vec<String> {
    glyphs.sort_by(|one, other| one.start.total_cmp(&other.start));
    let (marks, mut letters): (Vec<Glyph>, Vec<Glyph>) = glyphs
        .into_iter()
        .partition(|glyph| glyph.text.chars().all(is_combining_mark));
    for mark in marks {
        put_on_letter(&mark, &mut letters);
    }
    let mut spelled: Vec<String> = Vec::with_capacity(letters.len());
    let mut end = f64::NEG_INFINITY;
    for glyph in letters {
        let blank = glyph.text.trim().is_empty();
        let after_blank = spelled.last().is_none_or(|last| last == " ");
        if !after_blank && (blank || glyph.start - end > SPACE_GAP * glyph.size) {
            spelled.push(" ".to_owned());
        }
        if !blank {
            spelled.push(glyph.text);
        }
        // A blank's own width is no further gap.
        end = end.max(glyph.end);
    }
    spelled
}

/// A vowel sign or accent belongs to the letter that it stands over.
fn put_on_letter(mark: &Glyph, letters: &mut [Glyph]) {
    let middle = (mark.start + mark.end) / 2.0;
    let distance = |letter: &Glyph| ((letter.start + letter.end) / 2.0 - middle).abs();
    let nearest = letters
        .iter_mut()
        .filter(|letter| !letter.text.trim().is_empty())
        .min_by(|one, other| distance(one).total_cmp(&distance(other)));
    if let Some(letter) = nearest {
        letter.text.push_str(&mark.text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Glyphs of 10 points side by side, half an em wide each.
    fn glyphs(text: &str, x: f64, y: f64) -> Vec<Glyph> {
        let place = |number: usize| x + 5.0 * number as f64;
        text.chars()
            .enumerate()
            .map(|(number, c)| Glyph {
                text: c.to_string(),
                start: place(number),
                end: place(number + 1),
                baseline: y,
                size: 10.0,
                turn: 0,
            })
            .collect()
    }

    fn texts(glyphs: Vec<Glyph>) -> Vec<String> {
        assemble(glyphs).into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn a_gap_is_a_space_and_a_wide_gap_is_another_column() {
        let mut all = glyphs("deux", 0.0, 700.0);
        all.extend(glyphs("mots", 23.0, 700.0));
        all.extend(glyphs("colonne", 200.0, 700.0));
        assert_eq!(texts(all), ["deux mots", "colonne"]);
    }

    #[test]
    fn words_painted_out_of_order_are_read_by_their_place() {
        let mut all = glyphs("monde", 30.0, 700.0);
        all.extend(glyphs("bon", 10.0, 700.0));
        assert_eq!(texts(all), ["bon monde"]);
    }

    #[test]
    fn columns_painted_one_after_the_other_stay_apart() {
        let mut all = Vec::new();
        for (x, name) in [(0.0, "g"), (300.0, "d")] {
            for line in 0..8 {
                all.extend(glyphs(
                    &format!("{name}{line}"),
                    x,
                    700.0 - 12.0 * f64::from(line),
                ));
            }
        }
        let read = texts(all);
        assert_eq!(read.len(), 16);
        assert!(
            read[..8].iter().all(|line| line.starts_with('g')),
            "{read:?}"
        );
    }

    #[test]
    fn what_is_painted_twice_is_read_once_and_superscripts_stay_in_their_line() {
        let mut all = glyphs("gras", 0.0, 700.0);
        all.extend(glyphs("gras", 0.3, 700.0));
        let mut exponent = glyphs("2", 20.0, 703.5);
        exponent[0].size = 6.0;
        all.extend(exponent);
        assert_eq!(texts(all), ["gras2"]);
    }
}
