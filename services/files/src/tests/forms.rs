//! Forms that do not fit, and senders that misbehave: a clear answer, and nothing left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt;
use http::Method;
use riwaq_blobs::Blobs;
use uuid::Uuid;

use super::support::{Form, World};

fn file() -> Form {
    Form::new().file("a.txt", "text/plain", b"some text")
}

/// No blob, and no upload that would have to expire.
async fn assert_nothing_left(world: &World) {
    assert_eq!(world.blobs.list(None, 10).await.unwrap(), []);
    world.clock.advance(Duration::from_secs(48 * 3_600));
    assert_eq!(
        world.blobs.expire_uploads().await.unwrap(),
        0,
        "an upload was left"
    );
}

#[tokio::test]
async fn fields_that_do_not_fit_are_named_and_nothing_stays() {
    let world = World::new().await;
    let long = "x".repeat(201);
    let huge = "x".repeat(3_000);
    for (form, field) in [
        (Form::new().text("title", "T"), "file"),
        (Form::new(), "file"),
        (Form::new().part("name=\"file\"", None, b"no name"), "file"),
        (file().file("b.txt", "text/plain", b"second"), "file"),
        (file().text("title", &long), "title"),
        (file().text("title", &huge), "title"),
        (file().text("title", "a\u{7}b"), "title"),
        (file().text("title", "a").text("title", "b"), "title"),
        (file().part("name=\"title\"", None, b"\xff\xfe"), "title"),
        (file().text("section_id", "42"), "section_id"),
        (
            file().text("section_id", &Uuid::new_v4().to_string()),
            "section_id",
        ),
        (file().text("surprise", "x"), "surprise"),
    ] {
        world
            .post(world.teacher, &world.files_path(), &form, &[])
            .await
            .field(field);
    }
    let stored = world.blobs.list(None, 10).await.unwrap();
    // Only what was complete before the section was asked for is there, and marked to go.
    assert!(
        stored.iter().all(|info| info.marked_at.is_some()),
        "{stored:?}"
    );
    let listed = world
        .get(world.teacher, &world.files_path())
        .await
        .expect(200)
        .json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn bodies_that_are_no_form_are_refused() {
    let world = World::new().await;
    let send = async |media_type: &str, body: Vec<u8>| {
        let request = world
            .request(world.teacher, Method::POST, &world.files_path())
            .header("content-type", media_type);
        world.send(request.body(Body::from(body)).unwrap()).await
    };
    let whole = file().bytes();
    send("application/json", b"{}".to_vec())
        .await
        .problem(415, "unsupported_media_type");
    send("multipart/mixed; boundary=x", whole.clone())
        .await
        .problem(415, "unsupported_media_type");
    send("multipart/form-data", whole.clone())
        .await
        .problem(400, "invalid_request");
    send(&Form::media_type(), b"no boundary at all".to_vec())
        .await
        .problem(400, "invalid_request");
    send(&Form::media_type(), Vec::new())
        .await
        .problem(400, "invalid_request");
    send(&Form::media_type(), whole[..whole.len() / 2].to_vec())
        .await
        .problem(400, "invalid_request");
    send(&Form::media_type(), whole[..whole.len() - 6].to_vec())
        .await
        .problem(400, "invalid_request");
    assert_nothing_left(&world).await;
}

#[tokio::test]
async fn a_sender_that_goes_away_leaves_nothing() {
    let world = World::new().await;
    let form = Form::new()
        .file("a.txt", "text/plain", &[b'x'; 50_000])
        .text("title", "T");
    let length = form.bytes().len();
    for at in [0, 10, 100, 200, 25_000, length - 80, length - 3] {
        let request = world
            .request(world.teacher, Method::POST, &world.files_path())
            .header("content-type", Form::media_type());
        world
            .send(request.body(form.broken_off(at)).unwrap())
            .await
            .problem(400, "invalid_request");
    }
    assert_nothing_left(&world).await;
}

#[tokio::test]
async fn a_sender_that_falls_silent_is_not_waited_for() {
    let world = World::new().await;
    let whole = file().bytes();
    let start = Bytes::from(whole[..whole.len() - 30].to_vec());
    let silent =
        futures::stream::iter([Ok::<_, std::io::Error>(start)]).chain(futures::stream::pending());
    let request = world
        .request(world.teacher, Method::POST, &world.files_path())
        .header("content-type", Form::media_type());
    let sending = world.send(request.body(Body::from_stream(silent)).unwrap());
    tokio::pin!(sending);
    let answer = loop {
        tokio::select! {
            answer = &mut sending => break answer,
            () = tokio::task::yield_now() => world.clock.advance(Duration::from_secs(1)),
        }
    };
    answer.problem(408, "request_timeout");
    assert_nothing_left(&world).await;
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_and_nothing_stays() {
    let world = World::limited(10_000).await;
    let exact = Form::new().file("a.txt", "text/plain", &[b'x'; 10_000]);
    world
        .post(world.teacher, &world.files_path(), &exact, &[])
        .await
        .expect(201);
    for size in [10_001, 50_000, 500_000] {
        let form = Form::new().file("a.txt", "text/plain", &vec![b'x'; size]);
        world
            .post(world.teacher, &world.files_path(), &form, &[])
            .await
            .problem(413, "too_large");
    }
    // Refused by its head alone: no byte of it is asked for.
    let request = world
        .request(world.teacher, Method::POST, &world.files_path())
        .header("content-type", Form::media_type())
        .header("content-length", "99999999999");
    let never = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    world
        .send(request.body(never).unwrap())
        .await
        .problem(413, "too_large");
    world.assert_blobs(1).await;
    world.clock.advance(Duration::from_secs(48 * 3_600));
    assert_eq!(
        world.blobs.expire_uploads().await.unwrap(),
        0,
        "an upload was left"
    );
}

#[tokio::test]
async fn what_comes_before_the_first_boundary_is_not_gathered_without_end() {
    let world = World::new().await;
    let pulled = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&pulled);
    let junk = futures::stream::repeat_with(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 64 * 1024]))
    });
    let request = world
        .request(world.teacher, Method::POST, &world.files_path())
        .header("content-type", Form::media_type());
    let answer = world
        .send(request.body(Body::from_stream(junk)).unwrap())
        .await;
    answer.problem(400, "invalid_request");
    assert!(
        pulled.load(Ordering::Relaxed) < 64,
        "{} pieces were taken",
        pulled.load(Ordering::Relaxed)
    );
}
