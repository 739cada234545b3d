//! Questions as students ask them, against a small library: the right text is quoted first, and
//! where the library has no answer there is none.

use riwaq_index::Language::{self, Arabic, English, French};

use super::choose::{Limits, Source, choose};
use super::question::Reading;

const LIMITS: Limits = Limits {
    coverage_min: 0.6,
    quotes_max: 3,
    quote_max_chars: 400,
};

const LIBRARY: &[(&str, Language, &str)] = &[
    (
        "stack-fr",
        French,
        "Les piles. Une pile est une structure de données où le dernier élément ajouté est le premier retiré. Les opérations sont empiler et dépiler, en temps constant.",
    ),
    (
        "queue-fr",
        French,
        "Les files. Une file est une structure de données où le premier élément ajouté est le premier retiré. On s'en sert pour ordonnancer des tâches.",
    ),
    (
        "quicksort-fr",
        French,
        "Le tri rapide choisit un pivot et partitionne le tableau. Sa complexité moyenne est en O(n log n), et quadratique dans le pire des cas. Le tri fusion, lui, est toujours en O(n log n).",
    ),
    (
        "normal-forms-fr",
        French,
        "Une relation est en troisième forme normale si aucun attribut non clé ne dépend transitivement de la clé. La normalisation évite la redondance.",
    ),
    (
        "deadlock-fr",
        French,
        "Un interblocage survient quand des processus s'attendent mutuellement. Quatre conditions sont nécessaires : exclusion mutuelle, détention et attente, non-préemption, attente circulaire.",
    ),
    (
        "matrix-fr",
        French,
        "Une matrice carrée est inversible si et seulement si son déterminant est non nul. L'inverse se calcule par la comatrice ou par le pivot de Gauss.",
    ),
    (
        "exam-fr",
        French,
        "L'examen final aura lieu le 12 juin en amphi B. Les documents ne sont pas autorisés, la calculatrice l'est.",
    ),
    (
        "tcp-en",
        English,
        "TCP opens a connection with a three-way handshake: SYN, SYN-ACK, ACK. UDP sends datagrams without a connection, so it is faster and less reliable.",
    ),
    (
        "overfit-en",
        English,
        "A model overfits when it learns the noise of the training data. Regularization and more data reduce overfitting. Cross-validation reveals it.",
    ),
    (
        "photosynthesis-en",
        English,
        "Photosynthesis converts light energy into chemical energy stored in glucose. It takes place in the chloroplasts of plant cells.",
    ),
    (
        "algorithm-ar",
        Arabic,
        "الخوارزمية هي مجموعة من الخطوات المتسلسلة والمنتهية لحل مسألة معينة. سميت نسبة إلى العالم الخوارزمي.",
    ),
    (
        "database-ar",
        Arabic,
        "قاعدة البيانات هي مجموعة منظمة من المعلومات المخزنة إلكترونيا. يدير نظام إدارة قواعد البيانات الوصول إليها وحمايتها.",
    ),
    (
        "water-ar",
        Arabic,
        "تتكون جزيئة الماء من ذرتي هيدروجين وذرة أكسجين. يغلي الماء عند درجة مئة مئوية تحت الضغط الجوي العادي.",
    ),
];

/// The question, and the text that answers it.
const ANSWERED: &[(&str, &str)] = &[
    ("Qu'est-ce qu'une pile ?", "stack-fr"),
    ("à quoi sert une file ?", "queue-fr"),
    ("quelle est la complexité du tri rapide", "quicksort-fr"),
    ("Explique-moi la troisième forme normale", "normal-forms-fr"),
    (
        "Quelles sont les conditions d'un interblocage ?",
        "deadlock-fr",
    ),
    ("Quand une matrice est-elle inversible ?", "matrix-fr"),
    ("Date de l'examen final ?", "exam-fr"),
    (
        "est-ce que la calculatrice est autorisée à l'examen",
        "exam-fr",
    ),
    ("How does TCP open a connection?", "tcp-en"),
    ("What is overfitting?", "overfit-en"),
    ("where does photosynthesis take place", "photosynthesis-en"),
    ("ما هي الخوارزمية؟", "algorithm-ar"),
    ("عرف قاعدة البيانات", "database-ar"),
    ("عند أي درجة يغلي الماء؟", "water-ar"),
];

const UNANSWERED: &[&str] = &[
    "Quelle est la capitale de la Mongolie ?",
    "Qui a gagné la coupe du monde 2022 ?",
    "Comment cuisiner un tajine aux pruneaux ?",
    "What is the boiling point of mercury?",
    "Who wrote Hamlet?",
    "ما هي عاصمة اليابان؟",
    "من هو رئيس الجامعة؟",
    "Bonjour",
    "thanks!",
];

fn quoted(question: &str) -> Vec<&'static str> {
    let reading = Reading::of(question);
    let sources: Vec<Source<'_>> = LIBRARY
        .iter()
        .map(|(_, language, text)| Source {
            text,
            heading: "",
            language: *language,
        })
        .collect();
    choose(&reading, &sources, LIMITS)
        .iter()
        .map(|quote| LIBRARY[quote.source].0)
        .collect()
}

fn first_quoted(question: &str) -> Option<&'static str> {
    quoted(question).first().copied()
}

#[test]
fn questions_are_answered_out_of_the_right_text() {
    let wrong: Vec<_> = ANSWERED
        .iter()
        .map(|(question, expected)| (question, expected, first_quoted(question)))
        .filter(|(_, expected, found)| *found != Some(**expected))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn questions_without_an_answer_get_none() {
    let invented: Vec<_> = UNANSWERED
        .iter()
        .filter_map(|question| first_quoted(question).map(|found| (question, found)))
        .collect();
    assert!(invented.is_empty(), "{invented:#?}");
}

#[test]
fn a_comparison_is_answered_out_of_both_texts() {
    for question in [
        "Quelle est la différence entre une pile et une file ?",
        "compare pile et file",
    ] {
        let mut found = quoted(question);
        found.sort_unstable();
        assert_eq!(found, ["queue-fr", "stack-fr"], "{question}");
    }
    assert!(quoted("différence entre une pile et un tajine").is_empty());
}
