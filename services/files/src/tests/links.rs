//! Signed links and what they lead to.

use std::time::Duration;

use axum::body::Body;
use http::{Method, Request};

use super::support::{Answer, PDF, World, id};

async fn fetch(world: &World, method: Method, link: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(link);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.send(request.body(Body::empty()).unwrap()).await
}

async fn with_file(bytes: &[u8]) -> (World, String) {
    let world = World::new().await;
    let file = id(&world
        .upload("données.bin", "application/octet-stream", bytes)
        .await);
    let link = world.link(world.student, &file, "").await;
    (world, link)
}

fn bytes() -> Vec<u8> {
    (0..1_000_u32).map(|n| (n % 251) as u8 | 1).collect()
}

#[tokio::test]
async fn a_link_works_without_a_token_and_is_told_as_what_it_is() {
    let world = World::new().await;
    let file = id(&world.upload("cours été.pdf", "application/pdf", PDF).await);
    let answer = world
        .get(world.student, &format!("/api/files/{file}/link"))
        .await
        .expect(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let link = answer.json();
    assert!(
        link["url"]
            .as_str()
            .unwrap()
            .starts_with("https://riwaq.example/api/files/links/"),
        "{link}"
    );
    assert_eq!(link["expires_at"], "2027-01-15T08:05:00Z");
    let link = world.link(world.student, &file, "").await;
    let answer = fetch(&world, Method::GET, &link, &[]).await.expect(200);
    assert_eq!(answer.body, PDF);
    assert_eq!(answer.header("content-type"), "application/pdf");
    let disposition =
        "attachment; filename=\"cours _t_.pdf\"; filename*=UTF-8''cours%20%C3%A9t%C3%A9.pdf";
    assert_eq!(answer.header("content-disposition"), disposition);
    assert_eq!(answer.header("content-length"), PDF.len().to_string());
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(answer.header("content-security-policy").contains("sandbox"));
    assert!(answer.header("cache-control").contains("private"));
    let head = fetch(&world, Method::HEAD, &link, &[("range", "bytes=0-1")])
        .await
        .expect(200);
    assert_eq!(
        (head.body.len(), head.header("content-length")),
        (0, answer.header("content-length"))
    );
    assert_eq!(head.header("etag"), answer.header("etag"));
}

#[tokio::test]
async fn only_safe_types_are_shown_in_place_and_only_when_asked() {
    let world = World::new().await;
    let page = id(&world
        .upload("page.html", "text/html", b"<html><script>alert(1)</script>")
        .await);
    let text = id(&world
        .upload("notes.txt", "text/plain", "محاضرة".as_bytes())
        .await);
    for (file, query, disposition, media_type) in [
        (
            &page,
            "?disposition=inline",
            "attachment",
            "text/html; charset=utf-8",
        ),
        (
            &text,
            "?disposition=inline",
            "inline",
            "text/plain; charset=utf-8",
        ),
        (
            &text,
            "?disposition=attachment",
            "attachment",
            "text/plain; charset=utf-8",
        ),
        (&text, "", "attachment", "text/plain; charset=utf-8"),
    ] {
        let link = world.link(world.student, file, query).await;
        let answer = fetch(&world, Method::GET, &link, &[]).await.expect(200);
        assert!(
            answer
                .header("content-disposition")
                .starts_with(disposition),
            "{query}"
        );
        assert_eq!(answer.header("content-type"), media_type);
    }
    let path = format!("/api/files/{text}/link?disposition=evil");
    world
        .get(world.student, &path)
        .await
        .problem(422, "validation_failed");
}

#[tokio::test]
async fn content_redirects_to_a_link() {
    let world = World::new().await;
    let file = id(&world.upload("a.txt", "text/plain", b"text").await);
    let answer = world
        .get(world.student, &format!("/api/files/{file}/content"))
        .await
        .expect(302);
    let link = answer
        .header("location")
        .strip_prefix("https://riwaq.example")
        .unwrap()
        .to_owned();
    assert_eq!(
        fetch(&world, Method::GET, &link, &[])
            .await
            .expect(200)
            .body,
        "text"
    );
}

#[tokio::test]
async fn single_ranges_are_served() {
    let bytes = bytes();
    let (world, link) = with_file(&bytes).await;
    for (range, start, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=990-5000", 990, 1_000),
        ("bytes=999-", 999, 1_000),
        ("bytes=-10", 990, 1_000),
        ("bytes=-5000", 0, 1_000),
    ] {
        let answer = fetch(&world, Method::GET, &link, &[("range", range)])
            .await
            .expect(206);
        assert_eq!(answer.body, bytes[start..end], "{range}");
        assert_eq!(
            answer.header("content-range"),
            format!("bytes {start}-{}/1000", end - 1),
            "{range}"
        );
        assert_eq!(
            answer.header("content-length"),
            (end - start).to_string(),
            "{range}"
        );
    }
}

#[tokio::test]
async fn ranges_that_cannot_be_served_are_told_or_ignored() {
    let bytes = bytes();
    let (world, link) = with_file(&bytes).await;
    for range in ["bytes=1000-", "bytes=5000-6000", "bytes=-0"] {
        let answer = fetch(&world, Method::GET, &link, &[("range", range)]).await;
        assert_eq!(answer.header("content-range"), "bytes */1000", "{range}");
        answer.problem(416, "range_not_satisfiable");
    }
    for range in [
        "bytes=0-1,5-6",
        "bytes=9-1",
        "lines=1-2",
        "nonsense",
        "bytes=a-b",
    ] {
        let answer = fetch(&world, Method::GET, &link, &[("range", range)])
            .await
            .expect(200);
        assert_eq!(answer.body, bytes, "{range}");
    }
    let twice = [("range", "bytes=0-1"), ("range", "bytes=2-3")];
    fetch(&world, Method::GET, &link, &twice).await.expect(200);
}

#[tokio::test]
async fn conditions_are_held_in_order() {
    let (world, link) = with_file(&bytes()).await;
    let whole = fetch(&world, Method::GET, &link, &[]).await.expect(200);
    let tag = whole.header("etag").to_owned();
    let part = ("range", "bytes=0-9");
    let (weak, list) = (format!("W/{tag}"), format!("\"x\", {tag}"));
    for (headers, status) in [
        (vec![("if-none-match", tag.as_str())], 304),
        (vec![("if-none-match", &weak)], 304),
        (vec![("if-none-match", &list)], 304),
        (vec![("if-none-match", "*")], 304),
        (vec![("if-none-match", "\"other\""), part], 206),
        (vec![("if-none-match", &tag), part], 304),
        (vec![("if-match", "\"other\"")], 412),
        (vec![("if-match", &tag), part], 206),
        (
            vec![("if-match", "\"other\""), ("if-none-match", &tag)],
            412,
        ),
        (vec![("if-range", &tag), part], 206),
        (vec![("if-range", "\"other\""), part], 200),
        (vec![("if-range", &weak), part], 200),
        (
            vec![("if-range", "Wed, 21 Oct 2015 07:28:00 GMT"), part],
            200,
        ),
    ] {
        let answer = fetch(&world, Method::GET, &link, &headers).await;
        assert_eq!(answer.status.as_u16(), status, "{headers:?}");
        if status == 304 {
            assert_eq!(
                (answer.body.len(), answer.header("etag")),
                (0, tag.as_str())
            );
        }
    }
}

#[tokio::test]
async fn a_link_ends_with_its_time() {
    let (world, link) = with_file(&bytes()).await;
    world.clock.advance(Duration::from_secs(299));
    fetch(&world, Method::GET, &link, &[]).await.expect(200);
    world.clock.advance(Duration::from_secs(1));
    fetch(&world, Method::GET, &link, &[])
        .await
        .problem(403, "forbidden");
    fetch(&world, Method::HEAD, &link, &[]).await.expect(403);
}

#[tokio::test]
async fn an_altered_link_is_refused() {
    let (world, link) = with_file(&bytes()).await;
    let start = link.rfind('/').unwrap() + 1;
    for at in (start..link.len()).step_by(7).chain([link.len() - 1]) {
        let mut altered = link.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).unwrap();
        fetch(&world, Method::GET, &altered, &[])
            .await
            .problem(403, "forbidden");
    }
    for garbage in ["x", "v1.x.y", "..", "%00", "%ff", "v1.%2e%2e.x"] {
        let answer = fetch(
            &world,
            Method::GET,
            &format!("/api/files/links/{garbage}"),
            &[],
        )
        .await;
        assert!(
            matches!(answer.status.as_u16(), 403 | 404),
            "{garbage}: {}",
            answer.status
        );
    }
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        fetch(&world, method, &link, &[]).await.expect(405);
    }
}

#[tokio::test]
async fn a_deleted_file_is_gone_for_links_too() {
    let world = World::new().await;
    let file = id(&world.upload("a.txt", "text/plain", b"text").await);
    let link = world.link(world.student, &file, "").await;
    world
        .json(
            world.teacher,
            Method::DELETE,
            &format!("/api/files/{file}"),
            &serde_json::Value::Null,
            &[],
        )
        .await
        .expect(204);
    fetch(&world, Method::GET, &link, &[])
        .await
        .problem(404, "not_found");
}
