//! kill -9 in a loop: whatever was acknowledged is there afterwards, every event had its effect once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::Method;
use riwaq_integration_tests::{Engine, School, start};
use riwaq_test_kit::Client;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const ROUNDS: u64 = 50;

/// What was answered with 2xx before a kill.
#[derive(Default)]
struct Acknowledged {
    /// File id → (SHA-256, the word that only this file holds).
    files: BTreeMap<String, (String, String)>,
    /// Version → title.
    edits: BTreeMap<u64, String>,
    sections: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_fifty_kills_and_every_event_had_its_effect_once()
-> Result<()> {
    let Some(mut school) = start(Engine::Sqlite).await? else {
        return Ok(());
    };
    let course = school.course("Version 0").await?.id;
    school.publish(&course).await?;
    school.enrol_student(&course).await?;
    let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));
    let counter = Arc::new(AtomicU64::new(0));
    let mut random = StdRng::seed_from_u64(20_261_121);
    for round in 0..ROUNDS {
        let teacher = school
            .program
            .signed_in("teacher")
            .await
            .with_context(|| format!("round {round}"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let workers = workers(&teacher, &course, &acknowledged, &counter, &stop);
        tokio::time::sleep(Duration::from_millis(random.random_range(20..400))).await;
        school.program.kill()?;
        stop.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.await?;
        }
        school
            .program
            .start()
            .await
            .with_context(|| format!("restart after round {round}"))?;
    }
    school.teacher = school.program.signed_in("teacher").await?;
    school.student = school.program.signed_in("student").await?;
    let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
    println!(
        "{ROUNDS} kills: {} uploads, {} edits, {} sections acknowledged",
        acknowledged.files.len(),
        acknowledged.edits.len(),
        acknowledged.sections.len()
    );
    ensure!(
        acknowledged.files.len() > 20 && acknowledged.edits.len() > 20,
        "too little was done to prove anything"
    );
    edits_are_there(&school, &course, &acknowledged).await?;
    files_are_there(&school, &course, &acknowledged).await?;
    every_file_was_indexed_once(&school, &acknowledged).await
}

fn workers(
    teacher: &Client,
    course: &str,
    acknowledged: &Arc<Mutex<Acknowledged>>,
    counter: &Arc<AtomicU64>,
    stop: &Arc<AtomicBool>,
) -> Vec<tokio::task::JoinHandle<()>> {
    let spawn = |kind: usize| {
        let (teacher, course) = (teacher.clone(), course.to_owned());
        let (acknowledged, counter, stop) = (
            Arc::clone(acknowledged),
            Arc::clone(counter),
            Arc::clone(stop),
        );
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let n = counter.fetch_add(1, Ordering::Relaxed);
                // An error is the kill: what was not acknowledged may be there or not.
                let done = match kind {
                    0 => upload(&teacher, &course, n, &acknowledged).await,
                    1 => edit(&teacher, &course, n, &acknowledged).await,
                    _ => section(&teacher, &course, n, &acknowledged).await,
                };
                if done.is_err() {
                    return;
                }
            }
        })
    };
    (0..3).map(spawn).collect()
}

async fn upload(
    teacher: &Client,
    course: &str,
    n: u64,
    acknowledged: &Mutex<Acknowledged>,
) -> Result<()> {
    let word = format!("motunique{n}x");
    let mut text = format!("Un texte qui contient {word} une seule fois.\n");
    text.push_str(&"remplissage ".repeat(usize::try_from(n % 500)?));
    let answer = teacher
        .upload(
            course,
            &format!("notes-{n}.txt"),
            "text/plain",
            text.as_bytes(),
        )
        .await?;
    let file = answer.expect(201)?;
    let id = file["id"].as_str().context("no id")?.to_owned();
    let digest = hex::encode(Sha256::digest(text.as_bytes()));
    acknowledged
        .lock()
        .unwrap()
        .files
        .insert(id, (digest, word));
    Ok(())
}

async fn edit(
    teacher: &Client,
    course: &str,
    n: u64,
    acknowledged: &Mutex<Acknowledged>,
) -> Result<()> {
    let title = format!("Version {n}");
    let path = format!("/api/courses/{course}");
    let answer = teacher
        .patch(&path, &json!({"title": title}))
        .await?
        .expect(200)?;
    let version = answer["version"].as_u64().context("no version")?;
    acknowledged.lock().unwrap().edits.insert(version, title);
    Ok(())
}

async fn section(
    teacher: &Client,
    course: &str,
    n: u64,
    acknowledged: &Mutex<Acknowledged>,
) -> Result<()> {
    if !n.is_multiple_of(8) {
        return edit(teacher, course, n, acknowledged).await;
    }
    let path = format!("/api/courses/{course}/sections");
    let answer = teacher
        .post(&path, &json!({"title": format!("Section {n}")}))
        .await?
        .expect(201)?;
    let id = answer["id"].as_str().context("no id")?.to_owned();
    acknowledged.lock().unwrap().sections.push(id);
    Ok(())
}

async fn edits_are_there(school: &School, course: &str, acknowledged: &Acknowledged) -> Result<()> {
    for (version, title) in &acknowledged.edits {
        let path = format!("/api/courses/{course}/versions/{version}");
        let kept = school.teacher.get(&path).await?.expect(200)?;
        ensure!(
            kept.to_string().contains(&format!("\"{title}\"")),
            "version {version} is not {title}: {kept}"
        );
    }
    let course = school
        .teacher
        .get(&format!("/api/courses/{course}"))
        .await?
        .expect(200)?;
    for section in &acknowledged.sections {
        ensure!(
            course.to_string().contains(section.as_str()),
            "section {section} is lost"
        );
    }
    Ok(())
}

async fn files_are_there(school: &School, course: &str, acknowledged: &Acknowledged) -> Result<()> {
    let mut listed = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let mut request = school
            .teacher
            .request(Method::GET, &format!("/api/courses/{course}/files"))
            .query(&[("limit", "200")]);
        if let Some(cursor) = cursor.as_str() {
            request = request.query(&[("cursor", cursor)]);
        }
        let page = school.teacher.send(request).await?.expect(200)?;
        listed.extend(page["items"].as_array().cloned().unwrap_or_default());
        cursor = page["next_cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    for (id, (digest, _)) in &acknowledged.files {
        let times = listed
            .iter()
            .filter(|file| file["id"] == id.as_str())
            .count();
        ensure!(times == 1, "file {id} is listed {times} times");
        let link = school
            .student
            .get(&format!("/api/files/{id}/link"))
            .await?
            .expect(200)?;
        let body = school
            .program
            .client()
            .get(link["url"].as_str().context("no url")?)
            .await?;
        ensure!(body.status == 200, "file {id}: {}", body.status);
        ensure!(
            hex::encode(Sha256::digest(&body.body)) == *digest,
            "the bytes of {id} changed"
        );
    }
    Ok(())
}

async fn every_file_was_indexed_once(school: &School, acknowledged: &Acknowledged) -> Result<()> {
    for (id, (_, word)) in &acknowledged.files {
        let path = format!("/api/search?q={word}");
        let hits_of = |hits: &Value| {
            hits["items"].as_array().map_or(0, |hits| {
                hits.iter()
                    .filter(|hit| hit["file_id"] == id.as_str())
                    .count()
            })
        };
        let hits = school.student.poll(&path, |hits| hits_of(hits) > 0).await?;
        ensure!(
            hits_of(&hits) == 1,
            "file {id} was indexed {} times",
            hits_of(&hits)
        );
        // Reported after the index has it.
        let file = school.extracted(id).await?;
        ensure!(file["extraction"]["state"] == "done", "{file}");
    }
    Ok(())
}
