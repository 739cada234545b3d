//! What a download asks of the stores, in which order, and what the access journal says of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use http::{Method, Request};
use serde_json::Value;

use super::support::{Answer, Beneath, Form, World, id};
use super::watched::{Gate, HeldRecords, Seen, WatchedBlobs};
use crate::Config;

async fn watched(config: Config) -> (World, Arc<Seen>, Arc<Gate>) {
    let (seen, gate) = (Arc::new(Seen::default()), Arc::new(Gate::default()));
    let (shown, held) = (Arc::clone(&seen), Arc::clone(&gate));
    let beneath = Beneath {
        config,
        wrap_blobs: Box::new(|blobs| Arc::new(WatchedBlobs::new(blobs, shown))),
        wrap_records: Box::new(|records| Arc::new(HeldRecords::new(records, held))),
    };
    (World::with(beneath).await, seen, gate)
}

fn request(method: Method, link: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(link);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

async fn fetch(world: &World, method: Method, link: &str, headers: &[(&str, &str)]) -> Answer {
    world.send(request(method, link, headers)).await
}

/// The statuses of the uses in the access journal, newest first.
async fn uses(world: &World, file: &str) -> Vec<i64> {
    let path = format!("/api/files/{file}/accesses?limit=200");
    let page = world.get(world.teacher, &path).await.expect(200).json();
    let items = page["items"].as_array().unwrap();
    let used = items.iter().filter(|entry| entry["kind"] == "used");
    used.filter_map(|entry| entry["status"].as_i64()).collect()
}

async fn replaced(world: &World, file: &str, bytes: &[u8]) {
    let form = Form::new().file("a.txt", "text/plain", bytes);
    let path = format!("/api/files/{file}/versions");
    world
        .post(world.teacher, &path, &form, &[("if-match", "*")])
        .await
        .expect(201);
}

#[tokio::test]
async fn a_download_asks_the_blob_store_once_and_an_answer_without_bytes_not_at_all() {
    let (world, seen, _) = watched(Config::default()).await;
    let file = id(&world.upload("a.txt", "text/plain", b"some text").await);
    let link = world.link(world.student, &file, "").await;
    seen.taken();
    let whole = fetch(&world, Method::GET, &link, &[]).await.expect(200);
    assert_eq!(
        (whole.body.as_ref(), seen.taken()),
        (&b"some text"[..], (0, 1))
    );
    let part = fetch(&world, Method::GET, &link, &[("range", "bytes=5-")]).await;
    assert_eq!(part.expect(206).body.as_ref(), b"text");
    assert_eq!(seen.taken(), (0, 1));
    let tag = whole.header("etag");
    for (method, header, status) in [
        (Method::HEAD, ("range", "bytes=0-1"), 200),
        (Method::GET, ("if-none-match", tag), 304),
        (Method::GET, ("if-match", "\"other\""), 412),
        (Method::GET, ("range", "bytes=99-"), 416),
    ] {
        fetch(&world, method, &link, &[header]).await.expect(status);
        assert_eq!(seen.taken(), (0, 0), "{header:?}");
    }
    // Each of them is in the journal.
    let mut told = uses(&world, &file).await;
    told.sort_unstable();
    assert_eq!(told, [200, 200, 206, 304, 412, 416]);
}

#[tokio::test]
async fn a_link_to_content_that_the_file_keeps_no_more_leads_to_it_as_long_as_it_is_there() {
    let config = Config {
        max_content_versions: 1,
        ..Config::default()
    };
    let (world, seen, _) = watched(config).await;
    let file = id(&world.upload("a.txt", "text/plain", b"the first").await);
    let link = world.link(world.student, &file, "").await;
    replaced(&world, &file, b"the second").await;
    seen.taken();
    let answer = fetch(&world, Method::GET, &link, &[]).await.expect(200);
    assert_eq!(answer.body.as_ref(), b"the first");
    assert_eq!(seen.taken(), (1, 1));
}

#[tokio::test]
async fn the_store_is_asked_while_the_journal_is_written_and_answers_only_after_it() {
    let (world, seen, gate) = watched(Config::default()).await;
    let file = id(&world.upload("a.txt", "text/plain", b"some text").await);
    let link = world.link(world.student, &file, "").await;
    seen.taken();
    let mut opens = seen.opens.subscribe();
    let held = gate.open.write().await;
    let fetching = fetch(&world, Method::GET, &link, &[]);
    tokio::pin!(fetching);
    // The journal waits, and the store is asked all the same.
    tokio::select! {
        biased;
        answer = &mut fetching => panic!("answered before the journal was written: {answer:?}"),
        asked = opens.wait_for(|opens| *opens == 1) => assert!(asked.is_ok()),
    }
    // The store has answered by then, and nothing is handed out.
    for _ in 0..100 {
        assert!(futures::poll!(&mut fetching).is_pending());
        tokio::task::yield_now().await;
    }
    drop(held);
    let answer = fetching.await.expect(200);
    assert_eq!(answer.body.as_ref(), b"some text");
    assert_eq!(uses(&world, &file).await, [200]);
}

#[tokio::test]
async fn nothing_is_handed_out_that_cannot_be_written_down() {
    let (world, _, gate) = watched(Config::default()).await;
    let file = id(&world.upload("a.txt", "text/plain", b"some text").await);
    let link = world.link(world.student, &file, "").await;
    gate.away.store(true, Ordering::SeqCst);
    for headers in [vec![], vec![("range", "bytes=0-1")]] {
        let answer = fetch(&world, Method::GET, &link, &headers).await;
        let problem: Value = answer.problem(503, "unavailable");
        assert!(!problem.to_string().contains("some text"));
    }
    gate.away.store(false, Ordering::SeqCst);
    assert_eq!(uses(&world, &file).await, [0_i64; 0]);
}

#[tokio::test]
async fn a_use_that_came_to_nothing_is_written_down_as_what_it_was() {
    let (world, seen, _) = watched(Config::default()).await;
    let file = id(&world.upload("a.txt", "text/plain", b"some text").await);
    let link = world.link(world.student, &file, "").await;
    seen.away.store(true, Ordering::SeqCst);
    fetch(&world, Method::GET, &link, &[])
        .await
        .problem(503, "unavailable");
    // The clock stands still: of two writes at the same time the correction holds.
    assert_eq!(uses(&world, &file).await, [503]);
    seen.away.store(false, Ordering::SeqCst);
    fetch(&world, Method::GET, &link, &[]).await.expect(200);
    let mut told = uses(&world, &file).await;
    told.sort_unstable();
    assert_eq!(told, [200, 503]);
}
