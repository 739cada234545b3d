//! What survives, and what is seen when.

use futures::future::{join, select};
use futures::{FutureExt, pin_mut};

use super::Factory;
use super::fixtures::{course, deleted, file, found, id, passages, write};
use crate::{Outcome, Source, Stats};

pub(super) async fn what_was_acknowledged_survives(factory: &dyn Factory) {
    let mut instance = factory.fresh().await;
    {
        let index = instance.handle();
        for number in 0..20 {
            write(
                &*index,
                vec![file(1, 100 + number, 2, &["graphe", "autre"])],
            )
            .await;
        }
        write(&*index, vec![deleted(100, 3)]).await;
    }
    let index = instance.reopen().await;
    let expected = (1..20).map(|number| (100 + number, 1)).collect::<Vec<_>>();
    assert_eq!(found(&*index, "graphe").await, passages(&expected));
    let late = write(&*index, vec![file(1, 100, 2, &["graphe"])]).await;
    assert_eq!(
        late,
        [Outcome::Refused { current: 3 }],
        "the tombstone survives too"
    );
    let late = write(&*index, vec![file(1, 101, 1, &["vieux"])]).await;
    assert_eq!(late, [Outcome::Refused { current: 2 }]);
}

pub(super) async fn a_write_that_is_given_up_is_whole_or_absent(factory: &dyn Factory) {
    let mut instance = factory.fresh().await;
    let texts = ["graphe"; 40];
    for round in 0..10 {
        let number = 100 + round;
        {
            let index = instance.handle();
            let writing = index.write(vec![file(1, number, 1, &texts)]);
            // Some rounds give up before the first poll, some after one, some a little later.
            let patience = async {
                for _ in 0..round {
                    tokio::task::yield_now().await;
                }
            };
            pin_mut!(writing, patience);
            let _ = select(patience, writing).await;
        }
        let index = instance.reopen().await;
        // What was given up may still be on its way to a server: what is known of the source must
        // stand still around the search.
        let (state, there) = loop {
            let before = index.source(Source::file(id(number))).await.expect("asks");
            let there = found(&*index, "graphe").await;
            let after = index.source(Source::file(id(number))).await.expect("asks");
            if before == after {
                break (after, there);
            }
        };
        let of_this =
            (1..=40).filter(|place| there.contains(&super::fixtures::passage_id(number, *place)));
        match (state, of_this.count()) {
            (None, 0) | (Some(_), 40) => {}
            (state, count) => panic!("round {round}: {count} of 40 with {state:?}"),
        }
        // Repeating it is what a consumer does.
        write(&*index, vec![file(1, number, 1, &texts)]).await;
        write(&*index, vec![deleted(number, 2)]).await;
    }
}

pub(super) async fn another_handle_sees_what_was_written(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let (one, other) = (instance.handle(), instance.second().await);
    for round in 0..5 {
        write(&*one, vec![file(1, 10, 2 * round + 1, &["graphe"])]).await;
        assert_eq!(
            found(&*other, "graphe").await,
            passages(&[(10, 1)]),
            "round {round}"
        );
        write(&*other, vec![deleted(10, 2 * round + 2)]).await;
        assert!(found(&*one, "graphe").await.is_empty(), "round {round}");
    }
}

pub(super) async fn a_reader_sees_a_source_whole(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let (writer, reader) = (instance.handle(), instance.second().await);
    let long = ["graphe"; 30];
    let short = ["graphe"; 10];
    write(&*writer, vec![file(1, 10, 1, &short)]).await;
    let writing = async {
        for version in 2..=8 {
            let texts: &[&str] = if version % 2 == 0 { &long } else { &short };
            write(&*writer, vec![file(1, 10, version, texts)]).await;
        }
    }
    .shared();
    let reading = async {
        while writing.peek().is_none() {
            let count = found(&*reader, "graphe").await.len();
            assert!(
                count == 10 || count == 30,
                "{count} passages of a source in between"
            );
            tokio::task::yield_now().await;
        }
    };
    join(writing.clone(), reading).await;
}

pub(super) async fn clearing_forgets_versions_too(factory: &dyn Factory) {
    let mut instance = factory.fresh().await;
    {
        let index = instance.handle();
        write(
            &*index,
            vec![
                file(1, 10, 5, &["graphe"]),
                deleted(11, 5),
                course(1, 5, "graphe", ""),
            ],
        )
        .await;
        index.clear().await.expect("clears");
        assert!(found(&*index, "graphe").await.is_empty());
        assert_eq!(index.stats().await.expect("counts"), Stats::default());
        assert_eq!(
            write(&*index, vec![file(1, 11, 1, &["graphe"])]).await,
            [Outcome::Applied]
        );
    }
    let index = instance.reopen().await;
    assert_eq!(found(&*index, "graphe").await, passages(&[(11, 1)]));
    index.ping().await.expect("is well");
}

pub(super) async fn statistics_count_what_there_is(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    assert_eq!(index.stats().await.expect("counts"), Stats::default());
    write(
        &*index,
        vec![
            file(1, 10, 1, &["a", "b", "c"]),
            file(1, 11, 1, &["d"]),
            file(1, 12, 1, &[]),
            course(1, 1, "e", ""),
            deleted(13, 1),
        ],
    )
    .await;
    write(&*index, vec![file(1, 10, 2, &["a"]), deleted(11, 2)]).await;
    let stats = index.stats().await.expect("counts");
    assert_eq!(
        stats,
        Stats {
            passages: 1,
            courses: 1,
            sources: 3,
            tombstones: 2
        }
    );
    index.ping().await.expect("is well");
}

pub(super) async fn many_and_large_documents(factory: &dyn Factory) {
    let instance = factory.fresh().await;
    let index = instance.handle();
    let large = "matrice ".repeat(crate::limits::TEXT_BYTES / 8);
    let texts: Vec<String> = (0..2_000)
        .map(|number| format!("graphe sommet{number}"))
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    write(
        &*index,
        vec![file(1, 10, 1, &texts), file(1, 11, 1, &[&large])],
    )
    .await;
    assert_eq!(found(&*index, "sommet1234").await, passages(&[(10, 1_235)]));
    assert_eq!(found(&*index, "matrice").await, passages(&[(11, 1)]));
    assert_eq!(index.stats().await.expect("counts").passages, 2_001);
}
