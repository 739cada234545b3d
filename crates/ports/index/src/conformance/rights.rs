//! What the reader may not read is never found.

use super::Factory;
use super::fixtures::{ask, course, file, found, found_by, id, passage_id, passages, write};
use crate::{Kind, Query, Readable};

/// Strings that mean something to one query language or another.
fn hostile_queries(secret: &str) -> Vec<String> {
    let mut all: Vec<String> = [
        "*",
        "?",
        "*:*",
        "_all:*",
        "{S}*",
        "*{S}",
        "?{S:1}",
        "\"{S}\"",
        "'{S}'",
        "+{S}",
        "-{S}",
        "-nothing",
        "NOT nothing",
        "{S} OR 1=1",
        "{S}) OR (*:*",
        "text:{S}",
        "course_id:*",
        "_exists_:text",
        "/.*/",
        "/(a+)+$/",
        "(((((((((({S}))))))))))",
        "[* TO *]",
        "{a TO z}",
        "{S}~10",
        "{S}^1000000",
        "IN [a b c]",
        "{\"match_all\":{}}",
        "<script>{S}</script>",
        "{S}\0*",
        "\u{202e}{S}",
        "\u{1}\u{2}{S}\u{7f}",
        "\\",
        "\\\"",
        "\"unclosed {S}",
        "\r\n{S}\r\n",
        "%00",
        "${jndi:ldap://x/{S}}",
        "'; DROP TABLE documents; --",
        "\u{0}",
    ]
    .iter()
    .map(|pattern| {
        pattern
            .replace("{S:1}", &secret[1..])
            .replace("{S}", secret)
    })
    .collect();
    all.push(format!("{secret} ").repeat(1_000));
    all.push(format!(
        "{}{secret}{}",
        "(".repeat(5_000),
        ")".repeat(5_000)
    ));
    all.push(format!("{} {secret}", "a".repeat(10_000)));
    all.push("\u{0301}".repeat(5_000));
    all.push("(a+)+".repeat(2_000));
    all
}

pub(super) async fn a_forbidden_passage_is_never_found(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    // The forbidden passages answer much better, so that a filter after the search would leave
    // an empty page.
    let mut changes = vec![file(
        1,
        10,
        1,
        &["Un texte où la récursivité est nommée une fois."],
    )];
    for number in 0..60 {
        changes.push(file(
            2,
            100 + number,
            1,
            &["récursivité récursivité récursivité"],
        ));
    }
    changes.push(course(2, 1, "Récursivité", "Tout sur la récursivité"));
    write(&*index, changes).await;
    let readable = Readable::courses([id(1)]);
    for limit in [1, 2, 10, 200] {
        let query = Query {
            limit,
            ..Query::new("récursivité", readable.clone())
        };
        let hits = ask(&*index, &query).await;
        assert_eq!(hits.hits.len(), 1, "limit {limit}");
        assert_eq!(hits.hits[0].document.id, passage_id(10, 1));
        assert!(hits.next.is_none(), "no page after the only readable hit");
    }
    assert_eq!(found(&*index, "récursivité").await.len(), 62);
}

pub(super) async fn an_empty_set_finds_nothing(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    write(
        &*index,
        vec![
            file(1, 10, 1, &["graphe"]),
            course(1, 1, "graphe", "graphe"),
        ],
    )
    .await;
    assert!(
        found_by(&*index, "graphe", Readable::courses([]))
            .await
            .is_empty()
    );
    assert!(
        found_by(&*index, "graphe", Readable::courses([id(3)]))
            .await
            .is_empty()
    );
    let query = Query {
        course_id: Some(id(1)),
        ..Query::new("graphe", Readable::courses([]))
    };
    assert!(ask(&*index, &query).await.hits.is_empty());
}

pub(super) async fn a_hostile_query_is_plain_words(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    write(
        &*index,
        vec![
            file(1, 10, 1, &["zirconium"]),
            file(1, 11, 1, &["autre chose"]),
        ],
    )
    .await;
    for text in hostile_queries("zirconium") {
        let all = found(&*index, &text).await;
        assert!(
            all.is_subset(&passages(&[(10, 1)])),
            "{text:.80} found {all:?}"
        );
    }
    for text in [
        "\"zirconium\"",
        "-zirconium",
        "(zirconium",
        "text:zirconium",
        "zirconium\0",
    ] {
        assert_eq!(found(&*index, text).await, passages(&[(10, 1)]), "{text}");
    }
    for text in [
        "zirco*",
        "zirconiu?",
        "/zirconi.*/",
        "zirconuim~2",
        "",
        " ",
        "\0",
    ] {
        assert!(
            found(&*index, text).await.is_empty(),
            "{text:?} is not a pattern"
        );
    }
}

pub(super) async fn a_hostile_query_never_finds_what_is_forbidden(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    write(
        &*index,
        vec![
            file(1, 10, 1, &["autre chose"]),
            file(2, 20, 1, &["zirconium"]),
            course(2, 1, "zirconium", ""),
        ],
    )
    .await;
    for text in hostile_queries("zirconium") {
        let all = found_by(&*index, &text, Readable::courses([id(1)])).await;
        assert!(
            all.is_subset(&passages(&[(10, 1)])),
            "{text:.80} found {all:?}"
        );
        let query = Query {
            course_id: Some(id(2)),
            kind: Some(Kind::Course),
            ..Query::new(text, Readable::courses([id(1)]))
        };
        assert!(ask(&*index, &query).await.hits.is_empty());
    }
}

pub(super) async fn thousands_of_courses_fit_in_a_filter(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    let changes = (0..300)
        .map(|number| file(number, 1_000 + number, 1, &["matrice"]))
        .collect();
    write(&*index, changes).await;
    // 10,000 courses, of which the index knows every third below 300.
    let readable = Readable::courses((0..30_000).step_by(3).map(id));
    let all = found_by(&*index, "matrice", readable).await;
    assert_eq!(
        all,
        (0..300)
            .step_by(3)
            .map(|number| passage_id(1_000 + number, 1))
            .collect()
    );
}

pub(super) async fn course_and_kind_narrow_but_never_widen(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    write(
        &*index,
        vec![
            file(1, 10, 1, &["matrice"]),
            file(2, 20, 1, &["matrice"]),
            course(1, 1, "matrice", ""),
            course(2, 1, "matrice", ""),
        ],
    )
    .await;
    let both = Readable::courses([id(1), id(2)]);
    for (readable, course, kind, expected) in [
        (Readable::All, None, None, 4),
        (both.clone(), Some(1), None, 2),
        (both.clone(), None, Some(Kind::Passage), 2),
        (both, Some(1), Some(Kind::Course), 1),
        (Readable::All, Some(2), Some(Kind::Passage), 1),
        (Readable::courses([id(1)]), Some(2), None, 0),
        (Readable::All, Some(3), None, 0),
    ] {
        let query = Query {
            course_id: course.map(id),
            kind,
            ..Query::new("matrice", readable.clone())
        };
        let hits = ask(&*index, &query).await.hits;
        assert_eq!(hits.len(), expected, "{readable:?} {course:?} {kind:?}");
        for hit in hits {
            assert!(course.is_none_or(|course| hit.document.course_id == id(course)));
            assert!(kind.is_none_or(|kind| hit.document.kind == kind));
        }
    }
}

pub(super) async fn a_moved_file_leaves_its_old_readers(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    write(&*index, vec![file(1, 10, 1, &["matrice"])]).await;
    write(&*index, vec![file(2, 10, 2, &["matrice"])]).await;
    assert!(
        found_by(&*index, "matrice", Readable::courses([id(1)]))
            .await
            .is_empty()
    );
    assert_eq!(
        found_by(&*index, "matrice", Readable::courses([id(2)]))
            .await
            .len(),
        1
    );
}
