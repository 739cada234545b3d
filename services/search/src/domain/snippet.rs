//! The piece of a passage that is shown with a hit.

use std::ops::Range;

/// Longest snippet, in characters, without the dots.
const MOST_CHARS: usize = 240;
/// How far a word's beginning is looked for.
const WORD_CHARS: usize = 24;

/// A piece of a text, and where words of the question stand in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snippet {
    pub(crate) text: String,
    /// Character ranges of `text`.
    pub(crate) highlights: Vec<[usize; 2]>,
}

/// The piece with the most highlights; dots stand where something was cut off.
pub(crate) fn snippet(text: &str, highlights: &[Range<usize>]) -> Snippet {
    let chars: Vec<char> = text
        .chars()
        .map(|c| if c == '\n' { ' ' } else { c })
        .collect();
    let window = window(&chars, highlights);
    let (cut_before, cut_after) = (window.start > 0, window.end < chars.len());
    let mut shown = String::new();
    if cut_before {
        shown.push('…');
    }
    shown.extend(&chars[window.clone()]);
    if cut_after {
        shown.push('…');
    }
    let shift = |at: usize| at - window.start + usize::from(cut_before);
    let highlights = highlights
        .iter()
        .filter(|range| range.start >= window.start && range.end <= window.end)
        .map(|range| [shift(range.start), shift(range.end)])
        .collect();
    Snippet {
        text: shown,
        highlights,
    }
}

fn window(chars: &[char], highlights: &[Range<usize>]) -> Range<usize> {
    if chars.len() <= MOST_CHARS {
        return 0..chars.len();
    }
    // The window that begins a little before a highlight and holds the most of them.
    let holds = |first: usize| {
        let end = highlights[first].start + MOST_CHARS * 3 / 4;
        highlights[first..]
            .iter()
            .take_while(|range| range.end <= end)
            .count()
    };
    let best = (0..highlights.len()).max_by_key(|first| (holds(*first), usize::MAX - first));
    let from = best.map_or(0, |first| {
        highlights[first].start.saturating_sub(MOST_CHARS / 4)
    });
    let from = from.min(chars.len() - MOST_CHARS);
    let to = from + MOST_CHARS;
    let start = match from {
        0 => 0,
        from => after_space(chars, from),
    };
    let end = if to == chars.len() {
        to
    } else {
        before_space(chars, to)
    };
    start..end
}

/// The beginning of the next word, if it is near.
fn after_space(chars: &[char], from: usize) -> usize {
    let space = chars[from..]
        .iter()
        .take(WORD_CHARS)
        .position(|c| c.is_whitespace());
    space.map_or(from, |space| from + space + 1)
}

/// The end of the word before, if it is near.
fn before_space(chars: &[char], to: usize) -> usize {
    let space = chars[..to]
        .iter()
        .rev()
        .take(WORD_CHARS)
        .position(|c| c.is_whitespace());
    space.map_or(to, |space| to - space - 1)
}

#[cfg(test)]
mod tests {
    use riwaq_index::Language;
    use riwaq_index::analysis::QueryTerms;

    use super::*;

    fn shown(text: &str, question: &str) -> (Snippet, Vec<String>) {
        let matches = QueryTerms::parse(question).matches(text, Language::French);
        let snippet = snippet(text, &matches.highlights);
        let chars: Vec<char> = snippet.text.chars().collect();
        let words = snippet
            .highlights
            .iter()
            .map(|[from, to]| chars[*from..*to].iter().collect());
        let words = words.collect();
        (snippet, words)
    }

    #[test]
    fn a_short_passage_is_shown_whole() {
        let (snippet, words) = shown("L'élève lit\nle théorème.", "eleve théorèmes");
        assert_eq!(snippet.text, "L'élève lit le théorème.");
        assert_eq!(words, ["élève", "théorème"]);
    }

    #[test]
    fn of_a_long_one_the_part_with_the_most_words_is_shown() {
        let filler = "du texte sans rapport aucun ".repeat(20);
        let text = format!(
            "graphe {filler}un graphe orienté a des sommets, un graphe pondéré des poids {filler}"
        );
        let (snippet, words) = shown(&text, "graphe sommet poids");
        assert_eq!(words, ["graphe", "sommets", "graphe", "poids"]);
        assert!(snippet.text.starts_with('…') && snippet.text.ends_with('…'));
        assert!(snippet.text.chars().count() <= MOST_CHARS + 2);
    }

    #[test]
    fn highlights_are_those_of_the_snippet_whatever_the_text() {
        for text in [
            "",
            "x",
            &"mot ".repeat(500),
            &"é".repeat(1_000),
            &"a\u{301} 𝔘 ".repeat(200),
        ] {
            let (snippet, _) = shown(text, "mot");
            let length = snippet.text.chars().count();
            assert!(length <= MOST_CHARS + 2);
            assert!(
                snippet
                    .highlights
                    .iter()
                    .all(|[from, to]| from < to && *to <= length)
            );
        }
        assert_eq!(
            snippet(&"mot ".repeat(500), &[]).highlights,
            Vec::<[usize; 2]>::new()
        );
    }
}
