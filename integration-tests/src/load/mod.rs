//! Work that goes on while something is being broken, and what must be true of it afterwards.

mod checks;
mod constant_rate;
mod work;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use riwaq_test_kit::{Client, History, Patience, Tried};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::School;

pub use constant_rate::{ConstantRate, RateReport};

/// How long the load may take to get anything done.
const STUCK: Duration = Duration::from_secs(120);

/// Between two requests of a worker, where nothing else is said: people look at what they were answered. Workers that
/// never pause keep a machine busy with more of the same, and what was killed or is a pod has to start beside them.
const PAUSE: Duration = Duration::from_millis(200);

/// The title that the course has before the first edit: none of the edits gives it.
const NOT_EDITED: &str = "Not edited yet";

/// What a worker does, over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadKind {
    /// The teacher uploads a text with a word that no other holds.
    Upload,
    /// The teacher gives the course another title.
    Edit,
    /// The teacher adds a section, and edits a few times in between.
    Section,
    /// The administrator makes an account.
    Account,
    /// The student asks the chatbot.
    Ask,
    /// The student reads lists, profile, search and a file's bytes.
    Read,
}

impl LoadKind {
    /// Everything that people do.
    pub const ALL: [Self; 6] = [
        Self::Upload,
        Self::Edit,
        Self::Section,
        Self::Account,
        Self::Ask,
        Self::Read,
    ];
}

/// A file that was acknowledged.
#[derive(Debug, Clone)]
struct Uploaded {
    id: String,
    sha256: String,
    word: String,
}

/// Work on one course, and the history of it.
#[derive(Debug, Clone)]
pub struct Load {
    course: String,
    conversation: String,
    patience: Patience,
    stop_at_failure: bool,
    pause: Duration,
    counter: Arc<AtomicU64>,
    ended: watch::Sender<u64>,
    unsettled: Arc<Mutex<Vec<String>>>,
    most_tries: Arc<Mutex<(u32, Duration)>>,
    files: History<Uploaded>,
    edits: History<u64>,
    sections: History<String>,
    accounts: History<String>,
    questions: History<String>,
}

/// Workers that go on until they are told to stop.
#[derive(Debug)]
pub struct Working {
    load: Load,
    stop: Arc<AtomicBool>,
    workers: JoinSet<()>,
}

impl Load {
    /// On a new course that is published and has the student in it. Each request is tried as often as `patience` says.
    ///
    /// # Errors
    /// When the course cannot be made.
    pub async fn on_a_new_course(school: &School, patience: Patience) -> Result<Self> {
        let course = school.course(NOT_EDITED).await?.id;
        school.publish(&course).await?;
        school.enrol_student(&course).await?;
        let asked = school
            .student
            .post("/api/chatbot/conversations", &serde_json::json!({}))
            .await?;
        let conversation = crate::people::text(&asked.expect(201)?, "id")?;
        Ok(Self {
            course,
            conversation,
            patience,
            stop_at_failure: false,
            pause: PAUSE,
            counter: Arc::default(),
            ended: watch::Sender::new(0),
            unsettled: Arc::default(),
            most_tries: Arc::default(),
            files: History::new(),
            edits: History::new(),
            sections: History::new(),
            accounts: History::new(),
            questions: History::new(),
        })
    }

    /// The same, whose workers end at the first request that fails: for a world that is killed as a whole.
    #[must_use]
    pub fn until_failure(mut self) -> Self {
        self.stop_at_failure = true;
        self
    }

    /// The same, whose workers pause for so long after each request.
    #[must_use]
    pub fn with_pauses_of(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Starts one worker of each kind.
    #[must_use]
    pub fn start(&self, school: &School, kinds: &[LoadKind]) -> Working {
        let stop = Arc::new(AtomicBool::new(false));
        let mut workers = JoinSet::new();
        for kind in kinds {
            let client = match kind {
                LoadKind::Account => &school.admin,
                LoadKind::Ask | LoadKind::Read => &school.student,
                _ => &school.teacher,
            };
            workers.spawn(self.clone().work(*kind, client.clone(), Arc::clone(&stop)));
        }
        Working {
            load: self.clone(),
            stop,
            workers,
        }
    }

    async fn work(self, kind: LoadKind, client: Client, stop: Arc<AtomicBool>) {
        while !stop.load(Ordering::Relaxed) {
            let n = self.counter.fetch_add(1, Ordering::Relaxed);
            let done = self.one(kind, &client, n).await;
            self.ended.send_modify(|ended| *ended += 1);
            if let Err(error) = done {
                self.lock().push(format!("{kind:?} {n}: {error:#}"));
                if self.stop_at_failure {
                    return;
                }
            }
            tokio::time::sleep(self.pause).await;
        }
    }

    /// The most tries that a request took, and the longest time.
    #[must_use]
    pub fn worst(&self) -> (u32, Duration) {
        *self
            .most_tries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Every request was answered as it should be within the tries that it had.
    ///
    /// # Errors
    /// With those that were not.
    pub fn every_request_succeeded(&self) -> Result<()> {
        let unsettled = self.lock();
        ensure!(
            unsettled.is_empty(),
            "{} requests did not succeed within {} tries: {:#?}",
            unsettled.len(),
            self.patience.tries,
            unsettled.iter().take(8).collect::<Vec<_>>()
        );
        Ok(())
    }

    fn note(&self, tried: &Tried) {
        if !tried.is_settled() {
            println!("given up; before that: {}", tried.earlier.join(", "));
        }
        let mut worst = self
            .most_tries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        worst.0 = worst.0.max(tried.tries);
        worst.1 = worst.1.max(tried.took);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.unsettled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Working {
    /// Waits until `more` operations have ended from now on.
    ///
    /// # Errors
    /// When that takes two minutes.
    pub async fn progress(&self, more: u64) -> Result<()> {
        let mut ended = self.load.ended.subscribe();
        let goal = *ended.borrow() + more;
        tokio::time::timeout(STUCK, ended.wait_for(|ended| *ended >= goal))
            .await
            .with_context(|| format!("the load is stuck: {:?}", self.load.lock()))??;
        Ok(())
    }

    /// Lets every worker end what it is at.
    ///
    /// # Errors
    /// When one panicked.
    pub async fn stop(mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(worker) = self.workers.join_next().await {
            worker?;
        }
        Ok(())
    }
}
