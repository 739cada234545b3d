//! Bulk requests: cut by size, answered item by item.

use bytes::{Bytes, BytesMut};
use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::client::{Body, Client};
use crate::error::{self, ErrorDetail, Failure};

/// One line or two of a bulk request.
#[derive(Debug, Clone)]
pub(crate) struct Item(Bytes);

/// What an item does, and where.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action<'a> {
    /// Writes a document, whatever was there; with a condition, only over what was read before.
    Index(Target<'a>),
    /// Writes a document where there is none.
    Create(Target<'a>),
}

/// The place of a document.
#[derive(Serialize)]
pub(crate) struct Target<'a> {
    #[serde(rename = "_index")]
    pub(crate) index: &'a str,
    #[serde(rename = "_id")]
    pub(crate) id: &'a str,
    #[serde(flatten)]
    pub(crate) seen: Option<Seen>,
}

/// Which state of a document was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Seen {
    #[serde(rename = "if_seq_no")]
    pub(crate) number: u64,
    #[serde(rename = "if_primary_term")]
    pub(crate) term: u64,
}

impl Item {
    /// An action with its document.
    pub(crate) fn new(action: &Action<'_>, document: &impl Serialize) -> Result<Self, Failure> {
        let unwritable =
            |error: serde_json::Error| Failure::Strange(format!("a document: {error}"));
        let mut lines = serde_json::to_vec(action).map_err(unwritable)?;
        lines.push(b'\n');
        serde_json::to_writer(&mut lines, document).map_err(unwritable)?;
        lines.push(b'\n');
        Ok(Self(lines.into()))
    }
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// It was done.
    Applied,
    /// What was read before has changed, or is there by now.
    Conflict,
}

/// Whether what was written must be found when the request returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visible {
    /// By a search that starts afterwards.
    Now,
    /// By its id only.
    Later,
}

/// Collects items and sends them by size.
pub(crate) struct Bulk<'c> {
    client: &'c Client,
    visible: Visible,
    most_bytes: usize,
    most_items: usize,
    waiting: Vec<Item>,
    bytes: usize,
}

#[derive(Deserialize)]
struct Answer {
    errors: bool,
    items: Vec<AnswerItem>,
}

#[derive(Deserialize)]
struct AnswerItem {
    #[serde(alias = "index", alias = "create")]
    result: ItemResult,
}

#[derive(Deserialize)]
struct ItemResult {
    status: u16,
    error: Option<ErrorDetail>,
}

impl<'c> Bulk<'c> {
    pub(crate) fn new(
        client: &'c Client,
        visible: Visible,
        most_bytes: usize,
        most_items: usize,
    ) -> Self {
        Self {
            client,
            visible,
            most_bytes,
            most_items,
            waiting: Vec::new(),
            bytes: 0,
        }
    }

    /// Takes an item; sends what has gathered when it is enough.
    pub(crate) async fn push(&mut self, item: Item, done: &mut Vec<Done>) -> Result<(), Failure> {
        let full = self.bytes + item.0.len() > self.most_bytes;
        if !self.waiting.is_empty() && (full || self.waiting.len() >= self.most_items) {
            self.flush(done).await?;
        }
        self.bytes += item.0.len();
        self.waiting.push(item);
        Ok(())
    }

    /// Sends what has gathered; what became of each item goes behind `done`, in order.
    pub(crate) async fn flush(&mut self, done: &mut Vec<Done>) -> Result<(), Failure> {
        self.bytes = 0;
        let mut parts = vec![std::mem::take(&mut self.waiting)];
        while let Some(mut part) = parts.pop() {
            match self.send(&part).await {
                Ok(results) => done.extend(results),
                // The server takes less at once than the configuration says.
                Err(Failure::Refused { status: 413, .. }) if part.len() > 1 => {
                    let rest = part.split_off(part.len() / 2);
                    parts.extend([rest, part]);
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Sends items, and again those that the server was too busy for.
    async fn send(&self, items: &[Item]) -> Result<Vec<Done>, Failure> {
        let mut results = vec![None; items.len()];
        let mut open: Vec<usize> = (0..items.len()).collect();
        let mut pauses = self.client.pauses();
        while !open.is_empty() {
            let answered = self.once(items, &open).await?;
            let mut busy = None;
            open = std::mem::take(&mut open)
                .into_iter()
                .zip(answered)
                .filter_map(|(number, answer)| match answer {
                    Ok(done) => {
                        results[number] = Some(done);
                        None
                    }
                    Err(failure) => {
                        // The worst one decides.
                        if busy.as_ref().is_none_or(Failure::is_passing) {
                            busy = Some(failure);
                        }
                        Some(number)
                    }
                })
                .collect();
            if let Some(failure) = busy {
                match pauses.next().filter(|_| failure.is_passing()) {
                    Some(pause) => self.client.clock().sleep(pause).await,
                    None => return Err(failure),
                }
            }
        }
        Ok(results.into_iter().flatten().collect())
    }

    async fn once(
        &self,
        items: &[Item],
        open: &[usize],
    ) -> Result<Vec<Result<Done, Failure>>, Failure> {
        let size = open.iter().map(|number| items[*number].0.len()).sum();
        let mut body = BytesMut::with_capacity(size);
        for number in open {
            body.extend_from_slice(&items[*number].0);
        }
        let refresh = match self.visible {
            Visible::Now => "&refresh=true",
            Visible::Later => "",
        };
        let path = format!("/_bulk?require_alias=true{refresh}");
        let mut call = self.client.change("bulk", Method::POST, path);
        call.body = Body::Lines(body.freeze());
        let answer: Answer = self.client.fetch(call).await?;
        if answer.items.len() != open.len() {
            return Err(Failure::Strange("a bulk answer of another length".into()));
        }
        if !answer.errors {
            return Ok(vec![Ok(Done::Applied); open.len()]);
        }
        Ok(answer.items.into_iter().map(outcome).collect())
    }
}

fn outcome(item: AnswerItem) -> Result<Done, Failure> {
    let ItemResult { status, error } = item.result;
    match (status, error) {
        (200..=299, _) => Ok(Done::Applied),
        (409, _) => Ok(Done::Conflict),
        (_, Some(detail)) => Err(Failure::of_detail(status, detail)),
        (_, None) if error::is_passing(status) => Err(Failure::of_answer(status, b"")),
        (_, None) => Err(Failure::Strange(format!("an item with status {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_item_by_item() {
        let answer: Answer = serde_json::from_str(
            r#"{"took": 3, "errors": true, "items": [
                {"index": {"_index": "a", "_id": "1", "status": 201, "result": "created"}},
                {"create": {"_id": "2", "status": 409, "error": {"type": "version_conflict_engine_exception", "reason": "x"}}},
                {"index": {"_id": "3", "status": 429, "error": {"type": "opensearch_rejected_execution_exception", "reason": "full"}}},
                {"index": {"_id": "4", "status": 404, "error": {"type": "index_not_found_exception", "reason": "x"}}}
            ]}"#,
        )
        .expect("is read");
        let mut ends = answer.items.into_iter().map(outcome);
        assert_eq!(ends.next(), Some(Ok(Done::Applied)));
        assert_eq!(ends.next(), Some(Ok(Done::Conflict)));
        let busy = ends.next().expect("a third").expect_err("busy");
        assert!(busy.is_passing());
        let gone = ends.next().expect("a fourth").expect_err("gone");
        assert!(gone.is_gone() && !gone.is_passing());
    }

    #[test]
    fn a_condition_stands_beside_the_place() {
        let seen = Some(Seen { number: 7, term: 2 });
        let action = Action::Index(Target {
            index: "i",
            id: "x",
            seen,
        });
        let item = Item::new(&action, &serde_json::json!({"a": "é\0"})).expect("is written");
        let text = std::str::from_utf8(&item.0).expect("is text");
        let mut lines = text.lines();
        assert_eq!(
            lines.next(),
            Some(r#"{"index":{"_index":"i","_id":"x","if_seq_no":7,"if_primary_term":2}}"#)
        );
        assert_eq!(lines.next(), Some(r#"{"a":"é\u0000"}"#));
    }
}
