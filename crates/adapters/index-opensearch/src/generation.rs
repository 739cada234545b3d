//! Generations of indexes, and the aliases that say which one answers.
//!
//! A generation is one index a language and one of sources, all named `PREFIX-fFORMAT-TIME-RANDOM-PART`.
//! Three aliases decide everything, and change together in one atomic update of the cluster's state:
//! - `PREFIX-fFORMAT-passages`: the languages' indexes of the generation that answers;
//! - `PREFIX-fFORMAT-sources`: its index of sources, as a write index. A cluster takes one write index an
//!   alias, so of several processes that make the first generation one wins;
//! - `PREFIX-fFORMAT-writing`: the sources of each generation that takes writes: the one that answers,
//!   and one that is being filled.
//!
//! Each index has an alias of its own that ends in `-in`. Documents are written to that with
//! `require_alias`, so that a write that comes too late cannot make a removed index again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use futures::future::try_join_all;
use reqwest::Method;
use riwaq_index::Language;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{Body, Client};
use crate::config::Config;
use crate::error::Failure;
use crate::schema::{self, FORMAT, LANGUAGES};

/// How the time stands in a name.
const STAMP: &str = "%Y%m%dt%H%M%S";
/// The last part of the name of the index of sources.
const SOURCES: &str = "sources";
/// How old indexes without any alias must be to count as left behind by a process that died.
const LEFT_BEHIND: TimeDelta = TimeDelta::hours(1);
/// How often the first generation is tried while others try the same.
const RACES: usize = 20;

/// What the names of a generation's indexes begin with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Generation(Arc<str>);

impl Generation {
    /// The index of sources.
    pub(crate) fn sources(&self) -> String {
        format!("{}-{SOURCES}", self.0)
    }

    /// The index of a language.
    pub(crate) fn passages(&self, language: Language) -> String {
        format!("{}-{}", self.0, schema::part(language))
    }

    /// The indexes of all languages, with commas between.
    pub(crate) fn all_passages(&self) -> String {
        LANGUAGES.map(|language| self.passages(language)).join(",")
    }

    /// The generation of an index that an answer names; none where it is not one of ours.
    pub(crate) fn of_index(index: &str) -> Option<Self> {
        let (base, _) = index.rsplit_once('-')?;
        Some(Self(base.into()))
    }

    fn indexes(&self) -> Vec<String> {
        let mut all = LANGUAGES.map(|language| self.passages(language)).to_vec();
        all.push(self.sources());
        all
    }
}

/// The alias that documents of an index are written to.
pub(crate) fn input(index: &str) -> String {
    format!("{index}-in")
}

/// The generations that take writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Live {
    /// The one that answers.
    pub(crate) serving: Generation,
    /// Those that are being filled; one, but for races between operators.
    pub(crate) building: BTreeSet<Generation>,
}

#[derive(Deserialize)]
struct IndexAliases {
    #[serde(default)]
    aliases: BTreeMap<String, Value>,
}

/// The generations of one installation.
pub(crate) struct Generations {
    client: Arc<Client>,
    config: Config,
    /// `PREFIX-fFORMAT`.
    base: String,
}

impl Generations {
    pub(crate) fn new(client: Arc<Client>, config: Config) -> Self {
        let base = format!("{}-f{FORMAT}", config.prefix);
        Self {
            client,
            config,
            base,
        }
    }

    /// The alias over the passages of the generation that answers.
    pub(crate) fn passages_alias(&self) -> String {
        format!("{}-passages", self.base)
    }

    /// The alias of the sources of the generation that answers.
    pub(crate) fn sources_alias(&self) -> String {
        format!("{}-sources", self.base)
    }

    fn writing_alias(&self) -> String {
        format!("{}-writing", self.base)
    }

    /// What takes writes now; none where there is nothing yet.
    pub(crate) async fn live(&self) -> Result<Option<Live>, Failure> {
        let (serving, writing) = (self.sources_alias(), self.writing_alias());
        let path = format!("/_alias/{serving},{writing}");
        let call = self.client.ask("resolve", Method::GET, path);
        let found: BTreeMap<String, IndexAliases> = match self.client.fetch(call).await {
            Ok(found) => found,
            Err(failure) if failure.is_gone() => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let mut answering = None;
        let mut building = BTreeSet::new();
        for (index, IndexAliases { aliases }) in &found {
            let Some(generation) = Generation::of_index(index) else {
                continue;
            };
            if aliases.contains_key(&serving) {
                answering = Some(generation);
            } else if aliases.contains_key(&writing) {
                building.insert(generation);
            }
        }
        Ok(answering.map(|serving| Live { serving, building }))
    }

    /// What takes writes now; makes the first generation where there is none.
    pub(crate) async fn ensure(&self) -> Result<Live, Failure> {
        let mut lost = None;
        for _ in 0..RACES {
            if let Some(live) = self.live().await? {
                return Ok(live);
            }
            if let Some(failure) = lost.take() {
                return Err(failure);
            }
            let first = self.create().await?;
            match self.switch(&[], &first).await {
                Ok(()) => tracing::info!(generation = %first.0, "a new, empty index"),
                Err(failure) => {
                    self.delete(&first).await?;
                    lost = Some(failure);
                }
            }
        }
        Err(Failure::Strange("an index that comes and goes".into()))
    }

    /// A new generation beside the one that answers, which takes writes from now on. Others that
    /// were being filled are given up.
    pub(crate) async fn begin(&self) -> Result<Generation, Failure> {
        self.tidy().await?;
        let live = self.ensure().await?;
        let new = self.create().await?;
        let alias = self.writing_alias();
        let mut actions: Vec<Value> =
            vec![json!({"add": {"index": new.sources(), "alias": alias}})];
        for old in &live.building {
            actions.push(json!({"remove": {"index": old.sources(), "alias": alias}}));
        }
        self.aliases(actions).await?;
        for old in &live.building {
            self.delete(old).await?;
        }
        Ok(new)
    }

    /// Everybody is answered from this generation from now on; the others are removed. Refused
    /// where it does not take writes (any more).
    pub(crate) async fn finish(&self, new: &Generation) -> Result<(), Failure> {
        let given_up = || Failure::Unreachable("this rebuild was given up for another".into());
        let live = self.live().await?.ok_or_else(given_up)?;
        if live.serving == *new {
            return Ok(());
        }
        if !live.building.contains(new) {
            return Err(given_up());
        }
        self.switch(&[&live.serving], new)
            .await
            .map_err(|failure| {
                if failure.is_gone() {
                    given_up()
                } else {
                    failure
                }
            })?;
        self.delete_or_warn(live.building.iter().chain([&live.serving]), new)
            .await;
        Ok(())
    }

    /// Removes a generation that is being filled. The one that answers stays.
    pub(crate) async fn give_up(&self, new: &Generation) -> Result<(), Failure> {
        let live = self.live().await?;
        if live.is_some_and(|live| live.serving == *new) {
            return Ok(());
        }
        // Its alias goes with its index.
        self.delete(new).await
    }

    /// Everybody begins anew with nothing.
    pub(crate) async fn clear(&self) -> Result<(), Failure> {
        let mut lost = None;
        for _ in 0..RACES {
            let live = self.ensure().await?;
            let new = self.create().await?;
            match self.switch(&[&live.serving], &new).await {
                Ok(()) => {
                    self.delete_or_warn(live.building.iter().chain([&live.serving]), &new)
                        .await;
                    return Ok(());
                }
                Err(failure) => {
                    self.delete(&new).await?;
                    if !failure.is_gone() {
                        return Err(failure);
                    }
                    lost = Some(failure);
                }
            }
        }
        Err(lost.unwrap_or_else(|| Failure::Strange("an index that comes and goes".into())))
    }

    async fn create(&self) -> Result<Generation, Failure> {
        let stamp = self.client.clock().now().format(STAMP);
        let random = &Uuid::new_v4().simple().to_string()[..6];
        let new = Generation(format!("{}-{stamp}-{random}", self.base).into());
        let languages = LANGUAGES.map(|language| {
            let body = schema::passages(&self.config, language);
            self.create_index(new.passages(language), body)
        });
        let sources = self.create_index(new.sources(), schema::sources(&self.config));
        futures::try_join!(try_join_all(languages), sources)?;
        Ok(new)
    }

    async fn create_index(&self, index: String, mut body: Value) -> Result<(), Failure> {
        body["aliases"] = json!({ input(&index): {} });
        let mut call = self
            .client
            .change("create_index", Method::PUT, format!("/{index}"));
        call.body = Body::Json(Bytes::from(body.to_string()));
        match self.client.send(call).await {
            // The name is random: it is ours, and the answer to the first try was lost.
            Err(Failure::Refused { kind, .. }) if kind == "resource_already_exists_exception" => {
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// Puts the three aliases onto a generation, in one step with taking them from others.
    async fn switch(&self, from: &[&Generation], to: &Generation) -> Result<(), Failure> {
        let (passages, sources) = (self.passages_alias(), self.sources_alias());
        let writing = self.writing_alias();
        let mut actions = Vec::new();
        for old in from {
            for language in LANGUAGES {
                let index = old.passages(language);
                actions.push(json!({"remove": {"index": index, "alias": passages}}));
            }
            for alias in [&sources, &writing] {
                actions.push(json!({"remove": {"index": old.sources(), "alias": alias}}));
            }
        }
        for language in LANGUAGES {
            let index = to.passages(language);
            actions.push(json!({"add": {"index": index, "alias": passages}}));
        }
        let index = to.sources();
        actions.push(json!({"add": {"index": index, "alias": writing}}));
        actions.push(json!({"add": {"index": index, "alias": sources, "is_write_index": true}}));
        self.aliases(actions).await
    }

    async fn aliases(&self, actions: Vec<Value>) -> Result<(), Failure> {
        let mut call = self
            .client
            .change("aliases", Method::POST, "/_aliases".into());
        let body = json!({ "actions": actions });
        call.body = Body::Json(Bytes::from(body.to_string()));
        self.client.send(call).await.map(drop)
    }

    async fn delete(&self, generation: &Generation) -> Result<(), Failure> {
        let names = generation.indexes().join(",");
        let path = format!("/{names}?ignore_unavailable=true");
        let call = self.client.change("delete_index", Method::DELETE, path);
        match self.client.send(call).await {
            Err(failure) if failure.is_gone() => Ok(()),
            other => other.map(drop),
        }
    }

    /// What was switched stays switched: what cannot be removed now is removed by a later rebuild.
    async fn delete_or_warn<'g>(
        &self,
        all: impl Iterator<Item = &'g Generation>,
        but: &Generation,
    ) {
        for old in all.filter(|old| *old != but) {
            if let Err(failure) = self.delete(old).await {
                tracing::warn!(generation = %old.0, %failure, "an old index could not be removed");
            }
        }
    }

    /// Removes what processes that died in the middle have left: indexes that take no writes.
    async fn tidy(&self) -> Result<(), Failure> {
        let path = format!("/_alias?filter_path={}-*", self.base);
        let call = self.client.ask("resolve", Method::GET, path);
        let found: BTreeMap<String, IndexAliases> = self.client.fetch(call).await?;
        let old = self.client.clock().now() - LEFT_BEHIND;
        let mut left: BTreeMap<Generation, bool> = BTreeMap::new();
        for (index, IndexAliases { aliases }) in &found {
            let Some((generation, made)) = self.parse(index) else {
                continue;
            };
            let in_use = made > old || aliases.keys().any(|alias| *alias != input(index));
            *left.entry(generation).or_default() |= in_use;
        }
        for (generation, in_use) in left {
            if !in_use {
                tracing::info!(generation = %generation.0, "removing indexes that were left behind");
                self.delete(&generation).await?;
            }
        }
        Ok(())
    }

    /// The generation of an index of this installation and format, and when it was made.
    fn parse(&self, index: &str) -> Option<(Generation, DateTime<Utc>)> {
        let rest = index.strip_prefix(&self.base)?.strip_prefix('-')?;
        let mut parts = rest.split('-');
        let (stamp, random, part) = (parts.next()?, parts.next()?, parts.next()?);
        let known = part == SOURCES || LANGUAGES.map(schema::part).contains(&part);
        if parts.next().is_some() || !known || random.len() != 6 {
            return None;
        }
        let made = NaiveDateTime::parse_from_str(stamp, STAMP).ok()?.and_utc();
        Some((Generation::of_index(index)?, made))
    }
}
