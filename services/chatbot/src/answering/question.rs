//! What a question looks for: its words without those that only ask.

use riwaq_index::Language;
use riwaq_index::analysis::{QueryTerms, tokens};

use super::language::language_of;

/// Words that ask for an explanation and are not found in one, in their normalised form.
const ASKING: &[&str] = &[
    // French
    "appelle",
    "combien",
    "comment",
    "compare",
    "comparer",
    "comparez",
    "decrire",
    "decris",
    "decrivez",
    "definir",
    "definis",
    "definissez",
    "definition",
    "difference",
    "differences",
    "dire",
    "dis",
    "donne",
    "donner",
    "donnez",
    "explication",
    "explique",
    "expliquer",
    "expliquez",
    "moi",
    "parle",
    "parler",
    "peux",
    "pourquoi",
    "pouvez",
    "quand",
    "quest",
    "quoi",
    "savoir",
    "sert",
    "signification",
    "signifie",
    "signifier",
    "stp",
    "svp",
    "veut",
    "veux",
    "voudrais",
    // English
    "define",
    "describe",
    "between",
    "explain",
    "give",
    "how",
    "know",
    "mean",
    "meaning",
    "means",
    "please",
    "tell",
    "want",
    "what",
    "whats",
    "when",
    "where",
    "which",
    "who",
    "why",
    // Arabic
    "اذكر",
    "اريد",
    "اشرح",
    "الفرق",
    "المقصود",
    "اين",
    "تعريف",
    "بين",
    "عرف",
    "قارن",
    "كم",
    "كيف",
    "لماذا",
    "ما",
    "ماذا",
    "متي",
    "معني",
    "من",
    "هل",
    "هو",
    "هي",
    "وضح",
    "يعني",
    "تعني",
];

/// A question, read.
#[derive(Debug)]
pub(crate) struct Reading {
    /// What is asked of the search.
    pub(crate) query: String,
    /// The content words.
    pub(crate) terms: QueryTerms,
    /// The language of the question, where it tells.
    pub(crate) language: Option<Language>,
}

impl Reading {
    /// Leaves out the asking words, unless there is nothing else.
    pub(crate) fn of(question: &str) -> Self {
        let mut query = String::with_capacity(question.len());
        let mut copied_to = 0;
        let mut content = false;
        for token in tokens(question, Language::Other) {
            if ASKING.contains(&token.exact.as_str()) {
                query.push_str(&question[copied_to..token.span.start]);
                query.push(' ');
                copied_to = token.span.end;
            } else {
                content = true;
            }
        }
        query.push_str(&question[copied_to..]);
        let query = if content {
            query.split_whitespace().collect::<Vec<_>>().join(" ")
        } else {
            question.to_owned()
        };
        Self {
            terms: QueryTerms::parse(&query),
            query,
            language: language_of(question),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(question: &str) -> Vec<String> {
        Reading::of(question)
            .terms
            .words()
            .iter()
            .map(|word| word.exact.clone())
            .collect()
    }

    #[test]
    fn asking_words_are_not_looked_for() {
        assert_eq!(words("Explique-moi la récursivité"), ["recursivite"]);
        assert_eq!(
            words("Donne la définition d'un graphe orienté"),
            ["graphe", "oriente"]
        );
        assert_eq!(words("What does recursion mean?"), ["recursion"]);
        assert_eq!(
            words("Can you explain how a hash table works"),
            ["hash", "table", "works"]
        );
        assert_eq!(words("ما معنى الخوارزمية؟"), ["الخوارزميه"]);
        assert_eq!(words("اشرح الشجرة الثنائية"), ["الشجره", "الثنائيه"]);
    }

    #[test]
    fn a_question_of_asking_words_only_keeps_them() {
        assert_eq!(words("définition"), ["definition"]);
        assert!(words("؟؟؟").is_empty());
    }
}
