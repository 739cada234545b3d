//! What is there after a restart.

use std::collections::BTreeSet;

use super::*;

pub(super) async fn unacknowledged(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let mut member = member(&*events).await;
    publish(&*events, 0..6).await;
    assert_eq!(consume(&mut *member, 2).await.len(), 2);
    let held = next(&mut *member).await;
    let held_id = held.event.id.clone();
    // The consumer goes first: what it held is given back, not failed.
    drop(member);
    drop(held);
    drop(events);
    fixture.reopen().await;
    let events = fixture.events().await;
    events.declare_group(&group()).await.unwrap();
    publish(&*events, [6]).await;
    reads(&*events, [5, 0, 0, 0]).await;
    let mut member = super::member(&*events).await;
    let ids = consume(&mut *member, 5).await;
    assert!(
        ids.contains(&held_id) && ids.contains(&"6".to_owned()),
        "{ids:?}"
    );
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 5);
    nothing(&mut *member).await;
}

pub(super) async fn delays(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let mut member = member(&*events).await;
    publish(&*events, [1]).await;
    kill_one(fixture, &mut *member, "broken").await;
    let before = events.dead_letters(GROUP, None, 10).await.unwrap();
    publish(&*events, [2]).await;
    next(&mut *member).await.nack("later").await.unwrap();
    fixture.pass(Duration::from_secs(1)).await;
    // The second step is two seconds: enough for a restart where time is real.
    next(&mut *member).await.nack("later still").await.unwrap();
    drop(member);
    drop(events);
    fixture.reopen().await;
    let events = fixture.events().await;
    events.declare_group(&group()).await.unwrap();
    reads(&*events, [0, 1, 0, 1]).await;
    assert_eq!(events.dead_letters(GROUP, None, 10).await.unwrap(), before);
    let mut member = super::member(&*events).await;
    nothing(&mut *member).await;
    fixture.pass(Duration::from_secs(2)).await;
    let delivery = next(&mut *member).await;
    assert_eq!((delivery.event.id.as_str(), delivery.attempt), ("2", 3));
    delivery.ack().await.unwrap();
    assert_eq!(events.replay_all(GROUP).await.unwrap(), 1);
    assert_eq!(consume(&mut *member, 1).await, ["1"]);
}

pub(super) async fn thousands(fixture: &mut dyn Fixture) {
    const TOTAL: usize = 4000;
    let events = fixture.events().await;
    events.declare_group(&group()).await.unwrap();
    for from in (0..4000).step_by(500) {
        publish(&*events, from..from + 500).await;
    }
    let mut member = member(&*events).await;
    let mut seen: BTreeSet<String> = consume(&mut *member, 1500).await.into_iter().collect();
    drop(member);
    drop(events);
    fixture.reopen().await;
    let events = fixture.events().await;
    events.declare_group(&group()).await.unwrap();
    reads(&*events, [2500, 0, 0, 0]).await;
    let mut member = super::member(&*events).await;
    seen.extend(consume(&mut *member, 2500).await);
    assert_eq!(seen.len(), TOTAL);
    nothing(&mut *member).await;
    reads(&*events, [0, 0, 0, 0]).await;
}
