//! French, Arabic and English find what a person expects.

use super::Factory;
use super::fixtures::{ask, file, found, id, passage, passages, text_in, write};
use crate::{Content, Language, Query, Readable};

/// Writes one text, and checks which questions find it and which do not.
async fn check(factory: &dyn Factory, language: Language, text: &str, hit: &[&str], miss: &[&str]) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    write(&*index, vec![text_in(language, 1, 10, text)]).await;
    for question in hit {
        assert_eq!(
            found(&*index, question).await,
            passages(&[(10, 1)]),
            "{question} in {text}"
        );
    }
    for question in miss {
        assert!(
            found(&*index, question).await.is_empty(),
            "{question} not in {text}"
        );
    }
}

pub(super) async fn french(factory: &dyn Factory) {
    check(
        factory,
        Language::French,
        "L’algorithme des élèves : programmation dynamique, cœur du cours. Aujourd'hui, c'est l'été.",
        &[
            "algorithme", "l'algorithme", "L’ALGORITHME", "algorithmes", "eleve", "élève", "ELEVE",
            "e\u{301}le\u{300}ve", "programmer", "coeur", "cœur", "dynamiques", "aujourd'hui",
            "aujourd’hui", "été", "qu'algorithme", "algo\u{ad}rithme",
        ],
        &["al", "gorithme", "rythme", "hiver"],
    )
    .await;
}

pub(super) async fn arabic(factory: &dyn Factory) {
    check(
        factory,
        Language::Arabic,
        "تُعَدُّ الجامعــة مؤسسةً للتعليم العالي، وأسس البرمجة بالحاسوب سنة ٢٠٢٦ في القاهرة إلى الأبد",
        &[
            "جامعة",
            "الجامعة",
            "جامعه",
            "والجامعات",
            "بالجامعة",
            "الجَامِعَة",
            "تعليم",
            "التعليم",
            "البرمجة",
            "برمجه",
            "حاسوب",
            "الحاسوب",
            "2026",
            "٢٠٢٦",
            "۲۰۲۶",
            "اسس",
            "أسس",
            "القاهره",
            "العالى",
            "\u{200f}الجامعة\u{200e}",
        ],
        &["مستشفى", "طائرة", "2025"],
    )
    .await;
}

pub(super) async fn english(factory: &dyn Factory) {
    check(
        factory,
        Language::English,
        "The student's networks are connecting; don't stop. Naïve Bayes classifiers.",
        &[
            "student",
            "students",
            "network",
            "NETWORKING",
            "connected",
            "naive",
            "naïve",
            "bayes",
            "classifier",
            "don't",
            "dont",
        ],
        &["working", "net", "teacher"],
    )
    .await;
}

pub(super) async fn mixed_scripts(factory: &dyn Factory) {
    check(
        factory,
        Language::French,
        "Le mot الخوارزميات se traduit par algorithmes (TP3, C++, H2O, x², 日本).",
        &[
            "خوارزمية",
            "الخوارزميات",
            "algorithme",
            "tp3",
            "c++",
            "h2o",
            "x2",
            "日本",
        ],
        &["TP4", "中国"],
    )
    .await;
    check(
        factory,
        Language::Arabic,
        "شرح algorithmes الفرز بلغة Python",
        &["algorithme", "python", "فرز"],
        &["java"],
    )
    .await;
    check(
        factory,
        Language::Other,
        "Los algoritmos de ordenación",
        &["algoritmos", "ordenacion"],
        &["burbuja"],
    )
    .await;
}

pub(super) async fn stop_words_do_not_match_beside_content_words(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    write(
        &*index,
        vec![
            file(1, 10, 1, &["La pluie et le vent"]),
            text_in(Language::Arabic, 1, 11, "في البيت"),
            text_in(Language::English, 1, 12, "the rain in the sea"),
        ],
    )
    .await;
    assert!(found(&*index, "la récursivité et le tri").await.is_empty());
    assert!(found(&*index, "في المدرسة").await.is_empty());
    assert!(found(&*index, "the recursion in the tree").await.is_empty());
    // Where there is nothing else they are words like others.
    assert_eq!(found(&*index, "la").await, passages(&[(10, 1)]));
}

pub(super) async fn highlights_and_coverage_tell_what_was_found(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    let text = "« 𝔘nicode 🎓 » : l’élève lit le théorème, les élèves aussi.";
    let mut change = file(1, 10, 1, &[text]);
    if let Content::Documents(documents) = &mut change.content {
        documents[0].heading = "Théorème de Pythagore".to_owned();
    }
    write(&*index, vec![change]).await;
    let query = Query::new("élève théorème pythagore absent", Readable::All);
    let hits = ask(&*index, &query).await.hits;
    assert_eq!(hits.len(), 1);
    let chars: Vec<char> = text.chars().collect();
    let shown: Vec<String> = hits[0]
        .highlights
        .iter()
        .map(|range| chars[range.clone()].iter().collect())
        .collect();
    assert_eq!(shown, ["élève", "théorème", "élèves"]);
    assert!(
        (hits[0].coverage - 0.75).abs() < 1e-6,
        "{}",
        hits[0].coverage
    );
    assert!(hits[0].score.is_finite() && hits[0].score > 0.0);
}

pub(super) async fn titles_and_headings_are_searched(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    let mut change = file(1, 10, 1, &["Rien de tel ici"]);
    if let Content::Documents(documents) = &mut change.content {
        documents[0].title = "Chapitre sur les automates".to_owned();
        documents[0].heading = "Déterminisme".to_owned();
    }
    write(&*index, vec![change]).await;
    for question in ["automate", "déterminisme"] {
        let hits = ask(&*index, &Query::new(question, Readable::All))
            .await
            .hits;
        assert_eq!(hits.len(), 1, "{question}");
        assert!(hits[0].highlights.is_empty(), "highlights are of the text");
    }
    let title = ask(&*index, &Query::new("automate", Readable::All))
        .await
        .hits;
    assert!(
        title[0].coverage.abs() < f32::EPSILON,
        "a title is not the passage"
    );
}

pub(super) async fn hostile_texts_are_kept_as_they_are(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    let texts = [
        "",
        "\0\u{1}\u{7f}\u{feff}",
        "\u{202e}repère\u{202c}",
        &"mot ".repeat(2_000),
        &"x".repeat(60_000),
        &"e\u{301}".repeat(10_000),
        "\"}],{\\ repère",
        "\u{fdfa} \u{1d518} \u{fffd} repère",
    ];
    let documents: Vec<_> = (1..)
        .zip(texts)
        .map(|(place, text)| passage(1, 10, place, text))
        .collect();
    let mut change = file(1, 10, 1, &[]);
    change.content = Content::Documents(documents.clone());
    write(&*index, vec![change]).await;
    let hits = ask(
        &*index,
        &Query {
            limit: 50,
            ..Query::new("repère", Readable::All)
        },
    )
    .await
    .hits;
    assert_eq!(hits.len(), 3);
    for hit in hits {
        let original = documents
            .iter()
            .find(|document| document.id == hit.document.id);
        assert_eq!(Some(&hit.document), original);
        assert_eq!(hit.document.course_id, id(1));
    }
}
