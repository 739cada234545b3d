//! A decorator that makes a bus fail as real ones do, by a seed.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::error::{EventsError, Result};
use crate::event::CloudEvent;
use crate::port::{
    Consumer, DeadLetterPage, Delivery, Events, Group, GroupDepth, Receipt, Subscription,
};

/// How often what fails, in calls of a thousand.
#[derive(Debug, Clone, Copy)]
pub struct FaultPlan {
    /// The same seed and calls give the same faults.
    pub seed: u64,
    /// The call fails and has done nothing.
    pub fail_before: u32,
    /// The call has done its work and fails.
    pub fail_after: u32,
    /// A publish happens twice.
    pub duplicate: u32,
    /// The call lets other tasks go first, a random number of times.
    pub delay: u32,
}

impl FaultPlan {
    /// A rough day: every kind of fault in one call of ten.
    #[must_use]
    pub const fn rough(seed: u64) -> Self {
        Self {
            seed,
            fail_before: 100,
            fail_after: 100,
            duplicate: 100,
            delay: 100,
        }
    }
}

/// An [`Events`] that fails by plan.
#[derive(Debug)]
pub struct FaultyEvents {
    inner: Arc<dyn Events>,
    dice: Arc<Dice>,
}

impl FaultyEvents {
    /// Makes `inner` fail.
    #[must_use]
    pub fn new(inner: Arc<dyn Events>, plan: FaultPlan) -> Self {
        Self {
            inner,
            dice: Arc::new(Dice {
                plan,
                rng: Mutex::new(StdRng::seed_from_u64(plan.seed)),
            }),
        }
    }
}

#[derive(Debug)]
struct Dice {
    plan: FaultPlan,
    rng: Mutex<StdRng>,
}

impl Dice {
    fn roll(&self, per_thousand: u32) -> bool {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        rng.random_range(0..1000) < per_thousand
    }

    async fn before(&self) -> Result<()> {
        if self.roll(self.plan.delay) {
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
        }
        if self.roll(self.plan.fail_before) {
            Err(fault("before"))
        } else {
            Ok(())
        }
    }

    fn after<T>(&self, value: T) -> Result<T> {
        if self.roll(self.plan.fail_after) {
            Err(fault("after"))
        } else {
            Ok(value)
        }
    }
}

fn fault(when: &str) -> EventsError {
    EventsError::Unavailable(format!("injected fault {when} the call"))
}

#[async_trait]
impl Events for FaultyEvents {
    async fn declare_group(&self, group: &Group) -> Result<()> {
        self.dice.before().await?;
        self.inner.declare_group(group).await?;
        self.dice.after(())
    }

    async fn retire_group(&self, group: &Group) -> Result<u64> {
        self.dice.before().await?;
        let gone = self.inner.retire_group(group).await?;
        self.dice.after(gone)
    }

    async fn publish(&self, event: CloudEvent) -> Result<()> {
        self.dice.before().await?;
        if self.dice.roll(self.dice.plan.duplicate) {
            self.inner.publish(event.clone()).await?;
        }
        self.inner.publish(event).await?;
        self.dice.after(())
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn Consumer>> {
        self.dice.before().await?;
        let inner = self.inner.subscribe(subscription).await?;
        Ok(Box::new(FaultyConsumer {
            inner,
            dice: Arc::clone(&self.dice),
        }))
    }

    async fn dead_letters(
        &self,
        group: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<DeadLetterPage> {
        self.dice.before().await?;
        self.inner.dead_letters(group, after, limit).await
    }

    async fn replay(&self, group: &str, id: &str) -> Result<()> {
        self.dice.before().await?;
        self.inner.replay(group, id).await?;
        self.dice.after(())
    }

    async fn replay_all(&self, group: &str) -> Result<u64> {
        self.dice.before().await?;
        let replayed = self.inner.replay_all(group).await?;
        self.dice.after(replayed)
    }

    async fn discard(&self, group: &str, id: &str) -> Result<()> {
        self.dice.before().await?;
        self.inner.discard(group, id).await?;
        self.dice.after(())
    }

    async fn depths(&self) -> Result<Vec<GroupDepth>> {
        self.dice.before().await?;
        self.inner.depths().await
    }

    async fn ping(&self) -> Result<()> {
        self.dice.before().await?;
        self.inner.ping().await
    }
}

#[derive(Debug)]
struct FaultyConsumer {
    inner: Box<dyn Consumer>,
    dice: Arc<Dice>,
}

#[async_trait]
impl Consumer for FaultyConsumer {
    async fn next(&mut self) -> Result<Delivery> {
        self.dice.before().await?;
        let delivery = self.inner.next().await?;
        let (event, attempt) = (Arc::clone(&delivery.event), delivery.attempt);
        let receipt = FaultyReceipt {
            delivery,
            dice: Arc::clone(&self.dice),
        };
        Ok(Delivery::new(event, attempt, Box::new(receipt)))
    }
}

struct FaultyReceipt {
    delivery: Delivery,
    dice: Arc<Dice>,
}

#[async_trait]
impl Receipt for FaultyReceipt {
    async fn ack(self: Box<Self>) -> Result<()> {
        self.dice.before().await?;
        self.delivery.ack().await?;
        self.dice.after(())
    }

    async fn nack(self: Box<Self>, reason: &str) -> Result<()> {
        self.dice.before().await?;
        self.delivery.nack(reason).await?;
        self.dice.after(())
    }
}
