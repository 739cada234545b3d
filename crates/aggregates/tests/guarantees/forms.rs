//! Versions that other releases wrote.

use std::sync::Arc;

use riwaq_aggregates::records::{Store, TableSchema, Value};
use riwaq_aggregates::{Act, Aggregate, Draft, Error, Outbox, OutboxOptions};
use riwaq_events::{MemoryEvents, RetryPolicy};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::lab::Lab;
use crate::world::note_versions;

/// The same notes as an earlier release wrote them: without `deleted`, and the owner under another name.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct OldNote {
    author: String,
}

impl Aggregate for OldNote {
    type Id = Uuid;
    const KIND: &'static str = "note";
    const EVENT: Option<&'static str> = None;
    fn table() -> &'static TableSchema {
        note_versions()
    }
    fn columns(&self) -> Vec<Value> {
        vec![self.author.as_str().into(), 0.into()]
    }
}

/// The notes of a later release, that reads all three forms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct NewNote {
    owner: String,
    marks: Vec<u32>,
    archived: bool,
}

impl Aggregate for NewNote {
    const SCHEMA: u32 = 3;
    type Id = Uuid;
    const KIND: &'static str = "note";
    const EVENT: Option<&'static str> = None;
    fn table() -> &'static TableSchema {
        note_versions()
    }
    fn columns(&self) -> Vec<Value> {
        vec![self.owner.as_str().into(), 0.into()]
    }
    fn upcast(schema: u32, mut state: serde_json::Value) -> Result<serde_json::Value, String> {
        let fields = state.as_object_mut().ok_or("not an object")?;
        match schema {
            1 => {
                let author = fields.remove("author").ok_or("no author")?;
                fields.insert("owner".into(), author);
                fields.insert("marks".into(), serde_json::json!([]));
            }
            2 => {
                fields.insert("archived".into(), false.into());
            }
            other => return Err(format!("form {other}")),
        }
        Ok(state)
    }
}

pub async fn old_forms_are_read_step_by_step_and_newer_ones_are_refused(lab: Lab) {
    let engine = lab.engine().await;
    let store = Store::new(engine.records.clone());
    let clock = engine.clock();
    let events = Arc::new(MemoryEvents::new(clock.clone(), RetryPolicy::default()).unwrap());
    let outbox = || {
        let options = OutboxOptions::default();
        Outbox::new(
            "notes",
            store.clone(),
            events.clone(),
            clock.clone(),
            options,
            Arc::new(|| None),
        )
        .unwrap()
    };
    let old = outbox().journal::<OldNote>().unwrap();
    let new = outbox().journal::<NewNote>().unwrap();
    old.create(
        &engine.id(1),
        Act::system(),
        Draft::new(
            "created",
            OldNote {
                author: "sara".into(),
            },
        ),
    )
    .await
    .unwrap();
    let read = new.load(&engine.id(1)).await.unwrap().unwrap().state;
    assert_eq!(
        read,
        NewNote {
            owner: "sara".into(),
            marks: vec![],
            archived: false
        }
    );
    new.create(&engine.id(2), Act::system(), Draft::new("created", read))
        .await
        .unwrap();
    let refused = old.load(&engine.id(2)).await.unwrap_err();
    assert!(
        matches!(&refused, Error::Corrupt { reason, .. } if reason.contains("newer")),
        "{refused}"
    );
    let twice = outbox();
    twice.journal::<OldNote>().unwrap();
    assert!(matches!(
        twice.journal::<NewNote>(),
        Err(Error::InvalidInput { field: "kind", .. })
    ));
}
