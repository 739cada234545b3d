//! The few words that the assistant says itself, in the language of the question.

use riwaq_index::Language;

/// How quotations are introduced, and what stands around each.
pub(crate) struct Phrases {
    pub(crate) introduction: &'static str,
    pub(crate) open: &'static str,
    pub(crate) close: &'static str,
    pub(crate) nothing: &'static str,
    pub(crate) nothing_in_course: &'static str,
}

const FRENCH: Phrases = Phrases {
    introduction: "Voici ce que disent vos cours :",
    open: "« ",
    close: " »",
    nothing: "Je n'ai rien trouvé dans vos cours qui réponde à cette question.",
    nothing_in_course: "Je n'ai rien trouvé dans ce cours qui réponde à cette question.",
};

const ARABIC: Phrases = Phrases {
    introduction: "هذا ما جاء في دروسك:",
    open: "« ",
    close: " »",
    nothing: "لم أجد في دروسك ما يجيب عن هذا السؤال.",
    nothing_in_course: "لم أجد في هذا الدرس ما يجيب عن هذا السؤال.",
};

const ENGLISH: Phrases = Phrases {
    introduction: "Here is what your courses say:",
    open: "“",
    close: "”",
    nothing: "I found nothing in your courses that answers this question.",
    nothing_in_course: "I found nothing in this course that answers this question.",
};

impl Phrases {
    /// Those of a language; French, the school's, where it is none of the three.
    pub(crate) const fn of(language: Option<Language>) -> &'static Self {
        match language {
            Some(Language::Arabic) => &ARABIC,
            Some(Language::English) => &ENGLISH,
            Some(Language::French | Language::Other) | None => &FRENCH,
        }
    }
}
