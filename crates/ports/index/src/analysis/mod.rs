//! How text becomes words: the same for every adapter and for both sides, index and question.
//!
//! A word has two forms. The *exact* form is normalised (NFKC, lower case, accents folded, Arabic
//! letter forms unified, vowel marks and invisible characters dropped). The *stem* is what is left
//! of it after the stemmer of its language; stop words have none. The rules for Arabic follow
//! Larkey's light10 as Lucene applies it; French and English use Snowball; elision is split off
//! (`l'algorithme` is the word `algorithme`).

mod arabic;
mod normalise;
mod query;
mod segment;
mod stop_words;

use std::ops::Range;

use frostem::{Algorithm, Stemmer};

pub use query::{Matches, QueryTerms, Word};

use crate::Language;
use normalise::Normalised;

/// Counted up when a rule changes: words that were stored under other rules are not found any more,
/// and their index must be rebuilt.
pub const VERSION: u32 = 1;

/// Longest word, in characters; what is longer (encoded data, keys) is not a word.
pub const WORD_CHARS: usize = 64;

/// What a plural must leave, in bytes.
const SHORTEST_SINGULAR: usize = 3;

/// One word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The normalised form.
    pub exact: String,
    /// The stem in the text's language; none for a stop word.
    pub stem: Option<String>,
    /// Where it stands in the text, in bytes.
    pub span: Range<usize>,
}

/// One word of a text, before any language is considered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spelling {
    /// As it is spelt: composed, lower case, accents and vowel marks kept. For an engine with
    /// stemmers and stop words of its own; contains no white space.
    pub spelt: String,
    /// The normalised form, that of [`Token::exact`].
    pub exact: String,
}

/// Calls `each` for every word of `text`, in order, without stemming it.
pub fn for_each_spelling(text: &str, mut each: impl FnMut(Spelling)) {
    segment::for_each_word(text, |raw| {
        if let Some(normalised) = normalise::word(&raw) {
            each(Spelling {
                spelt: normalise::spelt(&raw),
                exact: normalised.exact,
            });
        }
    });
}

/// Calls `each` for every word of `text`, in order.
pub fn for_each_token(text: &str, language: Language, each: impl FnMut(Token)) {
    for_each_token_like(text, language, |_| true, each);
}

/// Leaves out words that begin with an ASCII letter or digit (in lower case) that is not `wanted`:
/// neither normalising nor stemming changes that one, and most of a text is spared the work.
fn for_each_token_like(
    text: &str,
    language: Language,
    wanted: impl Fn(char) -> bool,
    mut each: impl FnMut(Token),
) {
    let stemmers = Stemmers::new();
    segment::for_each_word(text, |word| {
        let initial = word.parts.first().and_then(|part| part.chars().next());
        if initial.is_some_and(|c| c.is_ascii() && !wanted(c.to_ascii_lowercase())) {
            return;
        }
        let Some(normalised) = normalise::word(&word) else {
            return;
        };
        let stem = stemmers.document_stem(&normalised, language);
        each(Token {
            exact: normalised.exact,
            stem,
            span: word.span,
        });
    });
}

/// Every word of `text`, in order.
#[must_use]
pub fn tokens(text: &str, language: Language) -> Vec<Token> {
    let mut all = Vec::new();
    for_each_token(text, language, |token| all.push(token));
    all
}

/// The stemmers of all languages.
struct Stemmers {
    french: Stemmer,
    english: Stemmer,
}

impl Stemmers {
    fn new() -> Self {
        Self {
            french: Stemmer::new(Algorithm::French),
            english: Stemmer::new(Algorithm::English),
        }
    }

    fn french(&self, word: &Normalised) -> String {
        // Stemmed with its accents, which the French rules read, and folded afterwards.
        let stem = normalise::fold(&self.french.stem(&word.accented));
        // Snowball leaves the plural of short words: tris, lois, jeux.
        let singular = stem
            .strip_suffix('s')
            .or_else(|| stem.strip_suffix('x').filter(|rest| rest.ends_with("eu")));
        match singular {
            Some(singular) if singular.len() >= SHORTEST_SINGULAR => singular.to_owned(),
            _ => stem,
        }
    }

    fn english(&self, word: &Normalised) -> String {
        self.english.stem(&word.exact).into_owned()
    }

    fn document_stem(&self, word: &Normalised, language: Language) -> Option<String> {
        if word.arabic {
            let stop = stop_words::is_arabic(&word.exact);
            return (!stop).then(|| arabic::light10(&word.exact));
        }
        match language {
            Language::English => {
                (!stop_words::is_english(&word.accented)).then(|| self.english(word))
            }
            // French terms are what stands between Arabic words most often; and where the
            // language is not known, a stemmer that both sides use does no harm.
            Language::French | Language::Arabic | Language::Other => {
                (!stop_words::is_french(&word.accented)).then(|| self.french(word))
            }
        }
    }

    /// Every stem that the word may have in a text of any language.
    fn query_stems(&self, word: &Normalised) -> Vec<String> {
        if word.arabic {
            return vec![arabic::light10(&word.exact)];
        }
        let mut stems = vec![self.french(word)];
        let english = self.english(word);
        if !stems.contains(&english) {
            stems.push(english);
        }
        stems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(text: &str) -> Vec<String> {
        tokens(text, Language::French)
            .into_iter()
            .map(|token| token.exact)
            .collect()
    }

    fn stems(text: &str, language: Language) -> Vec<Option<String>> {
        tokens(text, language)
            .into_iter()
            .map(|token| token.stem)
            .collect()
    }

    #[test]
    fn composed_and_decomposed_accents_ligatures_and_soft_hyphens_are_one_word() {
        assert_eq!(exact("\u{e9}l\u{e8}ve"), ["eleve"]);
        assert_eq!(exact("e\u{301}le\u{300}ve"), ["eleve"]);
        assert_eq!(exact("con\u{fb01}ance"), ["confiance"]);
        assert_eq!(exact("algo\u{ad}rithme"), ["algorithme"]);
        assert_eq!(exact("CŒUR Straße"), ["coeur", "strasse"]);
    }

    #[test]
    fn a_spelling_keeps_what_an_engine_with_its_own_rules_wants_to_see() {
        let mut all = Vec::new();
        for_each_spelling(
            "L’E\u{301}le\u{300}ve, جامعـــةٌ x² aujourd'hui",
            |word| {
                all.push((word.spelt, word.exact));
            },
        );
        let expected = [
            ("élève", "eleve"),
            ("جامعـــةٌ", "جامعه"),
            ("x2", "x2"),
            ("aujourdhui", "aujourdhui"),
        ];
        assert_eq!(all, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn elision_and_the_possessive_are_split_off() {
        assert_eq!(exact("l'algorithme"), ["algorithme"]);
        assert_eq!(exact("Qu\u{2019}est-ce"), ["est", "ce"]);
        assert_eq!(exact("jusqu'aujourd'hui"), ["aujourdhui"]);
        assert_eq!(exact("the student's don't"), ["the", "student", "dont"]);
    }

    #[test]
    fn the_span_of_a_token_is_its_place_in_the_original() {
        let text = "« L'élève » lit";
        let spans: Vec<_> = tokens(text, Language::French)
            .into_iter()
            .map(|token| &text[token.span])
            .collect();
        assert_eq!(spans, ["élève", "lit"]);
    }

    #[test]
    fn arabic_letter_forms_marks_and_digits_are_unified() {
        assert_eq!(exact("أحمد إلى آلة ٱلله"), ["احمد", "الي", "اله", "الله"]);
        assert_eq!(exact("مُحَمَّد"), ["محمد"]);
        assert_eq!(exact("جامعـــة"), ["جامعه"]);
        assert_eq!(exact("کتاب علی"), ["كتاب", "علي"]);
        assert_eq!(exact("٢٠٢٦ ۱۴"), ["2026", "14"]);
        assert_eq!(exact("\u{200f}سلام\u{200e}"), ["سلام"]);
        assert_eq!(exact("\u{fefb}"), ["لا"]);
    }

    #[test]
    fn arabic_words_are_stemmed_in_a_text_of_any_language() {
        for language in [Language::Arabic, Language::French, Language::Other] {
            assert_eq!(stems("والجامعات", language), [Some("جامع".to_owned())]);
            assert_eq!(stems("الجامعة", language), [Some("جامع".to_owned())]);
        }
    }

    #[test]
    fn inflected_words_meet_in_their_stem() {
        for (one, other, language) in [
            ("algorithme", "algorithmes", Language::French),
            ("élève", "élèves", Language::French),
            ("programmer", "programmation", Language::French),
            ("tri", "tris", Language::French),
            ("jeu", "jeux", Language::French),
            ("réseau", "réseaux", Language::French),
            ("networks", "networking", Language::English),
            ("المدرسة", "مدرسة", Language::Arabic),
            ("معلمون", "المعلمين", Language::Arabic),
        ] {
            let (one_stem, other_stem) = (stems(one, language), stems(other, language));
            assert!(one_stem[0].is_some());
            assert_eq!(one_stem, other_stem, "{one} {other}");
        }
    }

    #[test]
    fn stop_words_have_no_stem() {
        assert_eq!(stems("la", Language::French), [None]);
        assert_eq!(stems("the", Language::English), [None]);
        assert_eq!(stems("في", Language::Arabic), [None]);
        assert_eq!(stems("وفي", Language::Arabic), [None]);
        assert!(
            stems("thé", Language::English)[0].is_some(),
            "not the article"
        );
    }

    #[test]
    fn ideographs_are_words_of_their_own_and_endless_words_are_none() {
        assert_eq!(exact("東京 data"), ["東", "京", "data"]);
        assert_eq!(exact(&"x".repeat(WORD_CHARS)).len(), 1);
        assert!(exact(&"x".repeat(WORD_CHARS + 1)).is_empty());
    }

    #[test]
    fn nothing_is_found_in_nothing() {
        for text in [
            "",
            " ",
            "\u{200f}\u{ad}\u{301}",
            "'",
            "''''",
            "\0\u{1}\u{7f}",
            "…—«»",
        ] {
            assert!(exact(text).is_empty(), "{text:?}");
        }
    }
}
