//! The one thread that writes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use riwaq_index::{Change, Content, IndexError, Outcome, Source, SourceState};
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::{IndexReader, IndexWriter, Searcher, TantivyDocument, Term};
use tokio::sync::oneshot;

use crate::schema::{Fields, source_key};
use crate::{Config, error, schema, sources};

/// A share of deleted documents at which a segment is rewritten.
const DELETED_SHARE_BEFORE_MERGE: f32 = 0.25;

type Answer<T> = oneshot::Sender<Result<T, IndexError>>;

enum Request {
    Write {
        changes: Vec<Change>,
        answer: Answer<Vec<Outcome>>,
    },
    Clear {
        answer: Answer<()>,
    },
}

/// The thread and the way to it.
pub(crate) struct Writer {
    requests: Option<mpsc::Sender<Request>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    failing: Arc<AtomicBool>,
}

impl Writer {
    /// Takes the lock of the folder and starts the thread.
    pub(crate) fn start(
        index: &tantivy::Index,
        reader: IndexReader,
        fields: Fields,
        config: &Config,
        folder: &Path,
    ) -> Result<Self, IndexError> {
        let options = IndexWriterOptions::builder()
            .memory_budget_per_thread(config.write_buffer_bytes)
            .num_worker_threads(1)
            .num_merge_threads(1)
            .build();
        let writer: IndexWriter<TantivyDocument> = index
            .writer_with_options(options)
            .map_err(|error| error::map(folder, error))?;
        let mut policy = LogMergePolicy::default();
        policy.set_del_docs_ratio_before_merge(DELETED_SHARE_BEFORE_MERGE);
        writer.set_merge_policy(Box::new(policy));
        let failing = Arc::new(AtomicBool::new(false));
        let (requests, queue) = mpsc::channel();
        let task = Task {
            writer,
            reader,
            fields,
            folder: folder.to_owned(),
            commit_changes: config.commit_changes.max(1),
            failing: Arc::clone(&failing),
        };
        let thread = std::thread::Builder::new()
            .name("riwaq-index".to_owned())
            .spawn(move || task.run(&queue))
            .map_err(|error| IndexError::Unavailable(format!("no thread: {error}")))?;
        Ok(Self {
            requests: Some(requests),
            thread: Mutex::new(Some(thread)),
            failing,
        })
    }

    pub(crate) async fn write(&self, changes: Vec<Change>) -> Result<Vec<Outcome>, IndexError> {
        self.ask(|answer| Request::Write { changes, answer }).await
    }

    pub(crate) async fn clear(&self) -> Result<(), IndexError> {
        self.ask(|answer| Request::Clear { answer }).await
    }

    async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<T, IndexError> {
        let stopped = || IndexError::Unavailable("the writer has stopped".to_owned());
        let (answer, wait) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or_else(stopped)?;
        requests.send(request(answer)).map_err(|_| stopped())?;
        wait.await.map_err(|_| stopped())?
    }

    /// Whether the thread is there and its last commit went well.
    pub(crate) fn health(&self) -> Result<(), IndexError> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.as_ref().is_none_or(JoinHandle::is_finished) {
            return Err(IndexError::Unavailable("the writer has stopped".to_owned()));
        }
        if self.failing.load(Ordering::Relaxed) {
            return Err(IndexError::Unavailable("the last commit failed".to_owned()));
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The closed queue ends the thread; waiting for it gives the lock back in order.
        self.requests = None;
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the index writer panicked");
        }
    }
}

/// What the thread works with.
struct Task {
    writer: IndexWriter<TantivyDocument>,
    reader: IndexReader,
    fields: Fields,
    folder: PathBuf,
    commit_changes: usize,
    failing: Arc<AtomicBool>,
}

/// A write that waits for the commit it is part of.
type Waiting = (Answer<Vec<Outcome>>, Vec<Outcome>);

impl Task {
    fn run(mut self, queue: &mpsc::Receiver<Request>) {
        let mut held = None;
        while let Some(first) = held.take().or_else(|| queue.recv().ok()) {
            match first {
                Request::Clear { answer } => {
                    let done = self.clear();
                    self.note(&done);
                    // Whoever gave up waiting does not need the answer.
                    let _ = answer.send(done);
                }
                Request::Write { changes, answer } => {
                    held = self.write_batch(queue, changes, answer);
                }
            }
        }
    }

    /// Applies this write and those that wait behind it, in one commit; gives back a request of
    /// another sort that was met.
    fn write_batch(
        &mut self,
        queue: &mpsc::Receiver<Request>,
        changes: Vec<Change>,
        answer: Answer<Vec<Outcome>>,
    ) -> Option<Request> {
        let mut batch = vec![(changes, answer)];
        let mut size = batch[0].0.len();
        let mut other = None;
        while size < self.commit_changes {
            match queue.try_recv() {
                Ok(Request::Write { changes, answer }) => {
                    size += changes.len();
                    batch.push((changes, answer));
                }
                Ok(request) => {
                    other = Some(request);
                    break;
                }
                Err(_) => break,
            }
        }
        let (answers, writes): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|(changes, answer)| (answer, changes))
            .unzip();
        let done = self.apply(&writes);
        self.note(&done);
        match done {
            Ok(outcomes) => {
                let waiting: Vec<Waiting> = answers.into_iter().zip(outcomes).collect();
                for (answer, outcomes) in waiting {
                    let _ = answer.send(Ok(outcomes));
                }
            }
            Err(error) => {
                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
        other
    }

    fn note<T>(&mut self, done: &Result<T, IndexError>) {
        self.failing.store(done.is_err(), Ordering::Relaxed);
        if let Err(error) = done {
            tracing::error!(%error, "the index could not be written");
            // Half a batch must not reach the next commit.
            if let Err(error) = self.writer.rollback() {
                tracing::error!(%error, "the index could not be rolled back");
            }
        }
    }

    /// Applies writes and commits once; the outcomes by write.
    fn apply(&mut self, writes: &[Vec<Change>]) -> Result<Vec<Vec<Outcome>>, IndexError> {
        let searcher = self.reader.searcher();
        let mut seen = HashMap::new();
        let mut outcomes = Vec::with_capacity(writes.len());
        for changes in writes {
            let mut of_write = Vec::with_capacity(changes.len());
            for change in changes {
                of_write.push(self.apply_one(&searcher, &mut seen, change)?);
            }
            outcomes.push(of_write);
        }
        if outcomes
            .iter()
            .flatten()
            .any(|outcome| *outcome == Outcome::Applied)
        {
            self.commit()?;
        }
        Ok(outcomes)
    }

    fn apply_one(
        &self,
        searcher: &Searcher,
        seen: &mut HashMap<Source, (u64, bool)>,
        change: &Change,
    ) -> Result<Outcome, IndexError> {
        let source = change.source;
        let known = match seen.get(&source) {
            Some(known) => Some(*known),
            None => sources::find(searcher, &self.fields, source)
                .map_err(|error| self.map(error))?
                .map(|state| (state.version, state.deleted)),
        };
        let deleted = change.content == Content::Deleted;
        if let Some((version, buried)) = known
            && (version > change.version || (version == change.version && buried && !deleted))
        {
            return Ok(Outcome::Refused { current: version });
        }
        let note = change.note.clone();
        self.replace(
            change,
            &SourceState {
                source,
                version: change.version,
                deleted,
                note,
            },
        )?;
        seen.insert(source, (change.version, deleted));
        Ok(Outcome::Applied)
    }

    fn replace(&self, change: &Change, state: &SourceState) -> Result<(), IndexError> {
        let key = source_key(change.source);
        for field in [self.fields.source, self.fields.state] {
            self.writer.delete_term(Term::from_field_bytes(field, &key));
        }
        let mut documents = vec![schema::state(&self.fields, state)];
        if let Content::Documents(all) = &change.content {
            for document in all {
                let made = schema::document(&self.fields, change.source, document)
                    .map_err(|error| IndexError::invalid("document", error.to_string()))?;
                documents.push(made);
            }
        }
        for document in documents {
            self.writer
                .add_document(document)
                .map_err(|error| self.map(error))?;
        }
        Ok(())
    }

    fn clear(&mut self) -> Result<(), IndexError> {
        self.writer
            .delete_all_documents()
            .map_err(|error| self.map(error))?;
        self.commit()
    }

    fn commit(&mut self) -> Result<(), IndexError> {
        self.writer
            .commit()
            .map_err(|error| error::map(&self.folder, error))?;
        // Before the answer: who wrote sees what was written.
        self.reader.reload().map_err(|error| self.map(error))
    }

    fn map(&self, error: tantivy::TantivyError) -> IndexError {
        error::map(&self.folder, error)
    }
}
