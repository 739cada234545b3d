//! The access journal.

use std::time::Duration;

use axum::body::Body;
use http::{Method, Request};
use serde_json::Value;

use super::support::{World, id};

async fn use_link(world: &World, method: Method, link: &str, range: Option<&str>) -> u16 {
    let mut request = Request::builder().method(method).uri(link);
    if let Some(range) = range {
        request = request.header("range", range);
    }
    world
        .send(request.body(Body::empty()).unwrap())
        .await
        .status
        .as_u16()
}

async fn entries(world: &World, file: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/files/{file}/accesses?limit={limit}{cursor}");
        let page = world.get(world.teacher, &path).await.expect(200).json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit);
        all.extend_from_slice(items);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

#[tokio::test]
async fn links_and_their_uses_are_under_the_person_they_were_issued_to() {
    let world = World::new().await;
    let file = id(&world.upload("a.txt", "text/plain", b"some text").await);
    let link = world.link(world.student, &file, "").await;
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(
        use_link(&world, Method::GET, &link, Some("bytes=0-3")).await,
        206
    );
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(use_link(&world, Method::HEAD, &link, None).await, 200);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(
        use_link(&world, Method::GET, &link, Some("bytes=99-")).await,
        416
    );
    world.clock.advance(Duration::from_secs(300));
    assert_eq!(use_link(&world, Method::GET, &link, None).await, 403);
    let all = entries(&world, &file, 200).await;
    let told: Vec<(&str, &str, i64)> = all
        .iter()
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap_or_default();
            (
                text("kind"),
                text("range"),
                entry["status"].as_i64().unwrap_or_default(),
            )
        })
        .collect();
    // Newest first; what was refused is not a use.
    assert_eq!(
        told,
        [
            ("used", "bytes=99-", 416),
            ("used", "", 200),
            ("used", "bytes=0-3", 206),
            ("issued", "", 0)
        ]
    );
    assert!(
        all.iter()
            .all(|entry| entry["user_id"] == world.student.to_string())
    );
    assert!(
        all.iter()
            .all(|entry| entry["link_id"] == all[0]["link_id"])
    );
}

#[tokio::test]
async fn entries_are_paged_over_days() {
    let world = World::new().await;
    let file = id(&world.upload("a.txt", "text/plain", b"some text").await);
    for day in 0..5 {
        for _ in 0..=day {
            world.link(world.student, &file, "").await;
        }
        // Some days pass without an entry.
        world.clock.advance(Duration::from_secs(86_400 * (1 + day)));
    }
    let whole = entries(&world, &file, 200).await;
    assert_eq!(whole.len(), 15);
    let mut times: Vec<&str> = whole
        .iter()
        .map(|entry| entry["at"].as_str().unwrap())
        .collect();
    let newest_first = times.clone();
    times.sort_unstable();
    times.reverse();
    assert_eq!(times, newest_first);
    for limit in [1, 2, 3, 5, 14, 15] {
        assert_eq!(
            entries(&world, &file, limit).await,
            whole,
            "pages of {limit}"
        );
    }
}

#[tokio::test]
async fn a_cursor_of_another_file_is_refused() {
    let world = World::new().await;
    let first = id(&world.upload("a.txt", "text/plain", b"x").await);
    let second = id(&world.upload("b.txt", "text/plain", b"x").await);
    for _ in 0..3 {
        world.link(world.student, &first, "").await;
    }
    let page = world
        .get(
            world.teacher,
            &format!("/api/files/{first}/accesses?limit=1"),
        )
        .await
        .expect(200)
        .json();
    let cursor = page["next_cursor"].as_str().unwrap();
    let path = format!("/api/files/{second}/accesses?cursor={cursor}");
    world
        .get(world.teacher, &path)
        .await
        .problem(400, "bad_cursor");
}
