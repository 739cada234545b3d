//! Random operations, compared with the index in memory.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::Factory;
use super::fixtures::{ask, course, deleted, file, id, text_in, write};
use crate::{Change, Index, Kind, Language, MemoryIndex, Query, Readable, SourceKind, Stats};

/// How many sequences, and how many steps each.
const SEQUENCES: usize = 6;
const STEPS: usize = 40;

/// A small world, so that things meet: words, courses, files, versions.
const WORDS: [&str; 14] = [
    "algorithme",
    "algorithmes",
    "l'élève",
    "élèves",
    "network",
    "networks",
    "الجامعة",
    "جامعات",
    "la",
    "the",
    "في",
    "graphe",
    "Graphes",
    "x²",
];

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<Change>),
    Search {
        text: String,
        readable: Option<Vec<u128>>,
        course: Option<u128>,
        kind: Option<Kind>,
    },
    Reopen,
    Clear,
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&WORDS[..]), 0..8).prop_map(|words| words.join(" "))
}

fn change() -> impl Strategy<Value = Change> {
    let version = 1..6_u64;
    let language = prop::sample::select(vec![
        Language::French,
        Language::Arabic,
        Language::English,
        Language::Other,
    ]);
    prop_oneof![
        4 => (0..4_u128, 10..16_u128, version.clone(), prop::collection::vec(text(), 0..4))
            .prop_map(|(in_course, number, version, texts)| {
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                file(in_course, number, version, &texts)
            }),
        2 => (0..4_u128, 10..16_u128, version.clone(), text(), language).prop_map(
            |(in_course, number, version, text, language)| {
                Change { version, ..text_in(language, in_course, number, &text) }
            }
        ),
        2 => (0..4_u128, version.clone(), text(), text())
            .prop_map(|(number, version, title, text)| course(number, version, &title, &text)),
        2 => (10..16_u128, version).prop_map(|(number, version)| deleted(number, version)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let readable = prop::option::of(prop::collection::vec(0..5_u128, 0..4));
    let kind = prop::option::of(prop::sample::select(vec![Kind::Passage, Kind::Course]));
    prop_oneof![
        10 => prop::collection::vec(change(), 1..4).prop_map(Step::Write),
        10 => (text(), readable, prop::option::of(0..5_u128), kind)
            .prop_map(|(text, readable, course, kind)| Step::Search { text, readable, course, kind }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Clear),
    ]
}

pub(super) async fn random_operations_agree_with_the_model(factory: &dyn Factory) {
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), seed);
    for _ in 0..SEQUENCES {
        let steps = prop::collection::vec(step(), STEPS)
            .new_tree(&mut runner)
            .expect("a sequence is made")
            .current();
        run(factory, &steps).await;
    }
}

async fn run(factory: &dyn Factory, steps: &[Step]) {
    let model = MemoryIndex::new();
    let mut instance = factory.fresh().await;
    let mut index = instance.handle();
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Write(changes) => {
                let expected = write(&model, changes.clone()).await;
                assert_eq!(
                    write(&*index, changes.clone()).await,
                    expected,
                    "{number}: {steps:#?}"
                );
            }
            Step::Search {
                text,
                readable,
                course,
                kind,
            } => {
                let query = Query {
                    course_id: course.map(id),
                    kind: *kind,
                    limit: 200,
                    ..Query::new(text.clone(), to_readable(readable.as_deref()))
                };
                let (seen, expected) =
                    (answer(&*index, &query).await, answer(&model, &query).await);
                assert_eq!(seen, expected, "{number}: {steps:#?}");
            }
            Step::Reopen => {
                drop(index);
                index = instance.reopen().await;
            }
            Step::Clear => {
                model.clear().await.expect("clears");
                index.clear().await.expect("clears");
            }
        }
    }
    assert_eq!(state(&*index).await, state(&model).await, "{steps:#?}");
}

fn to_readable(courses: Option<&[u128]>) -> Readable {
    courses.map_or(Readable::All, |all| {
        Readable::courses(all.iter().copied().map(id))
    })
}

/// What must agree of an answer; scores and their order are the adapter's own.
async fn answer(index: &dyn Index, query: &Query) -> BTreeSet<String> {
    let hits = ask(index, query).await;
    assert!(hits.next.is_none());
    let sorted = hits
        .hits
        .is_sorted_by(|one, other| one.score >= other.score);
    assert!(sorted, "best first");
    let hits = hits.hits.into_iter();
    hits.map(|hit| format!("{:?} {} {:?}", hit.document, hit.coverage, hit.highlights))
        .collect()
}

async fn state(index: &dyn Index) -> (Stats, Vec<String>) {
    let mut sources = Vec::new();
    for kind in [SourceKind::File, SourceKind::Course] {
        let listed = index.sources(kind, None, 1_000).await.expect("lists");
        sources.extend(listed.iter().map(|state| format!("{state:?}")));
    }
    (index.stats().await.expect("counts"), sources)
}
