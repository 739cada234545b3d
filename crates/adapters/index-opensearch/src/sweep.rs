//! Removing passages that no entry names.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use reqwest::Method;
use riwaq_index::Source;
use serde_json::json;
use uuid::Uuid;

use crate::Shared;
use crate::bulk::{Action, Bulk, Done, Item, Target, Visible};
use crate::client::Body;
use crate::entries;
use crate::error::Failure;
use crate::generation::{Generation, input};
use crate::stored::{Entry, source_key};

/// Most writes of one request; each is one term of its query.
const WRITES: usize = 1_000;

/// Removes the passages of writes that no entry names, nor can name any more.
pub(crate) async fn remove(
    shared: &Shared,
    generation: &Generation,
    writes: &[Uuid],
) -> Result<(), Failure> {
    for part in writes.chunks(WRITES) {
        let indexes = generation.all_passages();
        // A passage never changes: a conflict is another's removal of the same one.
        let path = format!("/{indexes}/_delete_by_query?conflicts=proceed&refresh=true");
        let mut call = shared.client.change("remove", Method::POST, path);
        let body = json!({"query": {"terms": {"write": part}}});
        call.body = Body::Json(Bytes::from(body.to_string()));
        shared.client.send(call).await?;
    }
    Ok(())
}

/// Removes passages of writes that seem to have been abandoned, which a search has met.
///
/// Their writer may be slow instead of dead. So each source's entry is written again first, as it
/// is: a writer that read it before finds it changed and begins anew, with other passages.
pub(crate) async fn abandoned(
    shared: &Shared,
    generation: &Generation,
    met: &BTreeMap<Source, BTreeSet<Uuid>>,
) -> Result<(), Failure> {
    let index = generation.sources();
    let sources = met.keys().copied().collect();
    let known = entries::read(&shared.client, &index, &sources).await?;
    let config = &shared.config;
    let mut bulk = Bulk::new(
        &shared.client,
        Visible::Later,
        config.bulk_bytes,
        config.bulk_documents,
    );
    let mut done = Vec::with_capacity(met.len());
    let to = input(&index);
    for source in met.keys() {
        let id = source_key(*source);
        let seen = known.get(source).map(|known| known.seen);
        let target = Target {
            index: &to,
            id: &id,
            seen,
        };
        let item = match known.get(source) {
            Some(known) => Item::new(&Action::Index(target), &known.entry),
            None => Item::new(&Action::Create(target), &Entry::fence(*source)),
        };
        bulk.push(item?, &mut done).await?;
    }
    bulk.flush(&mut done).await?;
    let mut writes = Vec::new();
    for ((source, met), done) in met.iter().zip(done) {
        // One that changed at this moment is looked at again by the next search.
        if done == Done::Applied {
            let current = known.get(source).map(|known| known.entry.write);
            writes.extend(met.iter().filter(|write| current != Some(**write)));
        }
    }
    tracing::info!(
        writes = writes.len(),
        "removing passages of writes that were abandoned"
    );
    remove(shared, generation, &writes).await
}
