//! The language of a question.

use riwaq_index::Language;
use riwaq_index::analysis::tokens;

/// Words that a question has whatever it is about, in their normalised form.
const FRENCH: &[&str] = &[
    "au",
    "aux",
    "avec",
    "c",
    "ce",
    "ces",
    "cette",
    "combien",
    "comment",
    "d",
    "dans",
    "de",
    "des",
    "dois",
    "donne",
    "du",
    "elle",
    "en",
    "entre",
    "est",
    "et",
    "explique",
    "expliquer",
    "faut",
    "il",
    "ils",
    "je",
    "l",
    "la",
    "le",
    "les",
    "leur",
    "lors",
    "ma",
    "mes",
    "moi",
    "mon",
    "n",
    "ne",
    "nous",
    "ou",
    "par",
    "pas",
    "peut",
    "peux",
    "pour",
    "pourquoi",
    "qu",
    "quand",
    "que",
    "quel",
    "quelle",
    "quelles",
    "quels",
    "quest",
    "qui",
    "quoi",
    "s",
    "sa",
    "sans",
    "ses",
    "sert",
    "son",
    "sont",
    "sous",
    "sur",
    "t",
    "tu",
    "un",
    "une",
    "va",
    "vers",
    "vous",
    "y",
];
const ENGLISH: &[&str] = &[
    "about", "am", "an", "and", "any", "are", "at", "be", "between", "by", "can", "could",
    "define", "did", "do", "does", "explain", "for", "from", "give", "has", "have", "how", "i",
    "if", "in", "is", "it", "its", "me", "my", "not", "of", "or", "our", "should", "tell", "that",
    "the", "their", "there", "these", "this", "to", "was", "we", "were", "what", "whats", "when",
    "where", "which", "who", "why", "will", "with", "would", "you", "your",
];

/// French, Arabic or English; none where the question does not tell ("API REST?").
pub(crate) fn language_of(question: &str) -> Option<Language> {
    let letters = question.chars().filter(|c| c.is_alphabetic()).count();
    let arabic = question
        .chars()
        .filter(|c| c.is_alphabetic() && is_arabic(*c))
        .count();
    // Terms in Latin letters stand in many an Arabic question, Arabic ones in hardly any other.
    if arabic > 0 && arabic * 4 >= letters {
        return Some(Language::Arabic);
    }
    let words = tokens(question, Language::Other);
    let count = |list: &[&str]| {
        words
            .iter()
            .filter(|word| list.contains(&word.exact.as_str()))
            .count()
    };
    // Elision is French only, and the analysis splits it off.
    let elided = question.matches(['\'', '\u{2019}']).count();
    let accented = question
        .chars()
        .filter(|c| "éèêëàâçùûîïôœÉÈÊÀÇŒ".contains(*c))
        .count();
    let (french, english) = (
        count(FRENCH) + elided.min(1) + accented.min(1),
        count(ENGLISH),
    );
    match french.cmp(&english) {
        std::cmp::Ordering::Greater => Some(Language::French),
        std::cmp::Ordering::Less => Some(Language::English),
        std::cmp::Ordering::Equal => None,
    }
}

const fn is_arabic(c: char) -> bool {
    matches!(c, '\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}' | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_languages_are_told_apart_by_a_few_words() {
        for (question, expected) in [
            ("Qu'est-ce qu'un arbre binaire ?", Some(Language::French)),
            ("Complexité du tri rapide", Some(Language::French)),
            ("comment marche la recursivite", Some(Language::French)),
            ("What is a binary tree?", Some(Language::English)),
            ("how does quicksort work", Some(Language::English)),
            ("ما هي الشجرة الثنائية؟", Some(Language::Arabic)),
            ("ما هو API REST", Some(Language::Arabic)),
            ("API REST?", None),
            ("", None),
            ("؟؟ 123", None),
        ] {
            assert_eq!(language_of(question), expected, "{question}");
        }
    }
}
