//! Many events, many members, random failures: none is lost.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// Tries again while the bus says that it is away.
async fn surely<T, F: Future<Output = crate::Result<T>>>(mut call: impl FnMut() -> F) -> T {
    for _ in 0..1000 {
        match call().await {
            Ok(value) => return value,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    }
    panic!("failed a thousand times");
}

/// Works until the bus has been quiet for a while; counts what was handled.
struct Run {
    rng: StdRng,
    handled: BTreeMap<String, u32>,
}

impl Run {
    fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            handled: BTreeMap::new(),
        }
    }

    /// One delivery to one member: handled, failed, or dropped together with its consumer.
    async fn step(
        &mut self,
        events: &dyn Events,
        member: &mut Option<Box<dyn Consumer>>,
        failures: u32,
    ) -> bool {
        if member.is_none() {
            *member = Some(surely(|| events.subscribe(Subscription::Group(group()))).await);
        }
        let Some(consumer) = member else { return false };
        let delivery = match tokio::time::timeout(QUIET, consumer.next()).await {
            Err(_) => return false,
            Ok(Err(error)) => {
                assert!(error.is_retryable(), "{error}");
                return true;
            }
            Ok(Ok(delivery)) => delivery,
        };
        match self.rng.random_range(0..1000) {
            dice if dice >= failures => {
                *self.handled.entry(delivery.event.id.clone()).or_default() += 1;
                drop(delivery.ack().await);
            }
            dice if dice % 3 == 0 => drop(delivery.nack("unlucky").await),
            dice if dice % 3 == 1 => drop(delivery),
            _ => {
                *member = None;
                drop(delivery);
            }
        }
        true
    }

    /// Until nothing is left but dead letters.
    ///
    /// A handle need not see what another one holds, and an event on its way between two places may be
    /// seen in neither: all handles are asked, twice.
    async fn drain(&mut self, fixture: &dyn Fixture, handles: &[Arc<dyn Events>], failures: u32) {
        let mut members: Vec<Option<Box<dyn Consumer>>> = (0..4).map(|_| None).collect();
        let mut seen_empty = 0;
        while seen_empty < 2 {
            let at = self.rng.random_range(0..members.len());
            if self
                .step(&*handles[at % handles.len()], &mut members[at], failures)
                .await
            {
                seen_empty = 0;
                continue;
            }
            // Whoever waits for a backoff or a visibility timeout gets its time.
            fixture.pass(Duration::from_secs(2)).await;
            let (mut waiting, mut known) = (0, false);
            for handle in handles {
                let depths = surely(|| handle.depths()).await;
                let depth = depths.iter().find(|depth| depth.group == GROUP);
                known |= depth.is_some();
                waiting += depth.map_or(0, |depth| depth.ready + depth.delayed + depth.in_flight);
            }
            assert!(known, "no handle knows the group");
            seen_empty = if waiting == 0 { seen_empty + 1 } else { 0 };
        }
    }
}

async fn flood(events: &dyn Events, total: u32) {
    let group = group();
    surely(|| events.declare_group(&group)).await;
    for from in (0..total).step_by(100) {
        let batch = (from..from + 100).map(|id| surely(move || events.publish(event(id))));
        futures::future::join_all(batch).await;
    }
}

pub(super) async fn none_lost(fixture: &mut dyn Fixture) {
    const TOTAL: u32 = 3000;
    let handles = [fixture.events().await, fixture.second().await];
    flood(&*handles[0], TOTAL).await;
    let mut run = Run::new(0x5EED);
    run.drain(fixture, &handles, 250).await;
    loop {
        // Three failures in a row are not rare here: an operator replays until all is done.
        let replayed = surely(|| handles[0].replay_all(GROUP)).await;
        run.drain(fixture, &handles, 250).await;
        let depths = surely(|| handles[0].depths()).await;
        if replayed == 0 && depths.iter().all(|depth| depth.dead == 0) {
            break;
        }
    }
    let missing: Vec<u32> = (0..TOTAL)
        .filter(|id| !run.handled.contains_key(&id.to_string()))
        .collect();
    assert!(missing.is_empty(), "lost: {missing:?}");
    assert_eq!(
        run.handled.len(),
        usize::try_from(TOTAL).unwrap(),
        "nothing was invented"
    );
}

pub(super) async fn replayed_in_the_end(fixture: &mut dyn Fixture) {
    const TOTAL: u32 = 200;
    let handles = [fixture.events().await];
    flood(&*handles[0], TOTAL).await;
    // Everything fails: everything becomes a dead letter.
    let mut run = Run::new(0xDEAD);
    run.drain(fixture, &handles, 1000).await;
    assert!(run.handled.is_empty());
    let mut letters = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = surely(|| handles[0].dead_letters(GROUP, after.as_deref(), 50)).await;
        letters.extend(page.items.into_iter().map(|letter| letter.event.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    for id in 0..TOTAL {
        assert!(
            letters.contains(&id.to_string()),
            "{id} is neither handled nor dead"
        );
    }
    // The cause is repaired.
    surely(|| handles[0].replay_all(GROUP)).await;
    run.drain(fixture, &handles, 0).await;
    surely(|| handles[0].replay_all(GROUP)).await;
    run.drain(fixture, &handles, 0).await;
    assert_eq!(run.handled.len(), usize::try_from(TOTAL).unwrap());
}
