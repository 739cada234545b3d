//! One question: the best passages, each source whole.
//!
//! A passage counts when the entry of its source names the write that brought it. That is asked
//! after the search, by key. Where a hit does not count (a write has just begun, ended, or was
//! abandoned), the search is repeated without the passages of such writes, until every hit counts.
//! Passages of a write are findable from before its entry names it until after it names another, so
//! what is left is complete.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use reqwest::Method;
use riwaq_index::analysis::QueryTerms;
use riwaq_index::{Hit, Hits, IndexError, Position, Query, Readable, Source};
use serde::Deserialize;
use uuid::Uuid;

use crate::Shared;
use crate::client::Body;
use crate::entries;
use crate::error::Failure;
use crate::generation::Generation;
use crate::question;
use crate::stored::{Found, source_of};

/// How often a search is repeated while sources change under it.
const TRIES: usize = 20;
/// How often while whole generations of indexes are removed under it.
const REMOVED: usize = 4;

#[derive(Deserialize)]
struct Answer {
    timed_out: bool,
    hits: AnswerHits,
}

#[derive(Deserialize)]
struct AnswerHits {
    hits: Vec<AnswerHit>,
}

#[derive(Deserialize)]
struct AnswerHit {
    #[serde(rename = "_index")]
    index: String,
    #[serde(rename = "_score")]
    score: Option<f32>,
    #[serde(rename = "_source")]
    found: Found,
}

/// A write that was met: where, of which source, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Met {
    generation: Generation,
    source: Source,
    written_at: i64,
}

/// Answers a question from the passages of one index, or of several with commas between.
pub(crate) async fn run(shared: &Shared, index: &str, query: &Query) -> Result<Hits, IndexError> {
    let terms = QueryTerms::parse(&query.text);
    let none_readable = match &query.readable {
        Readable::All => false,
        Readable::Courses(ids) => ids.is_empty(),
    };
    let forbidden = query
        .course_id
        .is_some_and(|course| !query.readable.allows(course));
    if terms.is_empty() || none_readable || forbidden {
        return Ok(Hits::default());
    }
    let mut removed = 0;
    let mut met: HashMap<Uuid, Met> = HashMap::new();
    let mut without: BTreeSet<Uuid> = BTreeSet::new();
    for _ in 0..TRIES {
        let looked = look(shared, index, query, &terms, &mut met, &without).await;
        let (answer, stale) = match looked {
            Ok(looked) => looked,
            // A generation that was removed while it answered; the alias names another by now.
            Err(failure) if failure.is_gone() && removed < REMOVED => {
                removed += 1;
                met.clear();
                without.clear();
                continue;
            }
            Err(failure) => return Err(failure.into()),
        };
        if stale == without {
            clean(shared, &met, &without).await;
            return Ok(page(query, &terms, answer));
        }
        without = stale;
    }
    Err(IndexError::Unavailable(
        "what was found changed again and again".into(),
    ))
}

/// One try; which of all writes that were met do not count.
async fn look(
    shared: &Shared,
    index: &str,
    query: &Query,
    terms: &QueryTerms,
    met: &mut HashMap<Uuid, Met>,
    without: &BTreeSet<Uuid>,
) -> Result<(Vec<AnswerHit>, BTreeSet<Uuid>), Failure> {
    let client = &shared.client;
    let preference = question::preference(query);
    let path = format!(
        "/{index}/_search?allow_partial_search_results=false&search_type=dfs_query_then_fetch&preference={preference}"
    );
    let mut call = client.ask("search", Method::POST, path);
    let body = question::body(query, terms, without, call.timeout.as_millis());
    call.body = Body::Json(Bytes::from(body.to_string()));
    let answer: Answer = client.fetch(call).await?;
    if answer.timed_out {
        return Err(Failure::Unreachable("a search took too long".into()));
    }
    let hits = answer.hits.hits;
    for hit in &hits {
        let found = &hit.found;
        if met.contains_key(&found.write) {
            continue;
        }
        let place = Generation::of_index(&hit.index).zip(source_of(&found.source));
        let Some((generation, source)) = place else {
            let index = &hit.index;
            return Err(Failure::Strange(format!(
                "a passage without a source in {index}"
            )));
        };
        let seen = Met {
            generation,
            source,
            written_at: found.written_at,
        };
        met.insert(found.write, seen);
    }
    let stale = stale(shared, met).await?;
    Ok((hits, stale))
}

/// The writes that no entry names.
async fn stale(shared: &Shared, met: &HashMap<Uuid, Met>) -> Result<BTreeSet<Uuid>, Failure> {
    let mut sources: BTreeMap<&Generation, BTreeSet<Source>> = BTreeMap::new();
    for seen in met.values() {
        let of_generation = sources.entry(&seen.generation).or_default();
        of_generation.insert(seen.source);
    }
    let mut current = HashMap::new();
    for (generation, sources) in sources {
        let index = generation.sources();
        for (source, known) in entries::read(&shared.client, &index, &sources).await? {
            current.insert((generation, source), known.entry.write);
        }
    }
    let counts =
        |write: &Uuid, seen: &Met| current.get(&(&seen.generation, seen.source)) == Some(write);
    let stale = met.iter().filter(|(write, seen)| !counts(write, seen));
    Ok(stale.map(|(write, _)| *write).collect())
}

fn page(query: &Query, terms: &QueryTerms, mut answer: Vec<AnswerHit>) -> Hits {
    let more = answer.len() > query.limit;
    answer.truncate(query.limit);
    let hits: Vec<Hit> = answer.into_iter().map(|hit| made(terms, hit)).collect();
    let next = hits.last().filter(|_| more).map(|last| Position {
        score: last.score,
        id: last.document.id,
    });
    Hits { hits, next }
}

fn made(terms: &QueryTerms, hit: AnswerHit) -> Hit {
    let document = hit.found.document;
    let mut matches = terms.matches(&document.text, document.language);
    matches.also(&terms.matches(&document.heading, document.language));
    Hit {
        document,
        score: hit.score.unwrap_or_default(),
        coverage: matches.coverage(),
        highlights: matches.highlights,
    }
}

/// Removes what was met and is so old that nobody works on it any more.
async fn clean(shared: &Shared, met: &HashMap<Uuid, Met>, without: &BTreeSet<Uuid>) {
    let patience = i64::try_from(shared.config.abandoned_after_seconds).unwrap_or(i64::MAX);
    let now = shared.client.clock().now().timestamp_millis();
    let mut old: BTreeMap<Generation, BTreeMap<Source, BTreeSet<Uuid>>> = BTreeMap::new();
    for (write, seen) in met {
        let age = now.saturating_sub(seen.written_at);
        if without.contains(write) && age > patience.saturating_mul(1_000) {
            let of_generation = old.entry(seen.generation.clone()).or_default();
            let of_source = of_generation.entry(seen.source).or_default();
            of_source.insert(*write);
        }
    }
    for (generation, met) in old {
        if let Err(failure) = crate::sweep::abandoned(shared, &generation, &met).await {
            tracing::warn!(%failure, "abandoned passages could not be removed");
        }
    }
}
