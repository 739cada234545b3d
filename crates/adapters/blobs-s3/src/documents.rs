//! Small objects that several replicas change: read, changed, and written back only if nobody was faster.
//!
//! Every written version bears a stamp of its own. When a condition is refused, the stamp tells whether what is there now is
//! what this very call wrote with an earlier try whose answer was lost.

use riwaq_blobs::BlobsError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::errors::Kind;
use crate::layout::fresh_name;
use crate::store::{Condition, Store};

/// How often a change is tried while others are faster. Each time one of them succeeds, so this many must have.
pub(crate) const TRIES: usize = 16;

/// Something that is kept in one small object.
pub(crate) trait Document: Serialize + DeserializeOwned + Clone + Send + Sync {
    fn stamp(&self) -> &str;
    fn set_stamp(&mut self, stamp: String);
}

/// A document as it was read or written, with its tag.
#[derive(Clone, Debug)]
pub(crate) struct Loaded<T> {
    pub(crate) value: T,
    pub(crate) etag: String,
}

/// How a conditional write ended.
pub(crate) enum Written<T> {
    /// It is there.
    Done(Loaded<T>),
    /// Another was faster: what is there now, if anything is.
    Lost(Option<Loaded<T>>),
}

/// What a change decided.
pub(crate) enum Decision<T> {
    /// Write the document back.
    Write(T),
    /// Leave it as it is, after a look at what is there now.
    Keep(T),
    /// Leave it as it is, even if what is known is old.
    Trust(T),
}

impl Store {
    /// Reads a document; none where there is none.
    pub(crate) async fn load<T: Document>(
        &self,
        name: &str,
    ) -> Result<Option<Loaded<T>>, BlobsError> {
        let Some((bytes, etag)) = self.get_document(name).await? else {
            return Ok(None);
        };
        let value = serde_json::from_slice(&bytes);
        let value = value.map_err(|error| BlobsError::Corrupt(format!("{name}: {error}")))?;
        Ok(Some(Loaded { value, etag }))
    }

    /// Writes a document if nothing is there yet.
    pub(crate) async fn create<T: Document>(
        &self,
        name: &str,
        value: T,
    ) -> Result<Written<T>, BlobsError> {
        self.write(name, value, Condition::Absent).await
    }

    /// Writes a document over the one that was read.
    pub(crate) async fn replace<T: Document>(
        &self,
        name: &str,
        value: T,
        etag: &str,
    ) -> Result<Written<T>, BlobsError> {
        self.write(name, value, Condition::Is(etag)).await
    }

    async fn write<T: Document>(
        &self,
        name: &str,
        mut value: T,
        condition: Condition<'_>,
    ) -> Result<Written<T>, BlobsError> {
        let stamp = fresh_name();
        value.set_stamp(stamp.clone());
        let bytes = serde_json::to_vec(&value);
        let bytes = bytes.map_err(|error| BlobsError::Corrupt(format!("{name}: {error}")))?;
        match self.put(name, bytes.into(), condition).await {
            Ok(etag) => Ok(Written::Done(Loaded { value, etag })),
            // A document that is gone answers "not found" to a condition on its tag.
            Err(refusal) if matches!(refusal.kind, Kind::Precondition | Kind::NotFound) => {
                let now = self.load::<T>(name).await?;
                Ok(match now {
                    Some(now) if now.value.stamp() == stamp => Written::Done(now),
                    now => Written::Lost(now),
                })
            }
            Err(refusal) => Err(refusal.into_error()),
        }
    }

    /// Changes a document by `decide`, again and again until nobody else was faster. What `decide` refuses or keeps is decided on
    /// a version that was read just now, never on `known`.
    ///
    /// None where there is no document.
    pub(crate) async fn change<T: Document, O>(
        &self,
        name: &str,
        mut known: Option<Loaded<T>>,
        mut decide: impl FnMut(&mut T) -> Result<Decision<O>, BlobsError>,
    ) -> Result<Option<(Loaded<T>, O)>, BlobsError> {
        let mut fresh = false;
        for _ in 0..TRIES {
            let loaded = match known.take() {
                Some(loaded) => loaded,
                None => {
                    fresh = true;
                    match self.load(name).await? {
                        Some(loaded) => loaded,
                        None => return Ok(None),
                    }
                }
            };
            let mut value = loaded.value.clone();
            match decide(&mut value) {
                Ok(Decision::Write(outcome)) => {
                    match self.replace(name, value, &loaded.etag).await? {
                        Written::Done(written) => return Ok(Some((written, outcome))),
                        Written::Lost(None) => return Ok(None),
                        Written::Lost(now) => {
                            fresh = true;
                            known = now;
                        }
                    }
                }
                // What is known may be old.
                Ok(Decision::Keep(_)) | Err(_) if !fresh => {}
                Ok(Decision::Keep(outcome) | Decision::Trust(outcome)) => {
                    return Ok(Some((loaded, outcome)));
                }
                Err(refused) => return Err(refused),
            }
        }
        Err(BlobsError::Unavailable(format!(
            "{name} is being changed by too many at once"
        )))
    }
}
