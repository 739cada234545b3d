//! Pages, and the limits of the port.

use std::collections::BTreeSet;

use super::Factory;
use super::fixtures::{ask, course, deleted, file, id, passage, write};
use crate::{
    Change, Content, Index, IndexError, Position, Query, Readable, Source, SourceKind, limits,
};

/// Follows the pages; the ids in order.
async fn walk(index: &dyn Index, text: &str, readable: &Readable, limit: usize) -> Vec<uuid::Uuid> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let query = Query {
            limit,
            after,
            ..Query::new(text, readable.clone())
        };
        let page = ask(index, &query).await;
        assert!(page.hits.len() <= limit);
        all.extend(page.hits.iter().map(|hit| hit.document.id));
        let Some(next) = page.next else { return all };
        assert_eq!(page.hits.len(), limit, "only the last page is short");
        let last = page.hits.last().expect("a page with a successor has hits");
        assert_eq!(
            next,
            Position {
                score: last.score,
                id: last.document.id
            }
        );
        after = Some(next);
        assert!(all.len() < 10_000, "pages without end");
    }
}

pub(super) async fn pages_give_every_hit_once(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    // Different lengths and counts give different scores, in several writes and two courses.
    for batch in 0..5 {
        let changes = (0..20)
            .map(|number| {
                let text = format!(
                    "{} {}",
                    "graphe ".repeat(1 + number % 4),
                    "autre ".repeat((number * 7) % 11)
                );
                file(
                    number as u128 % 2,
                    1_000 + batch * 100 + number as u128,
                    1,
                    &[&text],
                )
            })
            .collect();
        write(&*index, changes).await;
    }
    let readable = Readable::courses([id(0)]);
    let whole = walk(&*index, "graphe", &readable, 200).await;
    assert_eq!(whole.len(), 50);
    assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), 50);
    for limit in [1, 3, 7, 49, 50, 51] {
        assert_eq!(
            walk(&*index, "graphe", &readable, limit).await,
            whole,
            "limit {limit}"
        );
    }
}

pub(super) async fn equal_scores_are_ordered_by_id(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    // Written in an order that is not that of the ids.
    for number in [5_u128, 2, 9, 1, 7, 3, 8, 6, 4, 0] {
        write(&*index, vec![file(1, 100 + number, 1, &["graphe orienté"])]).await;
    }
    let all = walk(&*index, "graphe", &Readable::All, 3).await;
    let mut sorted = all.clone();
    sorted.sort();
    assert_eq!(all.len(), 10);
    assert_eq!(all, sorted);
}

pub(super) async fn page_boundaries(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    let documents: Vec<_> = (1..=200)
        .map(|place| passage(1, 10, place, "graphe"))
        .collect();
    let change = Change {
        source: Source::file(id(10)),
        version: 1,
        content: Content::Documents(documents),
        note: String::new(),
    };
    write(&*index, vec![change]).await;
    let query = Query {
        limit: 200,
        ..Query::new("graphe", Readable::All)
    };
    let exact = ask(&*index, &query).await;
    assert_eq!(exact.hits.len(), 200);
    assert!(exact.next.is_none(), "exactly full is the last page");
    let beyond = Query {
        after: Some(Position {
            score: 0.0,
            id: uuid::Uuid::max(),
        }),
        ..query
    };
    assert_eq!(ask(&*index, &beyond).await, crate::Hits::default());
}

pub(super) async fn limits_are_refused_beyond(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    let refused = |error: IndexError, name: &str| {
        assert!(matches!(error, IndexError::InvalidInput { field, .. } if field == name));
    };
    for limit in [0, limits::HITS_PER_PAGE + 1, usize::MAX] {
        let query = Query {
            limit,
            ..Query::new("graphe", Readable::All)
        };
        refused(index.search(&query).await.expect_err("limit"), "limit");
    }
    for score in [f32::NAN, f32::INFINITY] {
        let after = Some(Position { score, id: id(1) });
        let query = Query {
            after,
            ..Query::new("graphe", Readable::All)
        };
        refused(index.search(&query).await.expect_err("after"), "after");
    }
    let most = limits::READABLE_COURSES as u128;
    let query = Query::new("graphe", Readable::courses((0..=most).map(id)));
    refused(
        index.search(&query).await.expect_err("readable"),
        "readable",
    );
    for limit in [0, limits::SOURCES_PER_PAGE + 1] {
        let error = index
            .sources(SourceKind::File, None, limit)
            .await
            .expect_err("limit");
        refused(error, "limit");
    }
    let many = vec![deleted(1, 1); limits::CHANGES_PER_WRITE + 1];
    refused(index.write(many).await.expect_err("changes"), "changes");
}

pub(super) async fn sources_are_listed_by_page(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    let mut changes: Vec<_> = [4_u128, 2, 5, 1, 3]
        .iter()
        .map(|number| file(1, 10 + number, 3, &["x", "y"]))
        .collect();
    changes.push(course(12, 1, "x", ""));
    changes.push(deleted(16, 2));
    write(&*index, changes).await;
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let page = index
            .sources(SourceKind::File, after, 2)
            .await
            .expect("lists");
        let Some(last) = page.last() else { break };
        after = Some(last.source.id);
        listed.extend(
            page.iter()
                .map(|state| (state.source, state.version, state.deleted)),
        );
    }
    let expected: Vec<_> = (11..=16)
        .map(|number| {
            (
                Source::file(id(number)),
                if number == 16 { 2 } else { 3 },
                number == 16,
            )
        })
        .collect();
    assert_eq!(listed, expected);
    let courses = index
        .sources(SourceKind::Course, None, 10)
        .await
        .expect("lists");
    assert_eq!(courses.len(), 1);
}
