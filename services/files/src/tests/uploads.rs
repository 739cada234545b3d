//! Uploading, listing and reading files.

use http::Method;
use riwaq_blobs::Sha256;
use serde_json::{Value, json};

use super::support::{Form, PDF, PNG, World, id};

#[tokio::test]
async fn a_teacher_uploads_and_a_student_lists_and_reads() {
    let world = World::new().await;
    let form = Form::new()
        .text("title", "  Introduction aux réseaux ")
        .file("réseaux.pdf", "application/pdf", PDF)
        .text("section_id", &world.section.to_string());
    let answer = world
        .post(world.teacher, &world.files_path(), &form, &[])
        .await
        .expect(201);
    let file = answer.json();
    assert_eq!(
        answer.header("location"),
        format!("/api/files/{}", id(&file))
    );
    assert_eq!(answer.header("etag"), "\"v1.pending\"");
    assert_eq!(file["name"], "réseaux.pdf");
    assert_eq!(file["title"], "Introduction aux réseaux");
    assert_eq!(file["section_id"], world.section.to_string());
    assert_eq!(file["size"], PDF.len());
    assert_eq!(file["media_type"], "application/pdf");
    assert_eq!(file["sha256"], Sha256::of(PDF).to_string());
    assert_eq!(
        (&file["version"], &file["content_version"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(file["status"], "available");
    assert_eq!(file["extraction"], json!({"state": "pending"}));
    assert_eq!(file["created_by"], world.teacher.to_string());

    let path = format!("/api/files/{}", id(&file));
    let read = world.get(world.student, &path).await.expect(200);
    assert_eq!(read.json(), file);
    let request = world
        .request(world.student, Method::GET, &path)
        .header("if-none-match", read.header("etag"));
    world
        .send(request.body(axum::body::Body::empty()).unwrap())
        .await
        .expect(304);
    let listed = world
        .get(world.student, &world.files_path())
        .await
        .expect(200)
        .json();
    assert_eq!(listed, json!({"items": [file], "next_cursor": null}));
}

#[tokio::test]
async fn fields_may_come_in_any_order_and_pieces_of_any_size() {
    let world = World::new().await;
    for (order, piece) in [(0, 1), (1, 7), (2, 64), (1, 1 << 20)] {
        let form = match order {
            0 => Form::new()
                .file("a.txt", "text/plain", b"text")
                .text("title", "T"),
            1 => Form::new()
                .text("title", "T")
                .file("a.txt", "text/plain", b"text"),
            _ => Form::new()
                .file("a.txt", "text/plain", b"text")
                .text("section_id", "")
                .text("title", "T"),
        };
        let request = world
            .request(world.teacher, Method::POST, &world.files_path())
            .header("content-type", Form::media_type());
        let file = world
            .send(request.body(form.body(piece)).unwrap())
            .await
            .expect(201)
            .json();
        assert_eq!(
            (&file["title"], &file["size"]),
            (&json!("T"), &json!(4)),
            "order {order}"
        );
    }
}

#[tokio::test]
async fn hostile_names_are_cleaned_or_refused() {
    let world = World::new().await;
    for (raw, name) in [
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\passwd", "passwd"),
        ("/absolute/notes.txt", "notes.txt"),
        ("cours\u{202e}fdp.txt", "coursfdp.txt"),
        ("e\u{301}te\u{301}.txt", "été.txt"),
        ("محاضرة.txt", "محاضرة.txt"),
    ] {
        let file = world.upload(raw, "text/plain", b"bonjour").await;
        assert_eq!(file["name"], name, "{raw}");
    }
    let long = format!("{}.txt", "x".repeat(300));
    for raw in [long.as_str(), "..", "/", ".", " "] {
        let form = Form::new().file(raw, "text/plain", b"bonjour");
        world
            .post(world.teacher, &world.files_path(), &form, &[])
            .await
            .field("file");
    }
    world.assert_blobs(6).await;
}

#[tokio::test]
async fn a_name_with_nul_is_refused_or_cleaned_and_never_kept() {
    let world = World::new().await;
    let form = Form::new().part(
        "name=\"file\"; filename=\"a\0b.txt\"",
        Some("text/plain"),
        b"x",
    );
    let answer = world
        .post(world.teacher, &world.files_path(), &form, &[])
        .await;
    match answer.status.as_u16() {
        201 => assert_eq!(answer.json()["name"], "ab.txt"),
        status => assert_eq!(status, 400),
    }
    let path = format!(
        "/api/files/{}",
        id(&world.upload("a.txt", "text/plain", b"x").await)
    );
    let renamed = world
        .json(
            world.teacher,
            Method::PATCH,
            &path,
            &json!({"name": "c\u{0}d.txt"}),
            &[],
        )
        .await;
    assert_eq!(renamed.expect(200).json()["name"], "cd.txt");
}

#[tokio::test]
async fn content_that_is_not_what_it_says_is_quarantined() {
    let world = World::new().await;
    let file = world.upload("cours.pdf", "application/pdf", PNG).await;
    assert_eq!(file["status"], "quarantined");
    assert_eq!(file["media_type"], "image/png");
    assert_eq!(file["extraction"]["state"], "none");
    assert!(
        file["quarantine_reason"]
            .as_str()
            .unwrap()
            .contains("image/png"),
        "{file}"
    );
    for what in ["link", "content"] {
        let path = format!("/api/files/{}/{what}", id(&file));
        world
            .get(world.student, &path)
            .await
            .problem(409, "conflict");
        world
            .get(world.teacher, &path)
            .await
            .problem(409, "conflict");
    }
    // Under its true name it is what it says.
    let path = format!("/api/files/{}", id(&file));
    let honest = json!({"name": "cours.png"});
    let renamed = world
        .json(world.teacher, Method::PATCH, &path, &honest, &[])
        .await
        .expect(200)
        .json();
    assert_eq!(
        renamed["status"], "quarantined",
        "the declared type is still another: {renamed}"
    );
    let file = world.upload("image.png", "image/png", PNG).await;
    assert_eq!(file["status"], "available");
}

#[tokio::test]
async fn an_office_document_is_looked_into() {
    let world = World::new().await;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for name in ["[Content_Types].xml", "word/document.xml"] {
        zip.start_file(name, zip::write::SimpleFileOptions::default())
            .unwrap();
        std::io::Write::write_all(&mut zip, b"<xml/>").unwrap();
    }
    let bytes = zip.finish().unwrap().into_inner();
    let word = crate::domain::media::DOCX;
    assert_eq!(
        world.upload("a.docx", word, &bytes).await["status"],
        "available"
    );
    assert_eq!(
        world.upload("a.pptx", word, &bytes).await["status"],
        "quarantined"
    );
    assert_eq!(
        world
            .upload("a.docx", word, &bytes[..bytes.len() - 10])
            .await["status"],
        "available"
    );
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    let world = World::new().await;
    let file = world.upload("vide.txt", "text/plain", b"").await;
    assert_eq!(
        (&file["size"], &file["status"]),
        (&json!(0), &json!("available"))
    );
    let link = world.link(world.student, &id(&file), "").await;
    let request = http::Request::get(link)
        .body(axum::body::Body::empty())
        .unwrap();
    let answer = world.send(request).await.expect(200);
    assert_eq!(
        (answer.body.len(), answer.header("content-length")),
        (0, "0")
    );
}

#[tokio::test]
async fn a_list_is_paged_in_the_order_of_upload() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for n in 0..7 {
        ids.push(id(&world
            .upload(&format!("{n}.txt"), "text/plain", b"x")
            .await));
        // Two of them come in the same millisecond.
        if n != 3 {
            world.clock.advance(std::time::Duration::from_millis(5));
        }
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("{}?limit=3{cursor}", world.files_path());
        let page = world.get(world.student, &path).await.expect(200).json();
        seen.extend(page["items"].as_array().unwrap().iter().map(id));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let mut sorted = ids.clone();
    sorted.sort();
    let mut all = seen.clone();
    all.sort();
    assert_eq!(all, sorted, "each once");
    assert_eq!((&seen[0], &seen[6]), (&ids[0], &ids[6]));
    // Another person's cursor, an altered one, and impossible parameters.
    world
        .get(
            world.teacher,
            &format!("{}?limit=3{cursor}", world.files_path()),
        )
        .await
        .problem(400, "bad_cursor");
    world
        .get(
            world.student,
            &format!("{}?limit=3{cursor}A", world.files_path()),
        )
        .await
        .problem(400, "bad_cursor");
    for query in ["?limit=0", "?limit=201", "?limit=x", "?unknown=1"] {
        let answer = world
            .get(world.student, &format!("{}{query}", world.files_path()))
            .await;
        answer.problem(422, "validation_failed");
    }
}

#[tokio::test]
async fn the_same_upload_with_the_same_key_happens_once() {
    let world = World::new().await;
    let form = Form::new()
        .file("a.txt", "text/plain", b"once")
        .text("title", "T");
    let key = [("idempotency-key", "key-1")];
    let first = world
        .post(world.teacher, &world.files_path(), &form, &key)
        .await
        .expect(201);
    let second = world
        .post(world.teacher, &world.files_path(), &form, &key)
        .await
        .expect(201);
    assert_eq!(first.json(), second.json());
    assert_eq!(first.header("location"), second.header("location"));
    assert_eq!(first.header("etag"), second.header("etag"));
    let other = Form::new()
        .file("a.txt", "text/plain", b"twice")
        .text("title", "T");
    world
        .post(world.teacher, &world.files_path(), &other, &key)
        .await
        .problem(422, "idempotency_mismatch");
    let listed: Value = world
        .get(world.teacher, &world.files_path())
        .await
        .expect(200)
        .json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    // The bytes of the repetitions are marked to go.
    world.assert_blobs(1).await;
}

#[tokio::test]
async fn every_change_is_told() {
    let world = World::new().await;
    let group = riwaq_events::Group::new("tests.files", [crate::EVENT_FILE_CHANGED]);
    riwaq_events::Events::declare_group(&world.events, &group)
        .await
        .unwrap();
    let file = world.upload("a.txt", "text/plain", b"x").await;
    let path = format!("/api/files/{}", id(&file));
    world
        .json(
            world.teacher,
            Method::PATCH,
            &path,
            &json!({"title": "T"}),
            &[],
        )
        .await
        .expect(200);
    world.relay.drain().await;
    let subscription =
        riwaq_events::Subscription::group("tests.files", [crate::EVENT_FILE_CHANGED]);
    let mut consumer = riwaq_events::Events::subscribe(&world.events, subscription)
        .await
        .unwrap();
    let mut versions = Vec::new();
    for _ in 0..2 {
        let delivery = consumer.next().await.unwrap();
        let data = serde_json::to_value(&*delivery.event).unwrap()["data"].clone();
        assert_eq!(data["id"], file["id"]);
        assert_eq!(data["course_id"], world.course.to_string());
        versions.push(data["version"].as_i64().unwrap());
        delivery.ack().await.unwrap();
    }
    versions.sort_unstable();
    assert_eq!(versions, [1, 2]);
}
