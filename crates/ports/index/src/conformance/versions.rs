//! Versions decide, not the order of arrival.

use futures::future::join_all;

use super::Factory;
use super::fixtures::{course, deleted, file, found, id, passages, write};
use crate::{Change, Content, IndexError, Outcome, Source, SourceState, limits};

pub(super) async fn an_older_version_is_refused(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    assert_eq!(
        write(&*index, vec![file(1, 10, 5, &["neuf"])]).await,
        [Outcome::Applied]
    );
    let late = write(&*index, vec![file(1, 10, 4, &["vieux"])]).await;
    assert_eq!(late, [Outcome::Refused { current: 5 }]);
    let late = write(&*index, vec![deleted(10, 4)]).await;
    assert_eq!(late, [Outcome::Refused { current: 5 }]);
    assert!(found(&*index, "vieux").await.is_empty());
    assert_eq!(found(&*index, "neuf").await, passages(&[(10, 1)]));
    // A course of the same id is another source.
    assert_eq!(
        write(&*index, vec![course(10, 1, "neuf", "")]).await,
        [Outcome::Applied]
    );
}

pub(super) async fn the_same_version_replaces(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    write(
        &*index,
        vec![file(1, 10, 5, &["premier", "second", "troisième"])],
    )
    .await;
    assert_eq!(
        write(&*index, vec![file(1, 10, 5, &["premier"])]).await,
        [Outcome::Applied]
    );
    assert_eq!(
        found(&*index, "premier second troisième").await,
        passages(&[(10, 1)])
    );
}

pub(super) async fn a_tombstone_keeps_late_writes_out(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    write(&*index, vec![file(1, 10, 2, &["graphe"])]).await;
    assert_eq!(
        write(&*index, vec![deleted(10, 3)]).await,
        [Outcome::Applied]
    );
    assert!(found(&*index, "graphe").await.is_empty());
    for version in 1..=3 {
        let late = write(&*index, vec![file(1, 10, version, &["graphe"])]).await;
        assert_eq!(late, [Outcome::Refused { current: 3 }]);
    }
    assert!(found(&*index, "graphe").await.is_empty());
    assert_eq!(
        write(&*index, vec![deleted(10, 3)]).await,
        [Outcome::Applied],
        "repeated"
    );
    // The deletion of what was never there is remembered too.
    assert_eq!(
        write(&*index, vec![deleted(11, 7)]).await,
        [Outcome::Applied]
    );
    let late = write(&*index, vec![file(1, 11, 6, &["graphe"])]).await;
    assert_eq!(late, [Outcome::Refused { current: 7 }]);
    let state = index.source(Source::file(id(11))).await.expect("asks");
    assert_eq!(
        state,
        Some(SourceState {
            source: Source::file(id(11)),
            version: 7,
            deleted: true,
            note: String::new(),
        })
    );
}

pub(super) async fn a_newer_version_comes_back_after_a_tombstone(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    write(&*index, vec![deleted(10, 3)]).await;
    assert_eq!(
        write(&*index, vec![file(1, 10, 4, &["graphe"])]).await,
        [Outcome::Applied]
    );
    assert_eq!(found(&*index, "graphe").await, passages(&[(10, 1)]));
    let state = index
        .source(Source::file(id(10)))
        .await
        .expect("asks")
        .expect("is known");
    assert_eq!((state.version, state.deleted), (4, false));
}

pub(super) async fn repeated_and_reordered_writes_end_alike(factory: &dyn Factory) {
    let history = [
        file(1, 10, 1, &["alpha"]),
        file(1, 10, 2, &["alpha beta", "gamma"]),
        deleted(10, 3),
        file(1, 10, 4, &["delta"]),
    ];
    let orders: [&[usize]; 5] = [
        &[0, 1, 2, 3],
        &[3, 2, 1, 0],
        &[1, 3, 0, 2],
        &[2, 2, 3, 3, 0, 1, 3],
        &[0, 3, 3, 1],
    ];
    for order in orders {
        let instance = factory.fresh().await;
        let index = instance.handle();
        for step in order {
            write(&*index, vec![history[*step].clone()]).await;
        }
        assert_eq!(
            found(&*index, "alpha beta gamma delta").await,
            passages(&[(10, 1)]),
            "{order:?}"
        );
        assert_eq!(
            index.stats().await.expect("counts").passages,
            1,
            "{order:?}"
        );
    }
}

pub(super) async fn several_versions_in_one_write_apply_in_order(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    let outcomes = write(
        &*index,
        vec![
            file(1, 10, 2, &["alpha"]),
            file(1, 10, 1, &["vieux"]),
            file(1, 10, 3, &["beta", "gamma"]),
            deleted(11, 1),
            file(1, 11, 1, &["vieux"]),
        ],
    )
    .await;
    let refused = |current| Outcome::Refused { current };
    assert_eq!(
        outcomes,
        [
            Outcome::Applied,
            refused(2),
            Outcome::Applied,
            Outcome::Applied,
            refused(1)
        ]
    );
    assert_eq!(
        found(&*index, "alpha beta gamma vieux").await,
        passages(&[(10, 1), (10, 2)])
    );
}

pub(super) async fn racing_writers_leave_the_newest_version_whole(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let handles = [instance.handle(), instance.second().await];
    let writers = (1..=16_u64).map(|version| {
        let index = &handles[usize::from(version % 2 == 0)];
        let texts = vec!["graphe"; usize::try_from(version).unwrap_or(1)];
        async move { write(&**index, vec![file(1, 10, version, &texts)]).await }
    });
    let outcomes = join_all(writers).await;
    assert_eq!(
        outcomes[15],
        [Outcome::Applied],
        "the newest is never refused"
    );
    let expected = (1..=16).map(|place| (10, place)).collect::<Vec<_>>();
    assert_eq!(found(&*handles[0], "graphe").await, passages(&expected));
    assert_eq!(handles[1].stats().await.expect("counts").passages, 16);
}

pub(super) async fn a_broken_rule_changes_nothing(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    let good = file(1, 10, 1, &["graphe"]);
    let mut broken: Vec<(&str, Change)> = Vec::new();
    let mut edit = |field, change: fn(&mut crate::Document)| {
        let mut bad = file(1, 11, 1, &["graphe"]);
        if let Content::Documents(documents) = &mut bad.content {
            change(&mut documents[0]);
        }
        broken.push((field, bad));
    };
    edit("kind", |document| document.kind = crate::Kind::Course);
    edit("file_id", |document| document.file_id = None);
    edit("file_id", |document| document.file_id = Some(id(99)));
    edit("text", |document| {
        document.text = "x".repeat(limits::TEXT_BYTES + 1)
    });
    edit("title", |document| {
        document.title = "x".repeat(limits::TITLE_BYTES + 1)
    });
    edit("heading", |document| {
        document.heading = "x".repeat(limits::TITLE_BYTES + 1)
    });
    let mut twice = file(1, 11, 1, &["graphe", "graphe"]);
    if let Content::Documents(documents) = &mut twice.content {
        documents[1].id = documents[0].id;
    }
    broken.push(("id", twice));
    let mut wordy = file(1, 11, 1, &[]);
    wordy.note = "x".repeat(limits::NOTE_BYTES + 1);
    broken.push(("note", wordy));
    for (expected, bad) in broken {
        let error = index
            .write(vec![good.clone(), bad])
            .await
            .expect_err(expected);
        assert!(
            matches!(&error, IndexError::InvalidInput { field, .. } if *field == expected),
            "{expected}: {error}"
        );
        assert!(!error.is_retryable());
        assert_eq!(index.source(good.source).await.expect("asks"), None);
    }
    assert!(found(&*index, "graphe").await.is_empty());
}

pub(super) async fn no_documents_is_a_version_too(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    write(&*index, vec![file(1, 10, 1, &["graphe"])]).await;
    write(&*index, vec![file(1, 10, 2, &[])]).await;
    assert!(found(&*index, "graphe").await.is_empty());
    let state = index
        .source(Source::file(id(10)))
        .await
        .expect("asks")
        .expect("is known");
    assert_eq!((state.version, state.deleted), (2, false));
    assert_eq!(write(&*index, vec![]).await, []);
}

pub(super) async fn a_note_belongs_to_its_version(factory: &dyn Factory) {
    let mut instance = factory.fresh().await;
    {
        let index = instance.handle();
        let noted = |version, note: &str| Change {
            note: note.to_owned(),
            ..file(1, 10, version, &["graphe"])
        };
        write(&*index, vec![noted(2, "{\"premier\": \"é\"}")]).await;
        write(&*index, vec![noted(1, "late"), noted(3, "second")]).await;
        write(
            &*index,
            vec![Change {
                note: "gone".to_owned(),
                ..deleted(11, 1)
            }],
        )
        .await;
    }
    let index = instance.reopen().await;
    for (number, note) in [(10, "second"), (11, "gone")] {
        let state = index
            .source(Source::file(id(number)))
            .await
            .expect("asks")
            .expect("is known");
        assert_eq!(state.note, note);
    }
    assert!(
        found(&*index, "second gone").await.is_empty(),
        "notes are not searched"
    );
}
