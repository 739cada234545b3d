//! Generations of indexes: filled beside the one that answers, left behind, made by several at once.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;

use common::{config, connect, http, indexes, prefix, remove};
use futures::FutureExt as _;
use futures::future::{join_all, join3};
use riwaq_clock::{ManualClock, SystemClock};
use riwaq_index::{
    Change, Content, Document, Index, IndexError, Kind, Language, Query, Readable, Source,
};
use riwaq_index_opensearch::OpenSearchIndex;
use uuid::Uuid;

const LANGUAGES: [Language; 4] = [
    Language::French,
    Language::Arabic,
    Language::English,
    Language::Other,
];

/// A file with a passage in each language.
fn file(number: u128, version: u64) -> Change {
    let id = Uuid::from_u128(number);
    let documents = (0..).zip(LANGUAGES).map(|(place, language)| Document {
        id: Uuid::from_u128(number << 64 | place),
        kind: Kind::Passage,
        course_id: Uuid::from_u128(1),
        file_id: Some(id),
        file_version: version,
        title: String::new(),
        page: 1,
        heading: String::new(),
        text: format!("graphe version{version}"),
        language,
    });
    Change {
        source: Source::file(id),
        version,
        content: Content::Documents(documents.collect()),
        note: String::new(),
    }
}

async fn found(index: &OpenSearchIndex, words: &str) -> BTreeSet<Uuid> {
    let query = Query {
        limit: 200,
        ..Query::new(words, Readable::All)
    };
    let hits = index.search(&query).await.expect("searches").hits;
    hits.into_iter().map(|hit| hit.document.id).collect()
}

fn generations(indexes: &[String]) -> BTreeSet<&str> {
    let parts = indexes.iter().filter_map(|index| index.rsplit_once('-'));
    parts.map(|(generation, _)| generation).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_during_a_rebuild_finds_everything_at_every_moment() {
    let Some(url) = common::server() else { return };
    let prefix = prefix();
    let config = config(&url, &prefix);
    let (operator, reader, writer) = (
        connect(&config).await,
        connect(&config).await,
        connect(&config).await,
    );
    const FILES: u128 = 20;
    let changes = (0..FILES).map(|number| file(number, 1)).collect();
    operator.write(changes).await.expect("writes");
    let all = found(&operator, "graphe").await;
    assert_eq!(all.len(), 80);

    let rebuilding = async {
        for round in 0..3_u64 {
            let rebuilding = operator.begin_rebuild().await.expect("begins");
            let new = rebuilding.index();
            for number in 0..FILES {
                // What an owner says may be older than what another consumer writes.
                new.write(vec![file(number, 1 + round)])
                    .await
                    .expect("writes");
            }
            rebuilding.finish().await.expect("ends");
        }
    }
    .shared();
    let reading = async {
        let mut times = 0;
        while rebuilding.peek().is_none() {
            assert_eq!(
                found(&reader, "graphe").await,
                all,
                "after {times} searches"
            );
            times += 1;
        }
        times
    };
    let writing = async {
        let mut version = 100;
        while rebuilding.peek().is_none() {
            version += 1;
            for number in [3, 7] {
                writer
                    .write(vec![file(number, version)])
                    .await
                    .expect("writes");
            }
        }
        version
    };
    let (_, times, version) = join3(rebuilding.clone(), reading, writing).await;
    assert!(times >= 3, "{times} searches are too few to tell");
    assert_eq!(found(&reader, "graphe").await, all);
    assert_eq!(found(&reader, &format!("version{version}")).await.len(), 8);
    assert_eq!(found(&reader, "version3").await.len(), 72);
    let left = indexes(&url, &prefix).await;
    assert_eq!(generations(&left).len(), 1, "{left:?}");
    remove(&url, &prefix).await;
}

#[tokio::test]
async fn a_rebuild_whose_process_died_is_given_up_and_removed() {
    let Some(url) = common::server() else { return };
    let prefix = prefix();
    let config = config(&url, &prefix);
    let first = connect(&config).await;
    first.write(vec![file(1, 1)]).await.expect("writes");
    let dead = first.begin_rebuild().await.expect("begins");
    dead.index().write(vec![file(2, 1)]).await.expect("writes");
    drop(first);

    let second = connect(&config).await;
    assert_eq!(
        found(&second, "graphe").await.len(),
        4,
        "answers from the old one"
    );
    second
        .write(vec![file(3, 1)])
        .await
        .expect("writes to both");
    let rebuilding = second.begin_rebuild().await.expect("begins");
    let left = indexes(&url, &prefix).await;
    assert_eq!(generations(&left).len(), 2, "{left:?}");
    // The one that was thought dead comes back.
    let late = dead.index().write(vec![file(2, 2)]).await;
    assert!(matches!(late, Err(IndexError::Unavailable(_))), "{late:?}");
    let late = dead.finish().await.expect_err("is too late");
    assert!(late.to_string().contains("given up"), "{late}");

    rebuilding
        .index()
        .write(vec![file(5, 1)])
        .await
        .expect("writes");
    rebuilding.finish().await.expect("ends");
    rebuilding.finish().await.expect("has ended");
    assert_eq!(found(&second, "graphe").await.len(), 4);
    let left = indexes(&url, &prefix).await;
    assert_eq!(generations(&left).len(), 1, "{left:?}");
    remove(&url, &prefix).await;
}

#[tokio::test]
async fn a_rebuild_that_is_given_up_leaves_nothing_behind() {
    let Some(url) = common::server() else { return };
    let prefix = prefix();
    let index = connect(&config(&url, &prefix)).await;
    index.write(vec![file(1, 1)]).await.expect("writes");
    let rebuilding = index.begin_rebuild().await.expect("begins");
    rebuilding
        .index()
        .write(vec![file(2, 1)])
        .await
        .expect("writes");
    rebuilding.give_up().await.expect("is given up");
    let left = indexes(&url, &prefix).await;
    assert_eq!(generations(&left).len(), 1, "{left:?}");
    index.write(vec![file(3, 1)]).await.expect("writes");
    assert_eq!(found(&index, "graphe").await.len(), 8);
    assert!(rebuilding.finish().await.is_err());
    let rebuilding = index.begin_rebuild().await.expect("begins again");
    rebuilding.finish().await.expect("ends");
    rebuilding.give_up().await.expect("is too late");
    assert_eq!(index.stats().await.expect("counts").sources, 0);
    remove(&url, &prefix).await;
}

#[tokio::test]
async fn indexes_that_a_dead_process_left_are_removed_later() {
    let Some(url) = common::server() else { return };
    let prefix = prefix();
    let config = config(&url, &prefix);
    let now = riwaq_clock::Clock::now(&*SystemClock::shared());
    let clock = ManualClock::at(now);
    let index = OpenSearchIndex::connect(config, clock.clone())
        .await
        .expect("connects");
    index.write(vec![file(1, 1)]).await.expect("writes");
    // As it stops between making its indexes and naming them; and one that only looks like ours.
    let stamp = now.format("%Y%m%dt%H%M%S");
    let orphan = format!("{prefix}-f1-{stamp}-abcdef-fr");
    let other = format!("{prefix}-f1-notes");
    for name in [&orphan, &other] {
        let answer = http().put(format!("{url}/{name}")).send().await;
        answer.expect("asks").error_for_status().expect("makes");
    }
    index
        .begin_rebuild()
        .await
        .expect("begins")
        .finish()
        .await
        .expect("ends");
    assert!(
        indexes(&url, &prefix).await.contains(&orphan),
        "it is young"
    );
    clock.advance(std::time::Duration::from_secs(2 * 3_600));
    index.begin_rebuild().await.expect("begins");
    let left = indexes(&url, &prefix).await;
    assert!(!left.contains(&orphan), "{left:?}");
    assert!(left.contains(&other), "{left:?}");
    remove(&url, &prefix).await;
}

#[tokio::test]
async fn many_processes_that_start_at_once_agree_on_one_index() {
    let Some(url) = common::server() else { return };
    let prefix = prefix();
    let config = config(&url, &prefix);
    let all = join_all((0..4).map(|_| connect(&config))).await;
    for (number, index) in (0..).zip(&all) {
        index.write(vec![file(number, 1)]).await.expect("writes");
    }
    for index in &all {
        assert_eq!(found(index, "graphe").await.len(), 16);
    }
    let left = indexes(&url, &prefix).await;
    assert_eq!(generations(&left).len(), 1, "{left:?}");
    remove(&url, &prefix).await;
}

#[tokio::test]
async fn an_index_that_somebody_removed_is_made_again_empty() {
    let Some(url) = common::server() else { return };
    let prefix = prefix();
    let index = connect(&config(&url, &prefix)).await;
    index.write(vec![file(1, 1)]).await.expect("writes");
    remove(&url, &prefix).await;
    assert!(found(&index, "graphe").await.is_empty());
    assert_eq!(index.stats().await.expect("counts").sources, 0);
    remove(&url, &prefix).await;
    index.write(vec![file(1, 1)]).await.expect("writes");
    assert_eq!(found(&index, "graphe").await.len(), 4);
    remove(&url, &prefix).await;
}

#[tokio::test]
async fn an_index_that_takes_no_writes_is_not_ready() {
    let Some(url) = common::server() else { return };
    let prefix = prefix();
    let index = connect(&config(&url, &prefix)).await;
    index.ping().await.expect("is well");
    let block = |value: &'static str| {
        let body = format!("{{\"index.blocks.read_only_allow_delete\": {value}}}");
        http()
            .put(format!("{url}/{prefix}-f1-passages/_settings"))
            .header("content-type", "application/json")
            .body(body)
            .send()
    };
    // What OpenSearch does by itself when a disk is nearly full.
    block("true")
        .await
        .expect("asks")
        .error_for_status()
        .expect("sets");
    let error = index.ping().await.expect_err("is not ready");
    assert!(
        error.to_string().contains("read_only_allow_delete"),
        "{error}"
    );
    let error = index.write(vec![file(1, 1)]).await.expect_err("is refused");
    assert!(error.is_retryable(), "{error}");
    block("null")
        .await
        .expect("asks")
        .error_for_status()
        .expect("sets");
    index.ping().await.expect("is well again");
    index.write(vec![file(1, 1)]).await.expect("writes");
    remove(&url, &prefix).await;
}

#[tokio::test]
async fn stems_are_those_of_lucene_in_every_language() {
    let Some(url) = common::server() else { return };
    let prefix = prefix();
    let index = connect(&config(&url, &prefix)).await;
    let mut number = 0;
    for (language, text, question) in [
        (
            Language::French,
            "les étudiantes réussissaient",
            "réussir étudiante",
        ),
        (
            Language::English,
            "universities organised lectures",
            "organising university lecture",
        ),
        (Language::Arabic, "والمكتبات الجامعية", "مكتبة جامعي"),
        (Language::Other, "وَالطُّلَّابُ", "الطلاب"),
    ] {
        number += 1;
        let mut change = file(number, 1);
        if let Content::Documents(documents) = &mut change.content {
            documents.truncate(1);
            documents[0].language = language;
            documents[0].text = text.to_owned();
        }
        index.write(vec![change]).await.expect("writes");
        for word in question.split(' ') {
            let there = found(&index, word).await;
            assert!(
                there.contains(&Uuid::from_u128(number << 64)),
                "{word} in {text}: {there:?}"
            );
        }
    }
    remove(&url, &prefix).await;
}
