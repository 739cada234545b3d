//! Filling anew. What is found in between is the adapter's own affair; how it ends is not.

use super::Factory;
use super::fixtures::{course, deleted, file, found, id, passages, write};
use crate::{Outcome, Source};

pub(super) async fn what_was_filled_is_found_afterwards(factory: &dyn Factory) {
    let mut instance = factory.fresh().await;
    {
        let index = instance.handle();
        write(
            &*index,
            vec![
                file(1, 10, 7, &["graphe ancien"]),
                file(1, 11, 1, &["graphe"]),
                deleted(12, 9),
            ],
        )
        .await;
        let rebuilding = index.begin_rebuild().await.expect("begins");
        let new = rebuilding.index();
        assert_eq!(
            new.source(Source::file(id(10))).await.expect("asks"),
            None,
            "the new index knows nothing yet"
        );
        // An older version than the old index had: the owner is asked, not the past.
        let outcomes = write(
            &*new,
            vec![
                file(1, 10, 6, &["graphe nouveau"]),
                file(1, 12, 1, &["graphe"]),
                course(1, 1, "graphe", ""),
            ],
        )
        .await;
        assert_eq!(outcomes, [Outcome::Applied; 3]);
        rebuilding.finish().await.expect("ends");
        assert_eq!(found(&*new, "nouveau").await, passages(&[(10, 1)]));
    }
    let index = instance.reopen().await;
    assert!(found(&*index, "ancien").await.is_empty());
    let mut expected = passages(&[(10, 1), (12, 1)]);
    expected.insert(id(1));
    assert_eq!(found(&*index, "graphe").await, expected);
    let stats = index.stats().await.expect("counts");
    assert_eq!((stats.sources, stats.tombstones), (3, 0));
    let later = write(&*index, vec![file(1, 11, 1, &["graphe"])]).await;
    assert_eq!(later, [Outcome::Applied], "the old versions are forgotten");
}

pub(super) async fn writes_of_others_meanwhile_are_in_the_new_index(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let (operator, other) = (instance.handle(), instance.second().await);
    write(&*other, vec![file(1, 10, 1, &["graphe"])]).await;
    let rebuilding = operator.begin_rebuild().await.expect("begins");
    let new = rebuilding.index();
    write(&*new, vec![file(1, 10, 1, &["graphe"])]).await;
    let meanwhile = write(
        &*other,
        vec![
            file(1, 10, 3, &["graphe", "graphe"]),
            file(1, 11, 2, &["graphe"]),
            deleted(12, 5),
        ],
    )
    .await;
    assert_eq!(meanwhile, [Outcome::Applied; 3]);
    let all = passages(&[(10, 1), (10, 2), (11, 1)]);
    assert_eq!(found(&*other, "graphe").await, all);
    // The operator comes late with what the owners said before.
    let late = write(
        &*new,
        vec![
            file(1, 10, 2, &["vieux"]),
            file(1, 11, 1, &["vieux"]),
            file(1, 12, 4, &["vieux"]),
        ],
    )
    .await;
    let refused = |current| Outcome::Refused { current };
    assert_eq!(late, [refused(3), refused(2), refused(5)]);
    rebuilding.finish().await.expect("ends");
    for index in [&operator, &other] {
        assert_eq!(found(&**index, "graphe vieux").await, all);
    }
    write(&*other, vec![deleted(10, 4)]).await;
    assert_eq!(found(&*operator, "graphe").await, passages(&[(11, 1)]));
}

pub(super) async fn a_second_one_gives_up_the_first(factory: &dyn Factory) {
    let mut instance = factory.fresh().await;
    {
        let index = instance.handle();
        write(&*index, vec![file(1, 10, 1, &["graphe"])]).await;
        let first = index.begin_rebuild().await.expect("begins");
        write(&*first.index(), vec![file(1, 11, 1, &["graphe"])]).await;
        // Its process ends here.
    }
    let index = instance.reopen().await;
    let second = index.begin_rebuild().await.expect("begins again");
    write(&*second.index(), vec![file(1, 12, 1, &["graphe"])]).await;
    second.finish().await.expect("ends");
    assert_eq!(found(&*index, "graphe").await, passages(&[(12, 1)]));
    index.ping().await.expect("is well");
}

pub(super) async fn clearing_gives_it_up(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    write(&*index, vec![file(1, 10, 1, &["graphe"])]).await;
    let rebuilding = index.begin_rebuild().await.expect("begins");
    write(&*rebuilding.index(), vec![file(1, 11, 1, &["graphe"])]).await;
    index.clear().await.expect("clears");
    assert!(found(&*index, "graphe").await.is_empty());
    assert_eq!(
        write(&*index, vec![file(1, 12, 1, &["graphe"])]).await,
        [Outcome::Applied]
    );
    assert_eq!(found(&*index, "graphe").await, passages(&[(12, 1)]));
}
