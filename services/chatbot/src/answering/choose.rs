//! Which sentences answer a question.
//!
//! A sentence is worth the rarity of the question's words that it has; the first is the best of
//! all, each further one is chosen for what it adds. Passages that have too few of the question's
//! words are not looked at: then there is no answer, which is better than a wrong one.

use std::ops::Range;

use riwaq_index::Language;
use riwaq_index::analysis::{Matches, QueryTerms};

use super::question::Reading;
use super::sentences::sentences;

/// A text that may be quoted, in the order in which the search likes them.
#[derive(Debug, Clone)]
pub(crate) struct Source<'s> {
    pub(crate) text: &'s str,
    pub(crate) heading: &'s str,
    pub(crate) language: Language,
}

/// How many and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) coverage_min: f32,
    pub(crate) quotes_max: usize,
    pub(crate) quote_max_chars: usize,
}

/// What to quote: which source, and which part of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quote {
    pub(crate) source: usize,
    pub(crate) range: Range<usize>,
}

/// A further quotation must be worth this much of the first one.
const WORTH_SHARE: f64 = 0.4;
/// What a word is worth that an earlier quotation has already.
const AGAIN: f64 = 0.5;
/// Each place further down in the search's order makes a sentence worth less by this.
const RANK_LOSS: f64 = 0.05;
/// A sentence shorter than this, in characters, takes the next one along.
const SHORT_CHARS: usize = 60;

struct Candidate {
    source: usize,
    range: Range<usize>,
    matches: Matches,
    factor: f64,
}

/// The quotations, the best first; none when nothing answers.
pub(crate) fn choose(reading: &Reading, sources: &[Source<'_>], limits: Limits) -> Vec<Quote> {
    let admitted = admitted(reading, sources, limits.coverage_min);
    let mut candidates: Vec<Candidate> = admitted
        .iter()
        .enumerate()
        .flat_map(|(rank, at)| candidates(&reading.terms, *at, &sources[*at], rank))
        .collect();
    let weights = weights(reading.terms.words().len(), &candidates);
    candidates.retain(|candidate| candidate.matches.found.contains(&true));

    let mut covered = vec![false; weights.len()];
    let mut chosen: Vec<Quote> = Vec::new();
    let mut first_worth = 0.0;
    while chosen.len() < limits.quotes_max {
        let worths: Vec<f64> = candidates
            .iter()
            .map(|candidate| worth(candidate, &weights, &covered))
            .collect();
        // At equal worth the one that comes first in the search's order.
        let best =
            (0..worths.len()).max_by(|a, b| worths[*a].total_cmp(&worths[*b]).then(b.cmp(a)));
        let Some(best) = best else { break };
        let (value, best) = (worths[best], candidates.remove(best));
        if chosen.is_empty() {
            first_worth = value;
        } else if value < first_worth * WORTH_SHARE {
            break;
        }
        best.matches
            .found
            .iter()
            .zip(&mut covered)
            .for_each(|(found, covered)| *covered |= found);
        let source = &sources[best.source];
        let range = bounded(source, &best, limits.quote_max_chars);
        let text = &source.text[range.clone()];
        candidates.retain(|other| !repeats(text, &sources[other.source].text[other.range.clone()]));
        candidates.retain(|other| other.source != best.source || !overlap(&range, &other.range));
        chosen.push(Quote {
            source: best.source,
            range,
        });
    }
    // The words may stand in the passage without ever standing together.
    let share =
        covered.iter().filter(|covered| **covered).count() as f32 / covered.len().max(1) as f32;
    if share < limits.coverage_min / 2.0 {
        Vec::new()
    } else {
        chosen
    }
}

/// Passages with enough of the question's words: those in its language where there are any. Where
/// none has enough alone ("what is the difference between a stack and a queue?"), those that have
/// at least half, if together they have every word.
fn admitted(reading: &Reading, sources: &[Source<'_>], coverage_min: f32) -> Vec<usize> {
    if reading.terms.is_empty() {
        return Vec::new();
    }
    let matches: Vec<Matches> = sources
        .iter()
        .map(|source| {
            let mut matches = reading.terms.matches(source.text, source.language);
            matches.also(&reading.terms.matches(source.heading, source.language));
            matches
        })
        .collect();
    // Two of three is 0.6666… and must pass at 0.6667.
    let having = |share: f32| -> Vec<usize> {
        (0..sources.len())
            .filter(|at| matches[*at].coverage() + 1e-4 >= share)
            .collect()
    };
    let mut fitting = having(coverage_min);
    if fitting.is_empty() {
        fitting = having(0.5);
        let mut together = Matches {
            found: vec![false; reading.terms.words().len()],
            highlights: Vec::new(),
        };
        fitting.iter().for_each(|at| together.also(&matches[*at]));
        if together.found.contains(&false) {
            return Vec::new();
        }
    }
    let same_language: Vec<usize> = fitting
        .iter()
        .copied()
        .filter(|at| reading.language == Some(sources[*at].language))
        .collect();
    if same_language.is_empty() {
        fitting
    } else {
        same_language
    }
}

fn candidates<'s>(
    terms: &'s QueryTerms,
    at: usize,
    source: &'s Source<'s>,
    rank: usize,
) -> impl Iterator<Item = Candidate> + use<'s> {
    sentences(source.text).into_iter().map(move |range| {
        let text = &source.text[range.clone()];
        let mut factor = 1.0 / (1.0 + RANK_LOSS * rank as f64);
        let words = text.split_whitespace().count();
        if words < 4 {
            // A heading, or a piece of a table.
            factor *= 0.4;
        }
        if text.ends_with(['?', '؟']) {
            // Another question is no answer.
            factor *= 0.4;
        }
        Candidate {
            source: at,
            range,
            matches: terms.matches(text, source.language),
            factor,
        }
    })
}

/// The rarer a word among the sentences, the more it says.
fn weights(words: usize, candidates: &[Candidate]) -> Vec<f64> {
    let having = |word: usize| {
        candidates
            .iter()
            .filter(|candidate| candidate.matches.found[word])
            .count()
    };
    (0..words)
        .map(|word| (1.0 + candidates.len() as f64 / having(word).max(1) as f64).ln())
        .collect()
}

fn worth(candidate: &Candidate, weights: &[f64], covered: &[bool]) -> f64 {
    let found = candidate
        .matches
        .found
        .iter()
        .zip(weights)
        .zip(covered)
        .filter(|((found, _), _)| **found);
    let sum: f64 = found
        .map(|((_, weight), covered)| if *covered { weight * AGAIN } else { *weight })
        .sum();
    sum * candidate.factor
}

/// The same sentence in another file, or in another version of it.
fn repeats(one: &str, other: &str) -> bool {
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_lowercase)
            .collect::<Vec<_>>()
    };
    words(one) == words(other)
}

fn overlap(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start < other.end && other.start < one.end
}

/// A short sentence with the next one of its paragraph; a long one cut around its matches, between
/// words.
fn bounded(source: &Source<'_>, candidate: &Candidate, max_chars: usize) -> Range<usize> {
    let text = source.text;
    let range = candidate.range.clone();
    let chars = text[range.clone()].chars().count();
    if chars > max_chars {
        return cut(text, range, &candidate.matches, max_chars);
    }
    if chars >= SHORT_CHARS {
        return range;
    }
    let next = sentences(text)
        .into_iter()
        .find(|next| next.start >= range.end);
    let Some(next) = next.filter(|next| !text[range.end..next.start].contains('\n')) else {
        return range;
    };
    let joined = range.start..next.end;
    if text[joined.clone()].chars().count() <= max_chars {
        joined
    } else {
        range
    }
}

fn cut(text: &str, range: Range<usize>, matches: &Matches, max_chars: usize) -> Range<usize> {
    let sentence = &text[range.clone()];
    let first = matches
        .highlights
        .first()
        .map_or(0, |highlight| highlight.start);
    let last = matches
        .highlights
        .last()
        .map_or(0, |highlight| highlight.end);
    // The matches in the middle; when they are too far apart, from the first one on.
    let room = max_chars.saturating_sub(last.saturating_sub(first));
    let from = first.saturating_sub(room / 2);
    let starts: Vec<usize> = sentence
        .char_indices()
        .map(|(at, _)| at)
        .chain(std::iter::once(sentence.len()))
        .collect();
    let to = (from + max_chars).min(starts.len() - 1);
    let (mut start, mut end) = (starts[from], starts[to]);
    if start > 0 {
        start = sentence[start..end]
            .find(char::is_whitespace)
            .map_or(start, |at| start + at);
    }
    if end < sentence.len() {
        end = sentence[start..end]
            .rfind(char::is_whitespace)
            .filter(|at| *at > 0)
            .map_or(end, |at| start + at);
    }
    let piece = &sentence[start..end];
    let lead = piece.len() - piece.trim_start().len();
    let start = range.start + start + lead;
    start..start + piece.trim().len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        coverage_min: 0.6,
        quotes_max: 3,
        quote_max_chars: 400,
    };

    fn source(text: &str, language: Language) -> Source<'_> {
        Source {
            text,
            heading: "",
            language,
        }
    }

    fn quotes<'s>(question: &str, sources: &[Source<'s>]) -> Vec<&'s str> {
        let chosen = choose(&Reading::of(question), sources, LIMITS);
        chosen
            .into_iter()
            .map(|quote| &sources[quote.source].text[quote.range])
            .collect()
    }

    #[test]
    fn the_sentence_that_has_the_words_together_comes_first() {
        let text = "Ce chapitre présente les structures de données. Un arbre binaire est un arbre dont chaque nœud a au \
                    plus deux fils. La recherche est expliquée plus loin.";
        let found = quotes(
            "Qu'est-ce qu'un arbre binaire ?",
            &[source(text, Language::French)],
        );
        assert_eq!(
            found,
            ["Un arbre binaire est un arbre dont chaque nœud a au plus deux fils."]
        );
    }

    #[test]
    fn a_passage_with_too_few_of_the_words_is_not_quoted() {
        let text = "Le capital d'une entreprise est la somme des apports des associés.";
        let sources = [source(text, Language::French)];
        assert!(quotes("Quelle est la capitale de la Mongolie ?", &sources).is_empty());
        assert!(quotes("capital Mongolie", &sources).is_empty());
        assert_eq!(
            quotes("capital entreprise Mongolie", &sources).len(),
            1,
            "two of three"
        );
        assert!(quotes("؟", &sources).is_empty());
    }

    #[test]
    fn passages_in_the_language_of_the_question_go_first() {
        let english = source(
            "A stack is a list where the last element in is the first one out.",
            Language::English,
        );
        let french = source(
            "La stack, ou pile, est une liste où le dernier arrivé sort le premier.",
            Language::French,
        );
        let sources = [english.clone(), french];
        assert!(quotes("C'est quoi une stack ?", &sources)[0].starts_with("La stack"));
        assert!(quotes("What is a stack?", &sources)[0].starts_with("A stack"));
        assert!(
            quotes("C'est quoi une stack ?", &[english])[0].starts_with("A stack"),
            "better than nothing"
        );
    }

    #[test]
    fn arabic_is_found_across_its_forms() {
        let text = "الخوارزمية هي مجموعة من الخطوات المنتهية لحل مسألة معينة. وتكتب الخوارزميات بلغة واضحة.";
        let found = quotes("ما هي الخوارزميات؟", &[source(text, Language::Arabic)]);
        assert!(found[0].contains("الخوارزمي"), "{found:?}");
    }

    #[test]
    fn the_same_sentence_is_quoted_once_and_each_further_one_adds_something() {
        let text = "Le tri rapide a une complexité moyenne en n log n comparaisons.";
        let more = "Dans le pire des cas, la complexité du tri rapide devient quadratique.";
        let sources = [
            source(text, Language::French),
            source(text, Language::French),
            source(more, Language::French),
        ];
        assert_eq!(quotes("complexité du tri rapide", &sources).len(), 2);
    }

    #[test]
    fn a_question_in_the_text_is_no_answer() {
        let text = "Qu'est-ce qu'une pile en informatique ? Une pile est une structure où l'on ajoute et retire au même bout.";
        let found = quotes("C'est quoi une pile ?", &[source(text, Language::French)]);
        assert!(found[0].starts_with("Une pile"), "{found:?}");
    }

    #[test]
    fn a_long_sentence_is_cut_between_words_around_its_matches() {
        let text = format!(
            "{} la récursivité terminale {}.",
            "avant ".repeat(200),
            "après ".repeat(200)
        );
        let found = quotes("récursivité terminale", &[source(&text, Language::French)]);
        assert!(found[0].chars().count() <= LIMITS.quote_max_chars);
        assert!(found[0].contains("la récursivité terminale"), "{found:?}");
        assert!(
            found[0].starts_with("avant") && found[0].ends_with("après"),
            "{found:?}"
        );
    }

    proptest! {
        #[test]
        fn quotations_are_bounded_parts_of_their_source(
            texts in proptest::collection::vec("([a-d]{1,4}[ .?\n]{1,2}){0,60}", 0..4),
            question in "([a-d]{1,3} ){0,4}",
            quote_max_chars in 80_usize..200,
        ) {
            let sources: Vec<_> = texts.iter().map(|text| source(text, Language::French)).collect();
            let limits = Limits { quote_max_chars, ..LIMITS };
            let chosen = choose(&Reading::of(&question), &sources, limits);
            prop_assert!(chosen.len() <= limits.quotes_max);
            for quote in &chosen {
                let text = &sources[quote.source].text[quote.range.clone()];
                prop_assert!(!text.is_empty() && text.trim() == text);
                prop_assert!(text.chars().count() <= quote_max_chars);
            }
        }

        #[test]
        fn any_text_and_question_are_survived(text in any::<String>(), question in any::<String>()) {
            let sources = [source(&text, Language::Other)];
            for quote in choose(&Reading::of(&question), &sources, LIMITS) {
                prop_assert!(!text[quote.range].is_empty());
            }
        }
    }
}
