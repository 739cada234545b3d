//! What the routes do: the service's own operations, with their I/O.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};
use riwaq_aggregates::{Act, CursorKey, Idempotency, Journal, Outbox, Relay, Version};
use riwaq_blobs::{BlobKey, Blobs, LinkSigner};
use riwaq_clock::SharedClock;
use riwaq_identity::Actor;
use riwaq_kit::{ApiResult, BoxError, IfMatch, Problem, TaskGroup};
use riwaq_records::Store;
use tokio::sync::Mutex;
use url::Url;
use uuid::Uuid;

use crate::access_journal::AccessJournal;
use crate::domain::file::{Edit, File, Received, Upload};
use crate::extractions::{Extraction, Extractions};
use crate::http::etag;
use crate::records::BlobOwner;
use crate::rights::{Access, Rights};
use crate::{BuildError, Config, Deps};

/// How often the blob store is really tried for readiness.
const BLOB_CHECK_EVERY: Duration = Duration::from_secs(30);

/// The running service. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) clock: SharedClock,
    pub(crate) tasks: TaskGroup,
    pub(crate) store: Store,
    pub(crate) files: Journal<File>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) links: LinkSigner,
    pub(crate) cursors: CursorKey,
    pub(crate) public_url: Url,
    pub(crate) rights: Rights,
    pub(crate) idempotency: Idempotency,
    pub(crate) extractions: Extractions,
    pub(crate) accesses: AccessJournal,
    /// When the blob store was last tried on the monotonic clock, and what it said.
    blobs_checked: Mutex<Option<(Duration, Result<(), String>)>>,
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    pub(crate) fn new(
        config: Config,
        deps: Deps,
        tasks: TaskGroup,
    ) -> Result<(Self, Relay), BuildError> {
        let clock = deps.clock;
        let outbox = Outbox::new(
            "files",
            deps.store.clone(),
            deps.events,
            Arc::clone(&clock),
            config.outbox.clone(),
            Arc::new(riwaq_kit::context::traceparent),
        )?;
        let idempotency = Idempotency::new(
            "files",
            deps.store.clone(),
            Arc::clone(&clock),
            config.idempotency.clone(),
        )?;
        let inner = Inner {
            tasks,
            files: outbox.journal::<File>()?,
            blobs: deps.blobs,
            links: deps.links,
            cursors: deps.cursors,
            public_url: deps.public_url,
            rights: Rights::new(deps.courses),
            idempotency,
            extractions: Extractions::new(deps.store.clone(), Arc::clone(&clock)),
            accesses: AccessJournal::new(deps.store.clone(), Arc::clone(&clock)),
            blobs_checked: Mutex::default(),
            store: deps.store,
            clock,
            config,
        };
        Ok((Self(Arc::new(inner)), outbox.relay()))
    }

    /// A file that the person may read; anything else is not there.
    pub(crate) async fn readable(
        &self,
        actor: &Actor,
        id: Uuid,
    ) -> ApiResult<(Version<File>, Access)> {
        let file = self.existing(id).await?;
        let access = self.rights.of(actor, file.state.course_id, "file").await?;
        Ok((file, access))
    }

    /// A file that the person may change: 404 for who may not know of it, 403 for who may only read it.
    pub(crate) async fn writable(&self, actor: &Actor, id: Uuid) -> ApiResult<Version<File>> {
        let (file, access) = self.readable(actor, id).await?;
        access.require_write()?;
        Ok(file)
    }

    /// A file that is not deleted.
    pub(crate) async fn existing(&self, id: Uuid) -> ApiResult<Version<File>> {
        let file = self.files.load(&id).await?;
        file.filter(|file| !file.state.deleted)
            .ok_or_else(|| Problem::not_found("file"))
    }

    /// How reading the present content of a file went.
    pub(crate) async fn extraction(&self, file: &Version<File>) -> ApiResult<Extraction> {
        self.extractions.of(file.id, &file.state).await
    }

    /// Makes a new file of what was received. Repeating it with the same operation gives the same file.
    pub(crate) async fn create(
        &self,
        course_id: Uuid,
        section_id: Option<Uuid>,
        title: Option<String>,
        received: &Received,
        upload: Upload,
    ) -> ApiResult<Version<File>> {
        let id = upload.operation;
        self.own(received.blob.key, id).await?;
        let draft = File::create(course_id, section_id, title, received, upload);
        let act = Act::by(upload.by).with_op_id(upload.operation);
        Ok(self.files.create(&id, act, draft).await?)
    }

    /// Puts what was received in the place of a file's content.
    pub(crate) async fn replace(
        &self,
        id: Uuid,
        received: &Received,
        upload: Upload,
        if_match: &IfMatch,
    ) -> ApiResult<Version<File>> {
        self.own(received.blob.key, id).await?;
        let keep = self.config.max_content_versions;
        let act = Act::by(upload.by).with_op_id(upload.operation);
        self.change(id, act, |current| {
            // Asked before If-Match: a repetition of what was done must not find its own version stale.
            let Some(draft) = current.state.replace(received, upload, keep) else {
                return Ok(None);
            };
            etag::check(if_match, current.version)?;
            Ok(Some(draft))
        })
        .await
    }

    /// Changes name, title or section.
    pub(crate) async fn edit(
        &self,
        id: Uuid,
        by: Uuid,
        edit: &Edit,
        if_match: &IfMatch,
    ) -> ApiResult<Version<File>> {
        self.change(id, Act::by(by), |current| {
            etag::check(if_match, current.version)?;
            Ok(current.state.edit(edit))
        })
        .await
    }

    /// Deletes a file; its blobs go with the sweep, a day later.
    pub(crate) async fn delete(&self, id: Uuid, by: Uuid, if_match: &IfMatch) -> ApiResult<()> {
        self.change(id, Act::by(by), |current| {
            etag::check(if_match, current.version)?;
            Ok(Some(current.state.delete()))
        })
        .await
        .map(|_| ())
    }

    async fn change<F>(&self, id: Uuid, act: Act, mut decide: F) -> ApiResult<Version<File>>
    where
        F: FnMut(&Version<File>) -> ApiResult<Option<riwaq_aggregates::Draft<File>>>,
    {
        self.files
            .update(&id, None, act, |current| {
                if current.state.deleted {
                    return Err(Problem::not_found("file"));
                }
                decide(current)
            })
            .await
    }

    /// Writes down for which file a blob is meant, before any version refers to it.
    async fn own(&self, blob: BlobKey, file_id: Uuid) -> ApiResult<()> {
        let owner = BlobOwner {
            blob: blob.to_string(),
            file_id,
        };
        Ok(self.store.put_at(&owner, self.clock.now_micros()).await?)
    }

    /// A blob that nothing refers to after all: the sweep would find it, this is sooner.
    pub(crate) async fn let_go(&self, blob: BlobKey) {
        if let Err(error) = self.blobs.mark(&blob).await {
            tracing::debug!(%error, "an unused blob is left to the sweep");
        }
    }

    /// The time as rows keep it.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now().trunc_subsecs(3)
    }

    /// For readiness: tries the blob store now and then, and repeats its answer in between.
    pub(crate) async fn check_blobs(&self) -> Result<(), BoxError> {
        let mut checked = self.blobs_checked.lock().await;
        let now = self.clock.monotonic();
        let fresh = checked
            .as_ref()
            .filter(|(at, said)| said.is_ok() && now.saturating_sub(*at) < BLOB_CHECK_EVERY);
        if fresh.is_none() {
            *checked = Some((
                now,
                self.blobs.ping().await.map_err(|error| error.to_string()),
            ));
        }
        match checked.as_ref() {
            Some((_, Err(reason))) => Err(reason.clone().into()),
            _ => Ok(()),
        }
    }
}
