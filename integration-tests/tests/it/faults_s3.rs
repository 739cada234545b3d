//! MinIO is killed with -9 while people work, and comes back.
//!
//! The server is this test's own. While it is away an upload fails within 10 s, honestly, also one that was half sent, and
//! whatever needs no file goes on; afterwards the same upload succeeds, and what was acknowledged is there.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::StreamExt;
use rand::RngExt;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method, RequestBuilder};
use riwaq_integration_tests::{Load, LoadKind, School, World, random, rounds};
use riwaq_test_kit::{Answer, Client, MinioNode, Patience, multipart, retry_after};
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use uuid::Uuid;

/// Rounds where nothing else is said.
const ROUNDS: u64 = 3;
const KINDS: [LoadKind; 3] = [LoadKind::Upload, LoadKind::Edit, LoadKind::Read];
/// Operations that end before the next thing is broken, and before it is mended.
const BETWEEN: u64 = 15;
/// What is promised of an upload while the storage is away.
const FAILS_WITHIN: Duration = Duration::from_secs(10);
/// How long everything is looked at while it is away.
const AWAY: Duration = Duration::from_secs(5);
/// From its return until everything succeeds again.
const RECOVERED_WITHIN: Duration = Duration::from_secs(30);
const MIB: usize = 1024 * 1024;
/// Of the large upload: several parts, and how much of it is sent before the server is killed.
const LARGE: usize = 24 * MIB;
const BEFORE: usize = 13 * MIB;
const PIECE: usize = 64 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn minio_is_killed_under_load() -> Result<()> {
    let _machine = crate::machine::shared().await;
    let Some(mut node) = MinioNode::start().await? else {
        return Ok(());
    };
    let world = World::with_blobs_at(&node.url()).await?;
    let mut school = School::open(&world).await?;
    let mut totals = Totals::default();
    for round in 0..rounds(ROUNDS) {
        school.sign_in_again(&world).await?;
        let done = one_round(&mut node, &school, &mut totals).await;
        done.with_context(|| format!("round {round}\n{}", world.log_ends()))?;
        println!("{} rounds with MinIO killed: {totals}", round + 1);
    }
    Ok(())
}

async fn one_round(node: &mut MinioNode, school: &School, totals: &mut Totals) -> Result<()> {
    // Somebody who never gives up: what is acknowledged in the end must be there, once.
    let stubborn = Patience {
        tries: 1_000,
        ..Patience::default()
    };
    let load = Load::on_a_new_course(school, stubborn).await?;
    let probes = Probes::of(school).await?;
    let working = load.start(school, &KINDS);
    working.progress(BETWEEN).await?;
    let killed = probes.killed_in_mid_upload(node).await?;
    totals.note_failure(killed);
    let since = Instant::now();
    while since.elapsed() < AWAY {
        probes.all_as_promised(totals).await?;
    }
    node.launch()?;
    node.wait().await?;
    let back = Instant::now();
    probes.large_succeeds(back).await?;
    totals.slowest_recovery = totals.slowest_recovery.max(back.elapsed());
    working.progress(BETWEEN).await?;
    working.stop().await?;
    load.every_request_succeeded()?;
    for (_, verdict) in load.holds(school).await? {
        totals.acknowledged += verdict.acknowledged;
    }
    Ok(())
}

/// What is asked for while the storage is away.
struct Probes {
    teacher: Client,
    anonymous: Client,
    course: String,
    /// A link to a file that was uploaded before.
    link: String,
    /// The large file, and the key that says that all tries are one upload.
    content: Bytes,
    key: String,
}

impl Probes {
    async fn of(school: &School) -> Result<Self> {
        let course = school.course("Probed").await?.id;
        let file = school
            .upload(&course, "before.txt", "text/plain", b"before it went away")
            .await?;
        let link = school
            .teacher
            .get(&format!("/api/files/{file}/link"))
            .await?;
        let link = link.expect(200)?["url"]
            .as_str()
            .context("a URL")?
            .to_owned();
        // Nothing that is read for the index, where the small ones would wait behind it.
        let mut content = vec![0; LARGE];
        random().fill(content.as_mut_slice());
        Ok(Self {
            teacher: school.teacher.clone(),
            anonymous: school.anonymous.clone(),
            course,
            link,
            content: content.into(),
            key: Uuid::new_v4().to_string(),
        })
    }

    fn large(&self, body: Body) -> Result<RequestBuilder> {
        let part = Part::stream_with_length(body, LARGE as u64)
            .file_name("large.bin")
            .mime_str("application/octet-stream")?;
        let path = format!("/api/courses/{}/files", self.course);
        let request = self.teacher.request(Method::POST, &path);
        Ok(request
            .header("idempotency-key", &self.key)
            .multipart(Form::new().part("file", part)))
    }

    /// Kills the server when much of the large upload was sent, and sends the rest; gives how long the answer took.
    async fn killed_in_mid_upload(&self, node: &mut MinioNode) -> Result<Duration> {
        let (reached, reaches) = oneshot::channel::<()>();
        let (go_on, goes_on) = oneshot::channel::<()>();
        let sent = |from: usize, to: usize| {
            let content = self.content.slice(from..to);
            futures::stream::iter((0..content.len().div_ceil(PIECE)).map(move |n| {
                Ok::<_, std::io::Error>(
                    content.slice(n * PIECE..content.len().min((n + 1) * PIECE)),
                )
            }))
        };
        let pause = futures::stream::once(async move {
            let _ = reached.send(());
            let _ = goes_on.await;
            Ok(Bytes::new())
        });
        let body = sent(0, BEFORE).chain(pause).chain(sent(BEFORE, LARGE));
        let request = self.large(Body::wrap_stream(body))?;
        let answer = tokio::spawn({
            let teacher = self.teacher.clone();
            async move { teacher.send(request).await }
        });
        reaches
            .await
            .context("the upload ended before it was sent")?;
        node.kill()?;
        let killed = Instant::now();
        let _ = go_on.send(());
        let answer = answer.await?.context("the large upload")?;
        let took = killed.elapsed();
        refused_in_time("the large upload", &answer, took)?;
        Ok(took)
    }

    /// Uploads and downloads fail honestly and soon, all else is as ever.
    async fn all_as_promised(&self, totals: &mut Totals) -> Result<()> {
        let path = format!("/api/courses/{}/files", self.course);
        let form = multipart("probe.txt", "text/plain", b"a probe")?;
        let upload = self.teacher.request(Method::POST, &path).multipart(form);
        let download = self.anonymous.request(Method::GET, &self.link);
        for (what, request) in [("upload", upload), ("download", download)] {
            let began = Instant::now();
            let answer = self.teacher.send(request).await.context(what)?;
            let took = began.elapsed();
            refused_in_time(what, &answer, took)?;
            totals.note_failure(took);
        }
        self.teacher.get("/api/courses").await?.expect(200)?;
        self.teacher.get(&path).await?.expect(200)?;
        Ok(())
    }

    /// The upload that was cut succeeds when it is sent again, and its bytes are there, once.
    async fn large_succeeds(&self, back: Instant) -> Result<()> {
        let file = loop {
            let request = self.large(Body::from(self.content.clone()))?;
            let answer = self.teacher.send(request).await?;
            if answer.status == 201 {
                break answer.json();
            }
            ensure!(
                back.elapsed() < RECOVERED_WITHIN,
                "an upload is still answered {} {:?} after the server came back: {}",
                answer.status,
                back.elapsed(),
                answer.text()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let id = file["id"].as_str().context("an id")?;
        let link = self.teacher.get(&format!("/api/files/{id}/link")).await?;
        let link = link.expect(200)?["url"]
            .as_str()
            .context("a URL")?
            .to_owned();
        let read = self.anonymous.get(&link).await?;
        ensure!(read.status == 200, "the large file: {}", read.status);
        ensure!(
            Sha256::digest(&read.body) == Sha256::digest(&self.content),
            "the bytes of the large file changed"
        );
        let path = format!("/api/courses/{}/files", self.course);
        let files = self.teacher.get(&path).await?.expect(200)?;
        let named = |file: &&serde_json::Value| file["name"] == "large.bin";
        let large = files["items"].as_array().context("items")?;
        let count = large.iter().filter(named).count();
        ensure!(count == 1, "the large file is there {count} times");
        Ok(())
    }
}

fn refused_in_time(what: &str, answer: &Answer, took: Duration) -> Result<()> {
    ensure!(
        answer.status == 503 && took < FAILS_WITHIN,
        "{what} was answered {} after {took:?} without storage: {}",
        answer.status,
        answer.text()
    );
    answer
        .expect_problem(503, "unavailable")
        .context(what.to_owned())?;
    ensure!(retry_after(answer).is_some(), "{what}: no Retry-After");
    Ok(())
}

/// What many rounds came to.
#[derive(Default)]
struct Totals {
    acknowledged: usize,
    failures: u64,
    slowest_failure: Duration,
    slowest_recovery: Duration,
}

impl Totals {
    fn note_failure(&mut self, took: Duration) {
        self.failures += 1;
        self.slowest_failure = self.slowest_failure.max(took);
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} changes acknowledged and there once; {} uploads and downloads refused with 503 within {} ms; the upload \
             that was cut succeeded {} ms after the return",
            self.acknowledged,
            self.failures,
            self.slowest_failure.as_millis(),
            self.slowest_recovery.as_millis()
        )
    }
}
