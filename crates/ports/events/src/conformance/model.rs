//! Random operations, each compared with a model of what the port promises.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

const RUNS: u64 = 12;
const STEPS: usize = 120;

/// Nothing is held for so long that the visibility timeout of [`policy`] could take it away.
const LONGEST_HOLD: Duration = Duration::from_secs(20);

/// Where an event is, by the promises.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Ready,
    /// Due at some time between these: it failed during a call, and a bus on which time passes in
    /// truth may be a little late.
    Delayed {
        earliest: Duration,
        latest: Duration,
    },
    Held {
        member: usize,
        since: Duration,
    },
    Dead,
}

#[derive(Debug, Default)]
struct Model {
    /// Place and deliveries so far, by event id.
    events: BTreeMap<String, (Place, u32)>,
}

impl Model {
    fn count(&self, wanted: impl Fn(Place) -> bool) -> u64 {
        u64::try_from(
            self.events
                .values()
                .filter(|(place, _)| wanted(*place))
                .count(),
        )
        .unwrap()
    }

    /// Those that are ready at this time, whatever happens.
    fn surely_ready(&self, now: Duration) -> u64 {
        self.count(|place| match place {
            Place::Ready => true,
            Place::Delayed { latest, .. } => latest <= now,
            Place::Held { .. } | Place::Dead => false,
        })
    }

    /// Whether the bus may show these figures when asked between two times.
    fn allows(&self, depth: &GroupDepth, from: Duration, to: Duration) -> bool {
        let waits = |place| matches!(place, Place::Ready | Place::Delayed { .. });
        let surely_delayed =
            self.count(|place| matches!(place, Place::Delayed { earliest, .. } if earliest > to));
        depth.ready >= self.surely_ready(from)
            && depth.delayed >= surely_delayed
            && depth.ready + depth.delayed == self.count(waits)
            && depth.in_flight == self.count(|place| matches!(place, Place::Held { .. }))
            && depth.dead == self.count(|place| place == Place::Dead)
    }

    /// A delivery failed between two times.
    fn fail(&mut self, id: &str, from: Duration, to: Duration) {
        let policy = policy();
        let Some((place, attempts)) = self.events.get_mut(id) else {
            panic!("{id} is not known")
        };
        *place = if *attempts >= policy.max_attempts {
            Place::Dead
        } else {
            let wait = policy.backoff(*attempts);
            Place::Delayed {
                earliest: from + wait,
                latest: to + wait,
            }
        };
    }

    fn release(&mut self, left: usize) {
        for (place, attempts) in self.events.values_mut() {
            if matches!(place, Place::Held { member, .. } if *member == left) {
                *place = if *attempts >= policy().max_attempts {
                    Place::Dead
                } else {
                    Place::Ready
                };
            }
        }
    }

    /// A member that has held something for too long to go on.
    fn overdue(&self, now: Duration) -> Option<usize> {
        self.events.values().find_map(|(place, _)| match place {
            Place::Held { member, since } if now >= *since + LONGEST_HOLD => Some(*member),
            _ => None,
        })
    }
}

struct Run<'f> {
    fixture: &'f mut dyn Fixture,
    events: Option<Arc<dyn Events>>,
    members: Vec<Option<Box<dyn Consumer>>>,
    hands: Vec<Vec<Delivery>>,
    model: Model,
    rng: StdRng,
    published: u32,
}

impl Run<'_> {
    fn events(&self) -> Arc<dyn Events> {
        Arc::clone(self.events.as_ref().unwrap())
    }

    async fn publish(&mut self) {
        let id = format!("run-{}", self.published);
        self.published += 1;
        self.events().publish(event(&id)).await.unwrap();
        self.model.events.insert(id, (Place::Ready, 0));
    }

    async fn take(&mut self) {
        let at = self.rng.random_range(0..self.members.len());
        if self.members[at].is_none() {
            self.members[at] = Some(member(&*self.events()).await);
        }
        if self.model.surely_ready(self.now()) == 0 {
            return;
        }
        let Some(consumer) = &mut self.members[at] else {
            return;
        };
        let delivery = next(&mut **consumer).await;
        let now = self.fixture.clock().monotonic();
        let known = self.model.events.get_mut(&delivery.event.id);
        let Some((place, attempts)) = known else {
            panic!("{} was never published", delivery.event.id)
        };
        let due = match place {
            Place::Ready => true,
            Place::Delayed { earliest, .. } => *earliest <= now,
            Place::Held { .. } | Place::Dead => false,
        };
        assert!(
            due,
            "{} was delivered out of its place: {place:?}",
            delivery.event.id
        );
        *place = Place::Held {
            member: at,
            since: now,
        };
        *attempts += 1;
        assert_eq!(delivery.attempt, *attempts, "{}", delivery.event.id);
        self.hands[at].push(delivery);
    }

    async fn answer(&mut self) {
        let at = self.rng.random_range(0..self.hands.len());
        if self.hands[at].is_empty() {
            return;
        }
        let which = self.rng.random_range(0..self.hands[at].len());
        let delivery = self.hands[at].swap_remove(which);
        let id = delivery.event.id.clone();
        let from = self.now();
        let fail = |run: &mut Self| {
            let to = run.now() + run.fixture.slack();
            run.model.fail(&id, from, to);
        };
        match self.rng.random_range(0..3) {
            0 => {
                delivery.ack().await.unwrap();
                self.model.events.remove(&id);
            }
            1 => {
                delivery.nack("model").await.unwrap();
                fail(self);
            }
            _ => {
                drop(delivery);
                fail(self);
            }
        }
    }

    fn leave(&mut self, at: usize) {
        self.members[at] = None;
        self.hands[at].clear();
        self.model.release(at);
    }

    async fn reopen(&mut self) {
        (0..self.members.len()).for_each(|at| self.leave(at));
        self.events = None;
        self.fixture.reopen().await;
        let events = self.fixture.events().await;
        events.declare_group(&group()).await.unwrap();
        self.events = Some(events);
    }

    async fn operate(&mut self) {
        let letters = self
            .events()
            .dead_letters(GROUP, None, 200)
            .await
            .unwrap()
            .items;
        if self.rng.random_bool(0.3) {
            self.events().replay_all(GROUP).await.unwrap();
            for letter in letters {
                self.model.events.insert(letter.event.id, (Place::Ready, 0));
            }
        } else if let Some(letter) = letters.into_iter().next() {
            if self.rng.random_bool(0.5) {
                self.events().replay(GROUP, &letter.id).await.unwrap();
                self.model.events.insert(letter.event.id, (Place::Ready, 0));
            } else {
                self.events().discard(GROUP, &letter.id).await.unwrap();
                self.model.events.remove(&letter.event.id);
            }
        }
    }

    fn now(&self) -> Duration {
        self.fixture.clock().monotonic()
    }

    /// The figures of the bus become those of the model.
    async fn check(&mut self) {
        let events = self.events();
        let agree = async {
            loop {
                let from = self.now();
                let shown = depth(&*events).await;
                if self.model.allows(&shown, from, self.now()) {
                    return;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        if tokio::time::timeout(PATIENCE, agree).await.is_err() {
            let shown = depth(&*events).await;
            panic!("{shown:?} at {:?} and not {:?}", self.now(), self.model);
        }
        if self.model.count(|place| place == Place::Dead) == 0 {
            return;
        }
        let dead: Vec<String> = self
            .events()
            .dead_letters(GROUP, None, 200)
            .await
            .unwrap()
            .items
            .into_iter()
            .map(|l| l.event.id)
            .collect();
        for id in &dead {
            assert_eq!(
                self.model.events.get(id).map(|(place, _)| *place),
                Some(Place::Dead),
                "{id}"
            );
        }
    }

    async fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..30 => self.publish().await,
            30..60 => self.take().await,
            60..84 => self.answer().await,
            84..90 => {
                let at = self.rng.random_range(0..self.members.len());
                self.leave(at);
            }
            90..95 => {
                self.fixture.pass(Duration::from_secs(1)).await;
            }
            95..98 => self.operate().await,
            _ => self.reopen().await,
        }
        while let Some(member) = self.model.overdue(self.now()) {
            self.leave(member);
        }
    }
}

#[expect(clippy::print_stdout, reason = "the seed of a run that fails")]
pub(super) async fn random_runs(fixture: &mut dyn Fixture) {
    for seed in 0..RUNS {
        println!("  seed {seed}");
        let events = fixture.events().await;
        events.declare_group(&group()).await.unwrap();
        let mut run = Run {
            fixture: &mut *fixture,
            events: Some(events),
            members: (0..3).map(|_| None).collect(),
            hands: (0..3).map(|_| Vec::new()).collect(),
            model: Model::default(),
            rng: StdRng::seed_from_u64(seed),
            published: 0,
        };
        for _ in 0..STEPS {
            run.step().await;
            run.check().await;
        }
        (0..3).for_each(|at| run.leave(at));
        let events = run.events();
        drop(run);
        events.retire_group(&group()).await.unwrap();
    }
}
