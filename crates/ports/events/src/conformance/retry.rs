//! What happens to an event that is not acknowledged.

use super::*;
use crate::{EventsError, limits};

const SECOND: Duration = Duration::from_secs(1);
const ALMOST_A_SECOND: Duration = Duration::from_millis(999);

pub(super) async fn backoff(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let mut member = member(&*events).await;
    publish(&*events, [1]).await;
    next(&mut *member).await.nack("first").await.unwrap();
    nothing(&mut *member).await;
    fixture.pass(SECOND).await;
    let again = next(&mut *member).await;
    assert_eq!(again.attempt, 2);
    again.nack("second").await.unwrap();
    // The second step is two seconds.
    fixture.pass(ALMOST_A_SECOND).await;
    nothing(&mut *member).await;
    fixture.pass(2 * SECOND).await;
    let last = next(&mut *member).await;
    assert_eq!(last.attempt, 3);
    last.ack().await.unwrap();
    reads(&*events, [0, 0, 0, 0]).await;
}

pub(super) async fn dead_letter(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let mut member = member(&*events).await;
    publish(&*events, [1]).await;
    kill_one(fixture, &mut *member, "no such course").await;
    fixture.pass(3 * SECOND).await;
    nothing(&mut *member).await;
    let page = events.dead_letters(GROUP, None, 10).await.unwrap();
    let [letter] = &page.items[..] else {
        panic!("{page:?}")
    };
    assert_eq!(
        (
            letter.group.as_str(),
            letter.attempts,
            letter.reason.as_str()
        ),
        (GROUP, 3, "no such course")
    );
    assert_eq!(letter.event, event(1));
    assert_eq!(page.next, None);
}

pub(super) async fn others_go_on(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let mut member = member(&*events).await;
    publish(&*events, [1]).await;
    next(&mut *member).await.nack("later").await.unwrap();
    publish(&*events, 2..20).await;
    assert_eq!(consume(&mut *member, 18).await.len(), 18);
    fixture.pass(SECOND).await;
    assert_eq!(consume(&mut *member, 1).await, ["1"]);
}

pub(super) async fn dropped_delivery(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let mut member = member(&*events).await;
    publish(&*events, [1]).await;
    drop(next(&mut *member).await);
    nothing(&mut *member).await;
    fixture.pass(SECOND).await;
    let again = next(&mut *member).await;
    assert_eq!(again.attempt, 2);
}

pub(super) async fn dropped_consumer(fixture: &mut dyn Fixture) {
    let (events, second) = (fixture.events().await, fixture.second().await);
    let (mut leaves, mut stays) = (member(&*events).await, member(&*second).await);
    publish(&*events, [1, 2]).await;
    let (one, two) = (next(&mut *leaves).await, next(&mut *leaves).await);
    nothing(&mut *stays).await;
    drop(leaves);
    assert_eq!(consume(&mut *stays, 2).await, ["1", "2"]);
    assert_eq!(one.ack().await, Err(EventsError::NotHeld));
    assert_eq!(two.nack("late").await, Err(EventsError::NotHeld));
    nothing(&mut *stays).await;
}

pub(super) async fn visibility(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let (mut hangs, mut works) = (member(&*events).await, member(&*events).await);
    publish(&*events, [1]).await;
    let held = next(&mut *hangs).await;
    fixture.pass(29 * SECOND).await;
    nothing(&mut *works).await;
    // The timeout itself, then the backoff of a failure.
    fixture.pass(SECOND).await;
    nothing(&mut *works).await;
    fixture.pass(SECOND).await;
    let again = next(&mut *works).await;
    assert_eq!(again.attempt, 2);
    assert_eq!(held.ack().await, Err(EventsError::NotHeld));
    again.ack().await.unwrap();
    reads(&*events, [0, 0, 0, 0]).await;
}

pub(super) async fn reasons(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let mut member = member(&*events).await;
    publish(&*events, [1]).await;
    let long = "é".repeat(limits::MAX_REASON_BYTES);
    kill_one(fixture, &mut *member, &format!("'; --\n{long}")).await;
    let letter = events
        .dead_letters(GROUP, None, 1)
        .await
        .unwrap()
        .items
        .remove(0);
    assert!(letter.reason.starts_with("'; --\né"));
    assert!(letter.reason.len() <= limits::MAX_REASON_BYTES && letter.reason.len() > 1000);
}
