//! What an operator sees and does.

use super::*;
use crate::{EventsError, limits};

/// A group with this many dead letters, and a member of it.
async fn with_dead(
    fixture: &dyn Fixture,
    events: &dyn Events,
    ids: std::ops::Range<u32>,
) -> Box<dyn Consumer> {
    let mut member = member(events).await;
    for id in ids {
        publish(events, [id]).await;
        kill_one(fixture, &mut *member, "broken").await;
    }
    member
}

fn no_such(outcome: crate::Result<()>) -> bool {
    matches!(outcome, Err(EventsError::NoSuchDeadLetter { .. }))
}

pub(super) async fn pages(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let _member = with_dead(fixture, &*events, 0..7).await;
    let (mut after, mut seen, mut sizes) = (None, Vec::new(), Vec::new());
    loop {
        let page = events
            .dead_letters(GROUP, after.as_deref(), 3)
            .await
            .unwrap();
        sizes.push(page.items.len());
        seen.extend(page.items.into_iter().map(|letter| letter.event.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(
        seen,
        ["0", "1", "2", "3", "4", "5", "6"],
        "oldest first, each once"
    );
    assert_eq!(sizes, [3, 3, 1]);
    let exact = events.dead_letters(GROUP, None, 7).await.unwrap();
    assert_eq!((exact.items.len(), exact.next), (7, None));
    for limit in [0, limits::MAX_PAGE + 1] {
        let refused = events.dead_letters(GROUP, None, limit).await;
        assert!(
            matches!(
                refused,
                Err(EventsError::InvalidInput { field: "limit", .. })
            ),
            "{refused:?}"
        );
    }
    assert_eq!(
        events.dead_letters("unknown", None, 5).await.unwrap(),
        crate::DeadLetterPage::default()
    );
}

pub(super) async fn replay_one(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let mut member = with_dead(fixture, &*events, 0..2).await;
    let letters = events.dead_letters(GROUP, None, 10).await.unwrap().items;
    assert!(
        no_such(events.replay("test.other-group", &letters[0].id).await),
        "an id of another group"
    );
    events.replay(GROUP, &letters[0].id).await.unwrap();
    let again = next(&mut *member).await;
    assert_eq!((again.event.id.as_str(), again.attempt), ("0", 1));
    again.ack().await.unwrap();
    assert!(no_such(events.replay(GROUP, &letters[0].id).await));
    assert!(no_such(events.replay(GROUP, "nonsense").await));
    assert_eq!(
        events.dead_letters(GROUP, None, 10).await.unwrap().items,
        letters[1..]
    );
    nothing(&mut *member).await;
}

pub(super) async fn replay_all(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let mut other = events
        .subscribe(Subscription::group("test.other-group", [KIND]))
        .await
        .unwrap();
    publish(&*events, [9]).await;
    kill_one(fixture, &mut *other, "broken").await;
    let mut member = member(&*events).await;
    assert_eq!(events.replay_all(GROUP).await.unwrap(), 0);
    nothing(&mut *member).await;
    drop(member);
    let mut member = with_dead(fixture, &*events, 0..5).await;
    assert_eq!(events.replay_all(GROUP).await.unwrap(), 5);
    assert_eq!(consume(&mut *member, 5).await, ["0", "1", "2", "3", "4"]);
    reads(&*events, [0, 0, 0, 0]).await;
    let left = events
        .dead_letters("test.other-group", None, 10)
        .await
        .unwrap();
    assert_eq!(left.items.len(), 1, "another group's dead letters stay");
}

pub(super) async fn discard(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let mut member = with_dead(fixture, &*events, 0..2).await;
    let letters = events.dead_letters(GROUP, None, 10).await.unwrap().items;
    events.discard(GROUP, &letters[1].id).await.unwrap();
    assert!(no_such(events.discard(GROUP, &letters[1].id).await));
    assert!(no_such(events.replay(GROUP, &letters[1].id).await));
    assert_eq!(
        events.dead_letters(GROUP, None, 10).await.unwrap().items,
        letters[..1]
    );
    nothing(&mut *member).await;
    reads(&*events, [0, 0, 0, 1]).await;
}

pub(super) async fn depths(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let mut member = with_dead(fixture, &*events, 0..1).await;
    publish(&*events, 1..7).await;
    let held = next(&mut *member).await;
    next(&mut *member).await.nack("later").await.unwrap();
    reads(&*events, [4, 1, 1, 1]).await;
    held.ack().await.unwrap();
    reads(&*events, [4, 1, 0, 1]).await;
    fixture.pass(Duration::from_secs(1)).await;
    reads(&*events, [5, 0, 0, 1]).await;
    assert_eq!(consume(&mut *member, 5).await.len(), 5);
    reads(&*events, [0, 0, 0, 1]).await;
    assert_eq!(events.replay_all(GROUP).await.unwrap(), 1);
    reads(&*events, [1, 0, 0, 0]).await;
}

pub(super) async fn retire(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let mut member = with_dead(fixture, &*events, 0..1).await;
    publish(&*events, 1..4).await;
    next(&mut *member).await.nack("later").await.unwrap();
    let held = next(&mut *member).await;
    events
        .declare_group(&Group::new(GROUP, [OTHER]))
        .await
        .unwrap();
    events.publish(of_kind("kept", OTHER)).await.unwrap();
    assert_eq!(events.retire_group(&group()).await.unwrap(), 4);
    assert_eq!(held.ack().await, Err(EventsError::NotHeld));
    drop(member);
    publish(&*events, [5]).await;
    reads(&*events, [1, 0, 0, 0]).await;
    assert_eq!(
        events
            .retire_group(&Group::new(GROUP, [OTHER]))
            .await
            .unwrap(),
        1
    );
    assert!(
        events
            .depths()
            .await
            .unwrap()
            .iter()
            .all(|depth| depth.group != GROUP)
    );
    assert_eq!(events.retire_group(&group()).await.unwrap(), 0);
    let mut again = super::member(&*events).await;
    nothing(&mut *again).await;
    publish(&*events, [6]).await;
    assert_eq!(consume(&mut *again, 1).await, ["6"]);
}

pub(super) async fn ping(fixture: &mut dyn Fixture) {
    fixture.events().await.ping().await.unwrap();
    fixture.second().await.ping().await.unwrap();
}
