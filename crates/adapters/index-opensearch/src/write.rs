//! Writing sources: whole, in the order of their versions, each in one step.
//!
//! OpenSearch changes one document at a time. So the passages of a change are written first, under the
//! id of a new *write*, and made findable; then the one entry of the source is replaced under the condition
//! that it is still as it was read, and names that write; then the passages of the write before are
//! removed. A search drops passages whose write no entry names, so a reader sees the old ones or
//! the new ones, and a crash anywhere leaves at most passages that nobody sees.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use riwaq_index::{Change, Content, Outcome, Source};
use uuid::Uuid;

use crate::Shared;
use crate::bulk::{Action, Bulk, Done, Item, Target, Visible};
use crate::entries::{self, Known};
use crate::error::Failure;
use crate::generation::{Generation, input};
use crate::schema::LANGUAGES;
use crate::stored::{Entry, Passage, State, source_key};
use crate::sweep;

/// How often a change is tried again while others write the same source.
const CONFLICTS: usize = 30;
/// The pauses between: enough for another write to come through.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));

/// Changes of one source, by their places in the request.
type Places = Vec<usize>;
/// What becomes of changes, by their places.
type Outcomes = Vec<(usize, Outcome)>;

/// What is to be done about one source, as of what was read.
struct Plan {
    source: Source,
    known: Option<Known>,
    /// The change that the source is left with.
    last: usize,
    outcomes: Outcomes,
    write: Uuid,
}

/// One request of changes to one generation.
struct Writing<'s> {
    shared: &'s Shared,
    generation: &'s Generation,
    changes: &'s [Change],
    outcomes: Vec<Option<Outcome>>,
    open: BTreeMap<Source, Places>,
    /// What was tried for a source and not known to have happened.
    tried: HashMap<Source, Vec<(Uuid, Outcomes)>>,
    /// Writes that no entry names any more, or ever will.
    replaced: Vec<Uuid>,
}

/// Applies changes to a generation; one outcome a change, in their order.
pub(crate) async fn apply(
    shared: &Shared,
    generation: &Generation,
    changes: &[Change],
) -> Result<Vec<Outcome>, Failure> {
    let mut open: BTreeMap<Source, Places> = BTreeMap::new();
    for (place, change) in changes.iter().enumerate() {
        open.entry(change.source).or_default().push(place);
    }
    let mut writing = Writing {
        shared,
        generation,
        changes,
        outcomes: vec![None; changes.len()],
        open,
        tried: HashMap::new(),
        replaced: Vec::new(),
    };
    writing.until_settled().await?;
    if let Err(failure) = sweep::remove(shared, generation, &writing.replaced).await {
        // They are not found any more; a search that meets them removes them.
        tracing::warn!(%failure, "passages that were replaced could not be removed");
    }
    Ok(writing.outcomes.into_iter().flatten().collect())
}

impl Writing<'_> {
    async fn until_settled(&mut self) -> Result<(), Failure> {
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(PAUSES.0)
            .with_max_delay(PAUSES.1)
            .with_max_times(CONFLICTS)
            .with_jitter()
            .build();
        loop {
            let sources: BTreeSet<Source> = self.open.keys().copied().collect();
            let index = self.generation.sources();
            let mut known = entries::read(&self.shared.client, &index, &sources).await?;
            let plans = sources
                .into_iter()
                .filter_map(|source| self.plan(source, known.remove(&source)))
                .collect();
            self.carry_out(plans).await?;
            if self.open.is_empty() {
                return Ok(());
            }
            let Some(pause) = pauses.next() else {
                let reason = "others write the same source without end";
                return Err(Failure::Unreachable(reason.into()));
            };
            self.shared.client.clock().sleep(pause).await;
        }
    }

    /// What to do about a source; none where nothing is left to do.
    fn plan(&mut self, source: Source, known: Option<Known>) -> Option<Plan> {
        let tried = self.tried.remove(&source).unwrap_or_default();
        let mut happened = None;
        for (write, outcomes) in tried {
            if known
                .as_ref()
                .is_some_and(|known| known.entry.write == write)
            {
                happened = Some(outcomes);
            } else {
                self.replaced.push(write);
            }
        }
        if let Some(outcomes) = happened {
            self.settle(source, &outcomes);
            return None;
        }
        let places = self.open.get(&source)?;
        let (outcomes, last) = fold(known.as_ref(), self.changes, places);
        let Some(last) = last else {
            self.settle(source, &outcomes);
            return None;
        };
        Some(Plan {
            source,
            known,
            last,
            outcomes,
            write: Uuid::new_v4(),
        })
    }

    fn settle(&mut self, source: Source, outcomes: &[(usize, Outcome)]) {
        self.open.remove(&source);
        for (place, outcome) in outcomes {
            self.outcomes[*place] = Some(*outcome);
        }
    }

    async fn carry_out(&mut self, plans: Vec<Plan>) -> Result<(), Failure> {
        self.write_passages(&plans).await?;
        let results = self.write_entries(&plans).await?;
        for (plan, result) in plans.into_iter().zip(results) {
            match result {
                Done::Applied => {
                    self.settle(plan.source, &plan.outcomes);
                    let before = plan.known.filter(|known| known.entry.documents > 0);
                    self.replaced.extend(before.map(|known| known.entry.write));
                }
                // Another was first; or the answer to our own first try was lost.
                Done::Conflict => {
                    let tried = self.tried.entry(plan.source).or_default();
                    tried.push((plan.write, plan.outcomes));
                }
            }
        }
        Ok(())
    }

    async fn write_passages(&self, plans: &[Plan]) -> Result<(), Failure> {
        let inputs = LANGUAGES.map(|language| {
            let index = self.generation.passages(language);
            (language, input(&index))
        });
        let at = self.shared.client.clock().now().timestamp_millis();
        let mut bulk = self.bulk(Visible::Now);
        let mut done = Vec::new();
        for plan in plans {
            let Content::Documents(documents) = &self.changes[plan.last].content else {
                continue;
            };
            let key = source_key(plan.source);
            for document in documents {
                let index = inputs
                    .iter()
                    .find_map(|(language, index)| (*language == document.language).then_some(index))
                    .ok_or_else(|| Failure::Strange("a language without an index".into()))?;
                let id = format!("{}-{}", plan.write, document.id);
                let target = Target {
                    index,
                    id: &id,
                    seen: None,
                };
                let passage = Passage::new(document, &key, plan.write, at);
                bulk.push(Item::new(&Action::Index(target), &passage)?, &mut done)
                    .await?;
            }
        }
        bulk.flush(&mut done).await
    }

    async fn write_entries(&self, plans: &[Plan]) -> Result<Vec<Done>, Failure> {
        let index = input(&self.generation.sources());
        let mut bulk = self.bulk(Visible::Later);
        let mut done = Vec::with_capacity(plans.len());
        for plan in plans {
            let id = source_key(plan.source);
            let target = Target {
                index: &index,
                id: &id,
                seen: plan.known.as_ref().map(|known| known.seen),
            };
            let action = match target.seen {
                Some(_) => Action::Index(target),
                None => Action::Create(target),
            };
            let entry = Entry::of(&self.changes[plan.last], plan.write);
            bulk.push(Item::new(&action, &entry)?, &mut done).await?;
        }
        bulk.flush(&mut done).await?;
        Ok(done)
    }

    fn bulk(&self, visible: Visible) -> Bulk<'_> {
        let Shared { client, config, .. } = self.shared;
        Bulk::new(client, visible, config.bulk_bytes, config.bulk_documents)
    }
}

/// What becomes of the changes of one source, one after the other, and which it is left with.
fn fold(known: Option<&Known>, changes: &[Change], places: &[usize]) -> (Outcomes, Option<usize>) {
    let mut now = known
        .filter(|known| known.entry.state != State::Fence)
        .map(|known| {
            let deleted = known.entry.state == State::Deleted;
            (known.entry.version, deleted)
        });
    let mut last = None;
    let mut outcomes = Vec::with_capacity(places.len());
    for place in places {
        let change = &changes[*place];
        let deletes = change.content == Content::Deleted;
        let refused = now.filter(|(version, deleted)| {
            *version > change.version || (*version == change.version && *deleted && !deletes)
        });
        let outcome = match refused {
            Some((current, _)) => Outcome::Refused { current },
            None => {
                now = Some((change.version, deletes));
                last = Some(*place);
                Outcome::Applied
            }
        };
        outcomes.push((*place, outcome));
    }
    (outcomes, last)
}
