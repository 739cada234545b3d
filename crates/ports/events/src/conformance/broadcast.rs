//! Every live replica hears everything.

use super::*;
use crate::{EventsError, limits::BROADCAST_BUFFER};

async fn replica(events: &dyn Events, name: &str) -> Box<dyn Consumer> {
    events
        .subscribe(Subscription::broadcast(name, [KIND]))
        .await
        .unwrap()
}

pub(super) async fn every_replica(fixture: &mut dyn Fixture) {
    let (events, second) = (fixture.events().await, fixture.second().await);
    let mut replicas = [
        replica(&*events, "a").await,
        replica(&*second, "b").await,
        replica(&*events, "a").await,
    ];
    publish(&*second, 0..20).await;
    events.publish(of_kind("other", OTHER)).await.unwrap();
    for replica in &mut replicas {
        assert_eq!(consume(&mut **replica, 20).await.len(), 20);
        nothing(&mut **replica).await;
    }
}

pub(super) async fn not_before(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let mut early = replica(&*events, "early").await;
    publish(&*events, [1]).await;
    let mut late = replica(&*events, "late").await;
    publish(&*events, [2]).await;
    assert_eq!(consume(&mut *early, 2).await, ["1", "2"]);
    assert_eq!(consume(&mut *late, 1).await, ["2"]);
    drop(late);
    publish(&*events, [3]).await;
    let mut back = replica(&*events, "late").await;
    nothing(&mut *back).await;
}

pub(super) async fn lagging(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let mut slow = replica(&*events, "slow").await;
    let total = u64::try_from(BROADCAST_BUFFER).unwrap() + 100;
    for id in 0..total {
        events.publish(event(id)).await.unwrap();
    }
    // The last ones may still be on their way, so it may be told in several parts.
    let (mut missed, mut kept) = (0, Vec::new());
    while missed + u64::try_from(kept.len()).unwrap() < total {
        match tokio::time::timeout(PATIENCE, slow.next())
            .await
            .expect_in_time()
        {
            Err(EventsError::Lagged { missed: more }) => missed += more,
            Ok(delivery) => {
                kept.push(delivery.event.id.parse::<u64>().unwrap());
                delivery.ack().await.unwrap();
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(missed > 0 && kept.len() >= BROADCAST_BUFFER, "{missed}");
    assert_eq!(
        kept,
        (missed..total).collect::<Vec<_>>(),
        "the oldest were dropped"
    );
    nothing(&mut *slow).await;
}

pub(super) async fn retried(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let (mut fails, mut fine) = (
        replica(&*events, "fails").await,
        replica(&*events, "fine").await,
    );
    publish(&*events, [1]).await;
    for (attempt, wait) in [(1, 1), (2, 2), (3, 3)] {
        let delivery = next(&mut *fails).await;
        assert_eq!(delivery.attempt, attempt);
        delivery.nack("not yet").await.unwrap();
        nothing(&mut *fails).await;
        fixture.pass(Duration::from_secs(wait)).await;
    }
    nothing(&mut *fails).await;
    assert_eq!(consume(&mut *fine, 1).await, ["1"]);
    nothing(&mut *fine).await;
    publish(&*events, [2]).await;
    drop(next(&mut *fails).await);
    fixture.pass(Duration::from_secs(1)).await;
    assert_eq!(
        consume(&mut *fails, 1).await,
        ["2"],
        "dropped unanswered is a failure too"
    );
}

pub(super) async fn beside_group(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let (mut replica, mut member) = (replica(&*events, "r").await, member(&*events).await);
    publish(&*events, 0..10).await;
    assert_eq!(consume(&mut *member, 10).await.len(), 10);
    assert_eq!(consume(&mut *replica, 10).await.len(), 10);
    reads(&*events, [0, 0, 0, 0]).await;
}
