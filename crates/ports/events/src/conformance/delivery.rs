//! Who gets what.

use std::collections::BTreeSet;

use super::*;
use crate::{EventsError, MAX_EVENT_BYTES};

pub(super) async fn competing_members(fixture: &mut dyn Fixture) {
    let (events, second) = (fixture.events().await, fixture.second().await);
    let (mut one, mut two) = (member(&*events).await, member(&*second).await);
    publish(&*events, 0..100).await;
    publish(&*second, 100..200).await;
    let mut seen = Vec::new();
    for _ in 0..200 {
        let delivery = tokio::select! {
            delivery = next(&mut *one) => delivery,
            delivery = next(&mut *two) => delivery,
        };
        assert_eq!(delivery.attempt, 1);
        seen.push(delivery.event.id.parse::<u32>().unwrap());
        delivery.ack().await.unwrap();
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..200).collect::<Vec<_>>());
    nothing(&mut *one).await;
    nothing(&mut *two).await;
}

pub(super) async fn several_groups(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let mut one = member(&*events).await;
    let mut other = events
        .subscribe(Subscription::group("test.other-group", [KIND]))
        .await
        .unwrap();
    publish(&*events, 0..10).await;
    assert_eq!(consume(&mut *one, 10).await, consume(&mut *other, 10).await);
    nothing(&mut *one).await;
    nothing(&mut *other).await;
}

pub(super) async fn declared_before(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    publish(&*events, [0]).await;
    events.declare_group(&group()).await.unwrap();
    publish(&*events, [1]).await;
    let mut member = member(&*events).await;
    assert_eq!(consume(&mut *member, 1).await, ["1"]);
    nothing(&mut *member).await;
    drop(member);
    publish(&*events, [2]).await;
    assert_eq!(consume(&mut *super::member(&*events).await, 1).await, ["2"]);
}

pub(super) async fn declared_again(fixture: &mut dyn Fixture) {
    let (events, second) = (fixture.events().await, fixture.second().await);
    events.declare_group(&group()).await.unwrap();
    second
        .declare_group(&Group::new(GROUP, [OTHER]))
        .await
        .unwrap();
    events.declare_group(&group()).await.unwrap();
    events.publish(event("a")).await.unwrap();
    events.publish(of_kind("b", OTHER)).await.unwrap();
    let mut both = events
        .subscribe(Subscription::group(GROUP, [KIND, OTHER]))
        .await
        .unwrap();
    assert_eq!(consume(&mut *both, 2).await, ["a", "b"]);
}

pub(super) async fn declared_together(fixture: &mut dyn Fixture) {
    let (events, second) = (fixture.events().await, fixture.second().await);
    events.declare_group(&group()).await.unwrap();
    let all = [
        group(),
        Group::new("test.other-group", [KIND, OTHER]),
        Group::new("test.third-group", [OTHER]),
    ];
    // By two programs that start at once, and again.
    let (one, other) = tokio::join!(events.declare_groups(&all), second.declare_groups(&all));
    one.and(other).unwrap();
    events.declare_groups(&all).await.unwrap();
    events.publish(event("a")).await.unwrap();
    events.publish(of_kind("b", OTHER)).await.unwrap();
    for (group, wanted) in all.into_iter().zip([&["a"][..], &["a", "b"], &["b"]]) {
        let mut member = events.subscribe(Subscription::Group(group)).await.unwrap();
        assert_eq!(consume(&mut *member, wanted.len()).await, wanted);
        nothing(&mut *member).await;
    }
    let bad = [group(), Group::new("a\nb", [KIND])];
    assert!(events.declare_groups(&bad).await.is_err());
    events.declare_groups(&[]).await.unwrap();
}

pub(super) async fn own_types(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    events
        .declare_group(&Group::new(GROUP, [KIND, OTHER]))
        .await
        .unwrap();
    for n in 0..20 {
        events
            .publish(of_kind(n, if n % 2 == 0 { KIND } else { OTHER }))
            .await
            .unwrap();
    }
    let mut even = member(&*events).await;
    let got = consume(&mut *even, 10).await;
    assert!(
        got.iter().all(|id| id.parse::<u32>().unwrap() % 2 == 0),
        "{got:?}"
    );
    nothing(&mut *even).await;
    let mut odd = events
        .subscribe(Subscription::group(GROUP, [OTHER]))
        .await
        .unwrap();
    assert_eq!(consume(&mut *odd, 10).await.len(), 10);
}

pub(super) async fn unwanted(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    events.declare_group(&group()).await.unwrap();
    events
        .publish(of_kind("x", "riwaq.test.nobody.wants"))
        .await
        .unwrap();
    reads(&*events, [0, 0, 0, 0]).await;
}

pub(super) async fn several_in_hand(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let mut member = member(&*events).await;
    publish(&*events, 0..5).await;
    let mut hand = Vec::new();
    for _ in 0..5 {
        hand.push(next(&mut *member).await);
    }
    let ids: BTreeSet<_> = hand
        .iter()
        .map(|delivery| delivery.event.id.clone())
        .collect();
    assert_eq!(ids.len(), 5);
    for delivery in hand.into_iter().rev() {
        delivery.ack().await.unwrap();
    }
    reads(&*events, [0, 0, 0, 0]).await;
}

pub(super) async fn cancelled_next(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let mut member = member(&*events).await;
    let mut seen = BTreeSet::new();
    for n in 0..50 {
        // Both are ready at about the same time, so the wait is dropped in every possible state.
        tokio::select! {
            biased;
            published = events.publish(event(n)) => published.unwrap(),
            delivery = member.next() => {
                let delivery = delivery.unwrap();
                seen.insert(delivery.event.id.clone());
                delivery.ack().await.unwrap();
                events.publish(event(n)).await.unwrap();
            }
        }
    }
    while seen.len() < 50 {
        let delivery = next(&mut *member).await;
        seen.insert(delivery.event.id.clone());
        delivery.ack().await.unwrap();
    }
}

pub(super) async fn unchanged(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let mut member = member(&*events).await;
    let published = event("7/3")
        .with_subject("7")
        .with_data(
            json!({"n": 1.5, "big": i64::MAX, "list": [null, true, "é"], "nested": {"": {}}}),
        )
        .with_traceparent(Some(
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        ));
    events.publish(published.clone()).await.unwrap();
    let delivery = next(&mut *member).await;
    assert_eq!((&*delivery.event, delivery.attempt), (&published, 1));
}

pub(super) async fn hostile_strings(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let mut member = member(&*events).await;
    let strings = [
        "'; DROP TABLE deliveries; --",
        "\"quoted\" \\ back\\slash",
        "*.#",
        "../../etc/passwd",
        "رواق \u{200f}\u{202e}",
        "e\u{301} \u{1F393}",
        " leading and trailing ",
        "%s%n{}${x}",
        &"x".repeat(1024),
    ];
    for text in strings {
        let mut hostile = event(text)
            .with_subject(text)
            .with_data(json!({text: [text, "nul \u{0} and \u{7}"]}));
        hostile.source = text.to_owned();
        events.publish(hostile.clone()).await.unwrap();
        let delivery = next(&mut *member).await;
        assert_eq!(*delivery.event, hostile);
        delivery.ack().await.unwrap();
    }
    let hostile_kind = "riwaq.*.#.';\"é";
    let mut odd = events
        .subscribe(Subscription::group("odd_Group-1.x", [hostile_kind]))
        .await
        .unwrap();
    events.publish(of_kind("x", hostile_kind)).await.unwrap();
    events
        .publish(of_kind("y", "riwaq.anything"))
        .await
        .unwrap();
    assert_eq!(consume(&mut *odd, 1).await, ["x"]);
    nothing(&mut *odd).await;
}

pub(super) async fn same_id_again(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let mut member = member(&*events).await;
    publish(&*events, [1]).await;
    assert_eq!(consume(&mut *member, 1).await, ["1"]);
    // After the first was handled it must come again: the relay may have a reason.
    publish(&*events, [1]).await;
    assert_eq!(consume(&mut *member, 1).await, ["1"]);
    // Two that wait may be one or two deliveries, never none.
    publish(&*events, [2, 2]).await;
    assert_eq!(consume(&mut *member, 1).await, ["2"]);
    while let Ok(delivery) = tokio::time::timeout(QUIET, member.next()).await {
        let delivery = delivery.unwrap();
        assert_eq!(delivery.event.id, "2");
        delivery.ack().await.unwrap();
    }
    reads(&*events, [0, 0, 0, 0]).await;
}

pub(super) async fn sizes(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let mut member = member(&*events).await;
    let sized = |bytes: usize| event("sized").with_data(json!("x".repeat(bytes)));
    let overhead = sized(0).encode().unwrap().len();
    let largest = sized(MAX_EVENT_BYTES - overhead);
    events.publish(largest.clone()).await.unwrap();
    let delivery = next(&mut *member).await;
    assert_eq!(*delivery.event, largest);
    delivery.ack().await.unwrap();
    let refused = events.publish(sized(MAX_EVENT_BYTES - overhead + 1)).await;
    assert!(
        matches!(refused, Err(EventsError::TooLarge { .. })),
        "{refused:?}"
    );
    events
        .publish(event("empty").with_data(serde_json::Value::Null))
        .await
        .unwrap();
    assert_eq!(consume(&mut *member, 1).await, ["empty"]);
}

pub(super) async fn bad_input(fixture: &mut dyn Fixture) {
    let events = fixture.events().await;
    let field = |outcome: crate::Result<()>| match outcome {
        Err(EventsError::InvalidInput { field, .. }) => field,
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(field(events.publish(event("")).await), "id");
    assert_eq!(
        field(events.publish(event("x").with_subject("a\0b")).await),
        "subject"
    );
    let long = "g".repeat(101);
    for bad in ["", "with space", "é", "a/b", "a*", "a\0", &long] {
        assert_eq!(
            field(events.declare_group(&Group::new(bad, [KIND])).await),
            "group"
        );
        assert_eq!(
            field(
                events
                    .subscribe(Subscription::group(bad, [KIND]))
                    .await
                    .map(drop)
            ),
            "group"
        );
        assert_eq!(
            field(
                events
                    .subscribe(Subscription::broadcast(bad, [KIND]))
                    .await
                    .map(drop)
            ),
            "replica"
        );
    }
    let none: [&str; 0] = [];
    assert_eq!(
        field(events.declare_group(&Group::new(GROUP, none)).await),
        "types"
    );
    assert_eq!(
        field(events.declare_group(&Group::new(GROUP, ["a\nb"])).await),
        "types"
    );
    let many = (0..101).map(|n| n.to_string());
    assert_eq!(
        field(events.declare_group(&Group::new(GROUP, many)).await),
        "types"
    );
}
