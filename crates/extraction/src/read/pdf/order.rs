//! From the order in which a line looks to the order in which it is read: the Unicode
//! bidirectional algorithm backwards, for one level of embedding.

use unicode_normalization::char::is_combining_mark;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Direction {
    Left,
    Right,
    Number,
    Neutral,
}

/// Puts pieces (a character, a ligature, a letter with its marks), given from left to right, into
/// reading order. Pieces keep their own inner order.
pub(super) fn logical(pieces: Vec<String>) -> String {
    let directions: Vec<Direction> = pieces.iter().map(|piece| direction(piece)).collect();
    let right = directions
        .iter()
        .filter(|direction| **direction == Direction::Right)
        .count();
    if right == 0 {
        return pieces.concat();
    }
    let left = directions
        .iter()
        .filter(|direction| **direction == Direction::Left)
        .count();
    let base = if right >= left {
        Direction::Right
    } else {
        Direction::Left
    };
    let runs = runs(&directions, base);
    let mut text = String::new();
    let in_order: Box<dyn Iterator<Item = &(Direction, usize, usize)>> = if base == Direction::Right
    {
        Box::new(runs.iter().rev())
    } else {
        Box::new(runs.iter())
    };
    for (run, from, to) in in_order {
        if *run == Direction::Right {
            push_right_to_left(&pieces[*from..*to], &directions[*from..*to], &mut text);
        } else {
            pieces[*from..*to]
                .iter()
                .for_each(|piece| text.push_str(piece));
        }
    }
    text
}

/// Stretches of one direction as (direction, from, to), from left to right.
fn runs(directions: &[Direction], base: Direction) -> Vec<(Direction, usize, usize)> {
    let mut runs: Vec<(Direction, usize, usize)> = Vec::new();
    for (at, direction) in resolve(directions, base).into_iter().enumerate() {
        match runs.last_mut() {
            Some((run, _, to)) if *run == direction => *to = at + 1,
            _ => runs.push((direction, at, at + 1)),
        }
    }
    runs
}

/// Every piece as left-to-right or right-to-left: a number behind a Latin word goes with it, what
/// is between two of one direction goes with them, everything else goes with the line.
fn resolve(directions: &[Direction], base: Direction) -> Vec<Direction> {
    let mut before = base;
    let with_numbers: Vec<Direction> = directions
        .iter()
        .map(|direction| match direction {
            Direction::Left | Direction::Right => {
                before = *direction;
                before
            }
            Direction::Number if before == Direction::Left => Direction::Left,
            other => *other,
        })
        .collect();
    let strong = |direction: &Direction| matches!(direction, Direction::Left | Direction::Right);
    before = base;
    let mut resolved = Vec::with_capacity(directions.len());
    for (at, direction) in with_numbers.iter().enumerate() {
        if strong(direction) {
            before = *direction;
            resolved.push(before);
        } else {
            let after = with_numbers[at..]
                .iter()
                .copied()
                .find(strong)
                .unwrap_or(base);
            resolved.push(if after == before { before } else { base });
        }
    }
    resolved
}

/// A right-to-left stretch, read from its right end; numbers in it stay as they look.
fn push_right_to_left(pieces: &[String], directions: &[Direction], text: &mut String) {
    let mut end = pieces.len();
    while end > 0 {
        let mut start = end - 1;
        if directions[start] == Direction::Number {
            while start > 0 && continues_number(pieces, directions, start) {
                start -= 1;
            }
        }
        pieces[start..end]
            .iter()
            .for_each(|piece| text.push_str(piece));
        end = start;
    }
}

/// Whether the piece before `start` belongs to the number that begins there: a digit, or one
/// separator between digits.
fn continues_number(pieces: &[String], directions: &[Direction], start: usize) -> bool {
    match directions[start - 1] {
        Direction::Number => true,
        Direction::Neutral => {
            let separator = matches!(
                pieces[start - 1].as_str(),
                "." | "," | ":" | "/" | "-" | "٫" | "٬"
            );
            // Two separators in a row end it.
            separator
                && directions[start] == Direction::Number
                && start >= 2
                && directions[start - 2] == Direction::Number
        }
        _ => false,
    }
}

fn direction(piece: &str) -> Direction {
    let Some(first) = piece.chars().find(|c| !is_combining_mark(*c)) else {
        return Direction::Neutral;
    };
    match first {
        '0'..='9' | '\u{660}'..='\u{669}' | '\u{6f0}'..='\u{6f9}' => Direction::Number,
        // Arabic punctuation is as neutral as its Latin sisters.
        '\u{60c}' | '\u{61b}' | '\u{61f}' | '\u{66a}'..='\u{66d}' | '\u{6d4}' => Direction::Neutral,
        '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' => {
            Direction::Right
        }
        c if c.is_alphabetic() => Direction::Left,
        _ => Direction::Neutral,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of a line that looks like this from left to right.
    fn read(visual: &str) -> String {
        logical(visual.chars().map(String::from).collect())
    }

    fn reversed(text: &str) -> String {
        text.chars().rev().collect()
    }

    #[test]
    fn latin_lines_stay_as_they_are() {
        assert_eq!(read("Le cours, page 12."), "Le cours, page 12.");
    }

    #[test]
    fn arabic_lines_are_read_from_the_right() {
        assert_eq!(
            read(&reversed("مرحبا بكم في الجامعة.")),
            "مرحبا بكم في الجامعة."
        );
    }

    #[test]
    fn numbers_and_latin_words_inside_arabic_keep_their_order() {
        let visual = format!("{} 2026 {}", reversed("في القاهرة"), reversed("سنة"));
        assert_eq!(read(&visual), "سنة 2026 في القاهرة");
        let visual = format!("{} 3.14 {}", reversed("تقريبا"), reversed("العدد"));
        assert_eq!(read(&visual), "العدد 3.14 تقريبا");
        let visual = format!("{} Python 3 {}", reversed("كثيرا"), reversed("نستعمل"));
        assert_eq!(read(&visual), "نستعمل Python 3 كثيرا");
    }

    #[test]
    fn arabic_words_inside_latin_keep_the_line() {
        let visual = format!("Le mot {} veut dire", reversed("كتاب كبير"));
        assert_eq!(read(&visual), "Le mot كتاب كبير veut dire");
    }

    #[test]
    fn a_ligature_keeps_its_inner_order() {
        let pieces = ["م", "لا", "س"].map(String::from).to_vec();
        assert_eq!(logical(pieces), "سلام");
    }
}
