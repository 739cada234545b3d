//! Blobs that nobody refers to go away, and no others.

use std::time::Duration;

use http::Method;
use riwaq_blobs::{Blobs, Expected, NewUpload};
use serde_json::Value;

use super::support::{Form, World, id};
use crate::sweep::Sweeper;

const DAY: Duration = Duration::from_secs(24 * 3_600);

async fn orphan(world: &World) {
    let new = NewUpload {
        max_bytes: 10,
        expires_after: DAY,
    };
    let upload = world.blobs.begin(new).await.unwrap();
    world
        .blobs
        .complete(&upload.id, upload.fence, Expected::default())
        .await
        .unwrap();
}

async fn count(world: &World) -> usize {
    world.blobs.list(None, 1_000).await.unwrap().len()
}

#[tokio::test]
async fn orphans_and_contents_of_deleted_files_go_after_a_day() {
    let world = World::new().await;
    let sweeper = Sweeper::new(world.app.clone());
    let kept = world.upload("a.txt", "text/plain", b"kept").await;
    let path = format!("/api/files/{}/versions", id(&kept));
    world
        .post(
            world.teacher,
            &path,
            &Form::new().file("a.txt", "text/plain", b"newer"),
            &[],
        )
        .await
        .expect(201);
    let deleted = world.upload("b.txt", "text/plain", b"deleted").await;
    orphan(&world).await;
    world
        .blobs
        .begin(NewUpload {
            max_bytes: 10,
            expires_after: DAY,
        })
        .await
        .unwrap();
    sweeper.sweep().await.unwrap();
    let path = format!("/api/files/{}", id(&deleted));
    world
        .json(world.teacher, Method::DELETE, &path, &Value::Null, &[])
        .await
        .expect(204);
    sweeper.sweep().await.unwrap();
    assert_eq!(count(&world).await, 4, "everything is kept for a day");
    world.clock.advance(DAY);
    sweeper.sweep().await.unwrap();
    assert_eq!(
        count(&world).await,
        2,
        "both contents of the file that is there stay"
    );
    world.clock.advance(DAY * 30);
    sweeper.sweep().await.unwrap();
    world.assert_blobs(2).await;
    let link = world.link(world.student, &id(&kept), "").await;
    let request = http::Request::get(link)
        .body(axum::body::Body::empty())
        .unwrap();
    assert_eq!(world.send(request).await.expect(200).body, "newer");
}

#[tokio::test]
async fn the_background_task_sweeps_by_itself_and_ends_when_told() {
    let world = World::new().await;
    orphan(&world).await;
    let closing = tokio_util::sync::CancellationToken::new();
    let running = Sweeper::new(world.app.clone()).run(closing.clone());
    tokio::pin!(running);
    for _ in 0..20_000 {
        tokio::select! {
            () = &mut running => panic!("it ended by itself"),
            () = tokio::task::yield_now() => world.clock.advance(Duration::from_secs(15)),
        }
        if count(&world).await == 0 {
            closing.cancel();
            running.await;
            return;
        }
    }
    panic!("the orphan is still there");
}
