//! What other services ask.

use futures::TryStreamExt;
use http::Method;
use riwaq_api::files::v1::{
    GetFilesRequest, ListFileIdsRequest, ReadContentRequest, ReportExtractionRequest,
};
use serde_json::{Value, json};
use tonic::Code;

use super::support::{Form, PNG, World, id};

async fn content(world: &World, id: &str, content_version: i64) -> Result<Vec<u8>, Code> {
    let request = ReadContentRequest {
        id: id.into(),
        content_version,
    };
    let stream = world
        .search()
        .read_content(request)
        .await
        .map_err(|status| status.code())?;
    let chunks: Vec<_> = stream
        .into_inner()
        .try_collect()
        .await
        .map_err(|status| status.code())?;
    assert!(chunks.iter().all(|chunk| chunk.data.len() <= 64 * 1024));
    Ok(chunks.into_iter().flat_map(|chunk| chunk.data).collect())
}

async fn report(world: &World, id: &str, content_version: i64, state: &str) -> Result<(), Code> {
    let request = ReportExtractionRequest {
        id: id.into(),
        content_version,
        state: state.into(),
        reason: if state == "failed" {
            "it is broken".into()
        } else {
            String::new()
        },
        pages: if state == "done" { 12 } else { 0 },
    };
    world
        .search()
        .report_extraction(request)
        .await
        .map(|_| ())
        .map_err(|status| status.code())
}

#[tokio::test]
async fn present_state_is_told_of_deleted_files_too() {
    let world = World::new().await;
    let file = world.upload("a.txt", "text/plain", b"text").await;
    let gone = world.upload("b.txt", "text/plain", b"text").await;
    let path = format!("/api/files/{}", id(&gone));
    world
        .json(world.teacher, Method::DELETE, &path, &Value::Null, &[])
        .await
        .expect(204);
    let ids = vec![
        id(&file),
        id(&gone),
        uuid::Uuid::new_v4().to_string(),
        "rubbish".into(),
    ];
    let found = world
        .search()
        .get_files(GetFilesRequest { ids })
        .await
        .unwrap()
        .into_inner()
        .files;
    assert_eq!(found.len(), 2);
    assert_eq!(
        (found[0].name.as_str(), found[0].deleted, found[0].version),
        ("a.txt", false, 1)
    );
    assert_eq!(
        (found[1].name.as_str(), found[1].deleted, found[1].version),
        ("b.txt", true, 2)
    );
    assert_eq!(found[0].course_id, world.course.to_string());
    let many = GetFilesRequest {
        ids: vec![String::new(); 201],
    };
    assert_eq!(
        world.search().get_files(many).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn the_content_of_any_upload_is_read_in_chunks() {
    let world = World::new().await;
    let old: Vec<u8> = (0..300_000_u32).map(|n| b'a' + (n % 26) as u8).collect();
    let file = world.upload("a.txt", "text/plain", &old).await;
    let path = format!("/api/files/{}/versions", id(&file));
    world
        .post(
            world.teacher,
            &path,
            &Form::new().file("a.txt", "text/plain", b"new"),
            &[],
        )
        .await
        .expect(201);
    assert!(content(&world, &id(&file), 1).await.unwrap() == old);
    assert_eq!(content(&world, &id(&file), 2).await.unwrap(), b"new");
    assert_eq!(content(&world, &id(&file), 0).await.unwrap(), b"new");
    assert_eq!(content(&world, &id(&file), 3).await, Err(Code::NotFound));
    let disguised = world.upload("a.pdf", "application/pdf", PNG).await;
    assert_eq!(
        content(&world, &id(&disguised), 1).await,
        Err(Code::FailedPrecondition)
    );
}

#[tokio::test]
async fn a_report_is_shown_and_an_older_one_is_not() {
    let world = World::new().await;
    let file = world.upload("a.txt", "text/plain", b"one").await;
    let path = format!("/api/files/{}", id(&file));
    report(&world, &id(&file), 1, "failed").await.unwrap();
    let read = world.get(world.student, &path).await.expect(200);
    assert_eq!(read.header("etag"), "\"v1.failed\"");
    assert_eq!(
        read.json()["extraction"],
        json!({"state": "failed", "reason": "it is broken"})
    );
    report(&world, &id(&file), 1, "done").await.unwrap();
    let listed = world
        .get(world.student, &world.files_path())
        .await
        .expect(200)
        .json();
    assert_eq!(
        listed["items"][0]["extraction"],
        json!({"state": "done", "pages": 12})
    );
    assert_eq!(listed["items"][0]["version"], 1, "a report is no version");

    let next = Form::new().file("a.txt", "text/plain", b"two");
    world
        .post(world.teacher, &format!("{path}/versions"), &next, &[])
        .await
        .expect(201);
    assert_eq!(
        world.get(world.student, &path).await.json()["extraction"]["state"],
        "pending"
    );
    report(&world, &id(&file), 1, "failed").await.unwrap();
    assert_eq!(
        world.get(world.student, &path).await.json()["extraction"]["state"],
        "pending"
    );
    report(&world, &id(&file), 2, "none").await.unwrap();
    assert_eq!(
        world.get(world.student, &path).await.json()["extraction"]["state"],
        "none"
    );
    assert_eq!(
        report(&world, &id(&file), 3, "done").await,
        Err(Code::InvalidArgument)
    );
    assert_eq!(
        report(&world, &id(&file), 2, "pending").await,
        Err(Code::InvalidArgument)
    );
    assert_eq!(
        report(&world, &uuid::Uuid::new_v4().to_string(), 1, "done").await,
        Err(Code::NotFound)
    );
}

#[tokio::test]
async fn ids_of_all_files_come_by_page() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for n in 0..7 {
        ids.push(id(&world
            .upload(&format!("{n}.txt"), "text/plain", b"x")
            .await));
    }
    let path = format!("/api/files/{}", ids.pop().unwrap());
    world
        .json(world.teacher, Method::DELETE, &path, &Value::Null, &[])
        .await
        .expect(204);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world
            .search()
            .list_file_ids(ListFileIdsRequest { cursor, limit: 2 })
            .await
            .unwrap()
            .into_inner();
        seen.extend(page.ids);
        cursor = page.next_cursor;
        if cursor.is_empty() {
            break;
        }
    }
    seen.sort();
    ids.sort();
    assert_eq!(seen, ids);
    let forged = ListFileIdsRequest {
        cursor: "forged".into(),
        limit: 2,
    };
    assert_eq!(
        world
            .search()
            .list_file_ids(forged)
            .await
            .unwrap_err()
            .code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn only_the_services_that_need_it_may_ask() {
    let world = World::new().await;
    let ids = GetFilesRequest::default();
    world
        .grpc_as("chatbot")
        .get_files(ids.clone())
        .await
        .unwrap();
    assert_eq!(
        world
            .grpc_as("courses")
            .get_files(ids)
            .await
            .unwrap_err()
            .code(),
        Code::PermissionDenied
    );
    let list = ListFileIdsRequest::default();
    assert_eq!(
        world
            .grpc_as("chatbot")
            .list_file_ids(list)
            .await
            .unwrap_err()
            .code(),
        Code::PermissionDenied
    );
}
