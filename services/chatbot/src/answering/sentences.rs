//! A text in sentences, as ranges of it: a quotation is a range, so that it is exact.

use std::ops::Range;

/// Words with a full stop of their own, in lower case.
const ABBREVIATIONS: &[&str] = &[
    "al", "art", "av", "chap", "cf", "dr", "ed", "éd", "eg", "eq", "éq", "etc", "ex", "fig", "ie",
    "m", "mme", "mr", "mrs", "no", "p", "pp", "pr", "prof", "ref", "réf", "sec", "st", "tab",
    "vol", "vs",
];

/// The sentences, in order, without the white space around them. None is empty.
///
/// A sentence ends at its punctuation, at an empty line, and before the next entry of a list.
pub(crate) fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let after = at + c.len_utf8();
        let ends = match c {
            '\n' => paragraph_ends(&text[after..]),
            '.' | '!' | '?' | '…' | '؟' | '۔' | '。' => {
                // Closing marks belong to the sentence.
                let closed = closing_marks(&text[after..]);
                while chars.peek().is_some_and(|(next, _)| *next < after + closed) {
                    chars.next();
                }
                let end = chars.peek().map_or(text.len(), |(next, _)| *next);
                sentence_ends(text, at, c, end)
            }
            _ => false,
        };
        if ends {
            let end = chars.peek().map_or(text.len(), |(next, _)| *next);
            push(text, start..end, &mut found);
            start = end;
        }
    }
    push(text, start..text.len(), &mut found);
    found
}

fn push(text: &str, range: Range<usize>, found: &mut Vec<Range<usize>>) {
    let piece = &text[range.clone()];
    let trimmed = piece.trim();
    if trimmed.chars().any(char::is_alphanumeric) {
        let start = range.start + (piece.len() - piece.trim_start().len());
        found.push(start..start + trimmed.len());
    }
}

fn paragraph_ends(rest: &str) -> bool {
    let line = rest.trim_start_matches([' ', '\t', '\u{a0}']);
    line.starts_with(['\n', '\r']) || is_list_entry(line)
}

fn is_list_entry(line: &str) -> bool {
    if let Some(entry) = line.strip_prefix(['-', '•', '–', '*', '▪', '◦', '·']) {
        return entry.starts_with(char::is_whitespace);
    }
    let number = line.trim_start_matches(|c: char| c.is_numeric());
    let digits = line.len() - number.len();
    (1..=6).contains(&digits)
        && number
            .strip_prefix(['.', ')'])
            .is_some_and(|entry| entry.starts_with(char::is_whitespace))
}

/// How many bytes of closing marks follow; French puts a space before its own.
fn closing_marks(rest: &str) -> usize {
    let tight = rest.len() - rest.trim_start_matches(is_closing).len();
    let spaced = rest[tight..].trim_start_matches([' ', '\u{a0}', '\u{202f}']);
    match spaced.strip_prefix('»') {
        Some(after) => rest.len() - after.len(),
        None => tight,
    }
}

const fn is_closing(c: char) -> bool {
    matches!(
        c,
        '"' | '\'' | '»' | '”' | '’' | ')' | ']' | '.' | '!' | '?' | '؟'
    )
}

/// `mark` stands at `at`; `end` is behind it and its closing marks.
fn sentence_ends(text: &str, at: usize, mark: char, end: usize) -> bool {
    let rest = &text[end..];
    let mut next = rest.chars();
    match next.next() {
        None => return true,
        // 3.14, www.example, a.b
        Some(c) if !c.is_whitespace() && mark == '.' => return false,
        Some(_) => {}
    }
    if mark != '.' && mark != '…' {
        return true;
    }
    let follows = rest.trim_start().chars().next();
    if follows.is_some_and(char::is_lowercase) {
        return false;
    }
    let word: String = text[..at]
        .chars()
        .rev()
        .take_while(|c| c.is_alphabetic())
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    let initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    !initial && !ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(text: &str) -> Vec<&str> {
        sentences(text)
            .into_iter()
            .map(|range| &text[range])
            .collect()
    }

    #[test]
    fn sentences_end_at_their_punctuation() {
        assert_eq!(
            split(
                "Un graphe est un couple (S, A). Il est orienté ! Pourquoi ? Voir p. 12 et fig. 3."
            ),
            [
                "Un graphe est un couple (S, A).",
                "Il est orienté !",
                "Pourquoi ?",
                "Voir p. 12 et fig. 3."
            ]
        );
        assert_eq!(
            split("ما هي الخوارزمية؟ هي سلسلة من الخطوات."),
            ["ما هي الخوارزمية؟", "هي سلسلة من الخطوات."]
        );
        assert_eq!(
            split("Il dit « oui. » Puis rien."),
            ["Il dit « oui. »", "Puis rien."]
        );
        assert_eq!(
            split("He said \"yes.\" Then nothing."),
            ["He said \"yes.\"", "Then nothing."]
        );
    }

    #[test]
    fn numbers_addresses_initials_and_abbreviations_do_not_end_a_sentence() {
        for whole in [
            "La valeur de π est 3.14 environ.",
            "Voir www.example.org pour plus.",
            "D. Knuth a écrit cela.",
            "Le terme etc. est courant.",
            "Selon l'éq. 4 du cours.",
        ] {
            assert_eq!(split(whole), [whole]);
        }
    }

    #[test]
    fn lines_are_joined_and_paragraphs_and_list_entries_are_not() {
        assert_eq!(
            split("Une phrase sur\ndeux lignes.\n\nTitre\n\nSuite"),
            ["Une phrase sur\ndeux lignes.", "Titre", "Suite"]
        );
        assert_eq!(
            split("On distingue :\n- les piles\n- les files\n1. empiler\n2) dépiler"),
            [
                "On distingue :",
                "- les piles",
                "- les files",
                "1. empiler",
                "2) dépiler"
            ]
        );
        assert!(split(" \n\n ... !? \n").is_empty());
    }

    proptest! {
        #[test]
        fn sentences_are_in_order_do_not_overlap_and_lose_no_letter(text in "[ab é.!?\n\\-•0-9«»شمة]{0,80}") {
            let ranges = sentences(&text);
            let mut end = 0;
            for range in &ranges {
                prop_assert!(range.start >= end && range.start < range.end);
                end = range.end;
            }
            let kept: usize = ranges.iter().map(|r| text[r.clone()].chars().filter(|c| c.is_alphanumeric()).count()).sum();
            prop_assert_eq!(kept, text.chars().filter(|c| c.is_alphanumeric()).count());
        }

        #[test]
        fn any_text_is_split(text in any::<String>()) {
            for range in sentences(&text) {
                prop_assert!(!text[range].trim().is_empty());
            }
        }
    }
}
