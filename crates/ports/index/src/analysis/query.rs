//! A question as words, and where a text answers it.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::{Stemmers, for_each_token_like, normalise, segment, stop_words};
use crate::{Language, limits};

/// One word of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// As it was spelt, in lower case: see [`Spelling`](super::Spelling).
    pub spelt: String,
    /// The normalised form.
    pub exact: String,
    /// The stems that it may have, one a language.
    pub stems: Vec<String>,
}

/// The words that a question looks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryTerms {
    words: Vec<Word>,
}

/// How a text answers a question.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matches {
    /// Which words of the question stand in the text, in the order of [`QueryTerms::words`].
    pub found: Vec<bool>,
    /// Where, in characters, in order.
    pub highlights: Vec<Range<usize>>,
}

struct Candidate {
    word: Word,
    /// French, English: a stop word there.
    stop: [bool; 2],
    /// A stop word in Arabic, whose script leaves no doubt.
    stop_arabic: bool,
}

impl QueryTerms {
    /// Reads what a person typed. Nothing in it is an operator. Stop words are left out unless
    /// there is nothing else; a repeated word counts once.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let candidates = candidates(head(text, limits::QUERY_BYTES));
        let languages = spoken(&candidates);
        let is_stop = |candidate: &Candidate| {
            candidate.stop_arabic
                || candidate
                    .stop
                    .iter()
                    .zip(languages)
                    .any(|(stop, spoken)| *stop && spoken)
        };
        let any_content = candidates.iter().any(|candidate| !is_stop(candidate));
        let words = candidates
            .into_iter()
            .filter(|candidate| !any_content || !is_stop(candidate))
            .map(|candidate| candidate.word)
            .take(limits::QUERY_WORDS)
            .collect();
        Self { words }
    }

    /// The words, each once.
    #[must_use]
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// Whether there is nothing to look for; such a question finds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Where the words stand in a text.
    #[must_use]
    pub fn matches(&self, text: &str, language: Language) -> Matches {
        let mut by_exact = HashMap::new();
        let mut by_stem: HashMap<&str, Vec<usize>> = HashMap::new();
        for (number, word) in self.words.iter().enumerate() {
            by_exact.insert(word.exact.as_str(), number);
            for stem in &word.stems {
                by_stem.entry(stem).or_default().push(number);
            }
        }
        let initials: HashSet<char> = by_exact
            .keys()
            .chain(by_stem.keys())
            .filter_map(|word| word.chars().next())
            .collect();
        let mut found = vec![false; self.words.len()];
        let mut highlights = Vec::new();
        let mut place = CharPlace {
            text,
            byte: 0,
            char: 0,
        };
        for_each_token_like(
            text,
            language,
            |c| initials.contains(&c),
            |token| {
                let exact = by_exact.get(token.exact.as_str()).copied();
                let stems = token.stem.as_deref().and_then(|stem| by_stem.get(stem));
                if exact.is_none() && stems.is_none() {
                    return;
                }
                for number in exact
                    .into_iter()
                    .chain(stems.into_iter().flatten().copied())
                {
                    found[number] = true;
                }
                let from = place.chars_before(token.span.start);
                highlights.push(from..place.chars_before(token.span.end));
            },
        );
        Matches { found, highlights }
    }
}

impl Matches {
    /// Counts what another text of the same document answers too.
    pub fn also(&mut self, other: &Self) {
        for (mine, theirs) in self.found.iter_mut().zip(&other.found) {
            *mine |= theirs;
        }
    }

    /// The share of the words that were found, 0 to 1.
    #[must_use]
    pub fn coverage(&self) -> f32 {
        if self.found.is_empty() {
            return 0.0;
        }
        let found = self.found.iter().filter(|found| **found).count();
        found as f32 / self.found.len() as f32
    }
}

/// Counts characters up to growing byte offsets, in one pass over the text.
struct CharPlace<'t> {
    text: &'t str,
    byte: usize,
    char: usize,
}

impl CharPlace<'_> {
    fn chars_before(&mut self, byte: usize) -> usize {
        self.char += self.text[self.byte..byte].chars().count();
        self.byte = byte;
        self.char
    }
}

fn candidates(text: &str) -> Vec<Candidate> {
    let stemmers = Stemmers::new();
    let mut all: Vec<Candidate> = Vec::new();
    segment::for_each_word(text, |raw| {
        let Some(normalised) = normalise::word(&raw) else {
            return;
        };
        if all.iter().any(|known| known.word.exact == normalised.exact) {
            return;
        }
        let stop = [
            stop_words::is_french(&normalised.accented),
            stop_words::is_english(&normalised.accented),
        ];
        let stop_arabic = normalised.arabic && stop_words::is_arabic(&normalised.exact);
        let stems = stemmers.query_stems(&normalised);
        all.push(Candidate {
            word: Word {
                spelt: normalise::spelt(&raw),
                exact: normalised.exact,
                stems,
            },
            stop,
            stop_arabic,
        });
    });
    all
}

/// Which languages a question is in, French and English, judged by its stop words: a question has
/// too few words for anything else, and "but" is a goal in one language and a stop word in the
/// other.
fn spoken(candidates: &[Candidate]) -> [bool; 2] {
    let count = |which: usize| {
        candidates
            .iter()
            .filter(|candidate| candidate.stop[which])
            .count()
    };
    let counts = [count(0), count(1)];
    let most = counts[0].max(counts[1]);
    counts.map(|count| most > 0 && count == most)
}

/// The first `bytes` of a text, without cutting a character.
fn head(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        QueryTerms::parse(text)
            .words
            .into_iter()
            .map(|word| word.exact)
            .collect()
    }

    #[test]
    fn stop_words_are_left_out_in_the_language_of_the_question() {
        assert_eq!(
            words("Quel est le but de la récursivité ?"),
            ["but", "recursivite"]
        );
        assert_eq!(
            words("what is the goal of recursion but"),
            ["goal", "recursion"]
        );
        assert_eq!(words("ما هي عاصمة المغرب؟"), ["عاصمه", "المغرب"]);
        assert_eq!(words("car engine"), ["car", "engine"]);
    }

    #[test]
    fn a_question_of_stop_words_only_keeps_them() {
        assert_eq!(words("qui suis je"), ["qui", "suis", "je"]);
    }

    #[test]
    fn operators_and_repetitions_are_no_words() {
        assert_eq!(
            words("title:\"graphe\" AND (graphe OR +arbre*)~2^5 [a TO z]"),
            ["title", "graphe", "or", "arbre", "2", "5", "z"]
        );
        assert!(words("*?\"\"()[]{}~^:\\/&&||!+-").is_empty());
    }

    #[test]
    fn an_endless_question_is_cut() {
        let long: String = (0..10_000).map(|number| format!("é{number} ")).collect();
        assert_eq!(words(&long).len(), limits::QUERY_WORDS);
        assert!(words(&"é".repeat(100_000)).is_empty());
    }

    #[test]
    fn highlights_are_character_ranges_of_the_original() {
        let terms = QueryTerms::parse("élève algorithmes");
        let text = "« Élèves » et l’algorithme, e\u{301}le\u{300}ve.";
        let matches = terms.matches(text, Language::French);
        let chars: Vec<char> = text.chars().collect();
        let shown: Vec<String> = matches
            .highlights
            .iter()
            .map(|range| chars[range.clone()].iter().collect())
            .collect();
        assert_eq!(shown, ["Élèves", "algorithme", "e\u{301}le\u{300}ve"]);
        assert!((matches.coverage() - 1.0).abs() < f32::EPSILON);
    }

    #[test]
    fn coverage_is_the_share_of_content_words() {
        let terms = QueryTerms::parse("la complexité du tri rapide");
        let mut matches = terms.matches("Le tri par insertion", Language::French);
        assert!((matches.coverage() - 1.0 / 3.0).abs() < 1e-6);
        matches.also(&terms.matches("Complexité", Language::French));
        assert!((matches.coverage() - 2.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn words_that_are_passed_over_would_not_have_matched() {
        const WORDS: [&str; 20] = [
            "Élève",
            "eleves",
            "l'élève",
            "algorithmes",
            "Algorithme",
            "sky",
            "skies",
            "dying",
            "die",
            "yeux",
            "Œuvre",
            "oeuvres",
            "الجامعة",
            "جامعات",
            "x²",
            "X2",
            "e\u{301}tude",
            "etudes",
            "A",
            "été",
        ];
        for (number, question) in WORDS.iter().enumerate() {
            let terms = QueryTerms::parse(question);
            let text = (0..60)
                .map(|step| WORDS[(step * 7 + number) % 20])
                .collect::<Vec<_>>()
                .join(" ");
            for language in [Language::French, Language::English, Language::Arabic] {
                let expected = super::super::tokens(&text, language)
                    .into_iter()
                    .filter(|token| {
                        terms.words.iter().any(|word| {
                            word.exact == token.exact
                                || token
                                    .stem
                                    .as_ref()
                                    .is_some_and(|stem| word.stems.contains(stem))
                        })
                    });
                let expected = expected.count();
                let found = terms.matches(&text, language).highlights.len();
                assert_eq!(found, expected, "{question} {language:?}");
                assert!(found > 0);
            }
        }
    }
}
