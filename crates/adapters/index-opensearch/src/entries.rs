//! Entries of sources: read by key at once, listed and counted for operators.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use reqwest::Method;
use riwaq_index::{IndexError, Source, SourceKind, SourceState, Stats};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::bulk::Seen;
use crate::client::{Body, Client};
use crate::error::{ErrorDetail, Failure};
use crate::stored::{Entry, kind_name, source_key, source_of};

/// An entry as it was read, for a write that depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) entry: Entry,
    pub(crate) seen: Seen,
}

#[derive(Deserialize)]
struct Many {
    docs: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    #[serde(rename = "_id")]
    id: String,
    error: Option<ErrorDetail>,
    #[serde(rename = "_seq_no")]
    number: Option<u64>,
    #[serde(rename = "_primary_term")]
    term: Option<u64>,
    #[serde(rename = "_source")]
    entry: Option<Entry>,
}

/// The entries of these sources as they are now, whether or not a search sees them yet. What is
/// not in the answer was never written.
pub(crate) async fn read(
    client: &Client,
    index: &str,
    sources: &BTreeSet<Source>,
) -> Result<BTreeMap<Source, Known>, Failure> {
    if sources.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<String> = sources.iter().copied().map(source_key).collect();
    let mut call = client.ask("entries", Method::POST, format!("/{index}/_mget"));
    call.body = Body::Json(Bytes::from(json!({ "ids": ids }).to_string()));
    let answer: Many = client.fetch(call).await?;
    let mut known = BTreeMap::new();
    for one in answer.docs {
        if let Some(detail) = one.error {
            return Err(Failure::of_detail(503, detail));
        }
        let (Some(entry), Some(number), Some(term)) = (one.entry, one.number, one.term) else {
            continue;
        };
        let source = source_of(&one.id)
            .ok_or_else(|| Failure::Strange(format!("a source that is called {}", one.id)))?;
        let seen = Seen { number, term };
        known.insert(source, Known { entry, seen });
    }
    Ok(known)
}

/// Makes every entry that was written findable. Searches of this crate do not depend on it.
async fn refresh(client: &Client, index: &str) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "_shards")]
        shards: Shards,
    }
    #[derive(Deserialize)]
    struct Shards {
        failed: u32,
    }
    let call = client.ask("refresh", Method::POST, format!("/{index}/_refresh"));
    let answer: Answer = client.fetch(call).await?;
    if answer.shards.failed > 0 {
        let failed = answer.shards.failed;
        return Err(Failure::Unreachable(format!(
            "{failed} copies do not refresh"
        )));
    }
    Ok(())
}

/// Entries of a kind after an id, by id.
pub(crate) async fn list(
    client: &Client,
    index: &str,
    kind: SourceKind,
    after: Option<Uuid>,
    limit: usize,
) -> Result<Vec<SourceState>, IndexError> {
    #[derive(Deserialize)]
    struct Answer {
        hits: Hits,
    }
    #[derive(Deserialize)]
    struct Hits {
        hits: Vec<Hit>,
    }
    #[derive(Deserialize)]
    struct Hit {
        #[serde(rename = "_source")]
        entry: Entry,
    }
    refresh(client, index).await?;
    let mut body = json!({
        "size": limit,
        "track_total_hits": false,
        "sort": [{"id": "asc"}],
        "query": {"bool": {
            "filter": [{"term": {"kind": kind_name(kind)}}],
            "must_not": [{"term": {"state": "fence"}}],
        }},
    });
    if let Some(after) = after {
        body["search_after"] = json!([after]);
    }
    let answer: Answer = client.fetch(search(client, "list", index, &body)).await?;
    let entries = answer.hits.hits.into_iter();
    entries
        .filter_map(|hit| hit.entry.state().transpose())
        .collect()
}

/// How many there are, by the entries: passages that no entry names are not counted.
pub(crate) async fn count(client: &Client, index: &str) -> Result<Stats, Failure> {
    #[derive(Deserialize)]
    struct Answer {
        aggregations: Aggregations,
    }
    #[derive(Deserialize)]
    struct Aggregations {
        files: Bucket,
        courses: Bucket,
        tombstones: Bucket,
    }
    #[derive(Deserialize)]
    struct Bucket {
        doc_count: u64,
        documents: Sum,
    }
    #[derive(Deserialize)]
    struct Sum {
        value: f64,
    }
    refresh(client, index).await?;
    let present = |kind| {
        json!({"bool": {"filter": [
            {"term": {"kind": kind_name(kind)}},
            {"term": {"state": "present"}},
        ]}})
    };
    let sum = json!({"documents": {"sum": {"field": "documents"}}});
    let body = json!({
        "size": 0,
        "track_total_hits": false,
        "aggs": {
            "files": {"filter": present(SourceKind::File), "aggs": sum},
            "courses": {"filter": present(SourceKind::Course), "aggs": sum},
            "tombstones": {"filter": {"term": {"state": "deleted"}}, "aggs": sum},
        },
    });
    let answer: Answer = client.fetch(search(client, "count", index, &body)).await?;
    let Aggregations {
        files,
        courses,
        tombstones,
    } = answer.aggregations;
    // Whole numbers below 2^53.
    let whole = |sum: Sum| sum.value as u64;
    Ok(Stats {
        sources: files.doc_count + courses.doc_count,
        tombstones: tombstones.doc_count,
        passages: whole(files.documents),
        courses: whole(courses.documents),
    })
}

fn search(
    client: &Client,
    operation: &'static str,
    index: &str,
    body: &serde_json::Value,
) -> crate::client::Call {
    let path = format!("/{index}/_search?allow_partial_search_results=false");
    let mut call = client.ask(operation, Method::POST, path);
    call.body = Body::Json(Bytes::from(body.to_string()));
    call
}
