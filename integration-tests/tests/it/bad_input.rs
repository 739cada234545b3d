//! Bad input: each gets the error that the contract promises, and changes nothing.

use std::io::Write;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use riwaq_integration_tests::{Documents, School, World};
use riwaq_test_kit::Client;
use serde_json::{Value, json};

const PDF: &str = "application/pdf";
const WORD: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

pub(crate) async fn hostile_names_are_cleaned_or_refused(world: &mut World) -> Result<()> {
    let school = School::open(world).await?;
    let course = school.course("Noms").await?.id;
    let upload = |name: &str| {
        let (name, course) = (name.to_owned(), course.clone());
        let teacher = school.teacher.clone();
        async move {
            teacher
                .upload(&course, &name, "text/plain", b"bonjour")
                .await
        }
    };
    for name in [
        "../../etc/passwd",
        "C:\\Windows\\system32\\passwd",
        "/absolute/passwd",
    ] {
        let file = upload(name).await?.expect(201)?;
        ensure!(file["name"] == "passwd", "{name} became {}", file["name"]);
    }
    let cleaned = upload("cours\u{202e}fdp.txt").await?.expect(201)?;
    ensure!(
        !cleaned["name"]
            .as_str()
            .unwrap_or_default()
            .contains('\u{202e}'),
        "{cleaned}"
    );
    let long = upload(&format!("{}.txt", "é".repeat(300))).await?;
    long.expect_problem(422, "validation_failed")?;
    let listed = school
        .teacher
        .get(&format!("/api/courses/{course}/files"))
        .await?
        .expect(200)?;
    ensure!(
        listed["items"]
            .as_array()
            .is_some_and(|files| files.len() == 4),
        "{listed}"
    );
    Ok(())
}

pub(crate) async fn hostile_documents_are_quarantined_or_fail_with_a_reason(
    world: &mut World,
) -> Result<()> {
    let documents = Documents::make()?;
    let school = School::open(world).await?;
    let course = school.course("Documents").await?.id;
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89";
    let disguised = school.upload(&course, "image.pdf", PDF, png).await?;
    let file = school
        .teacher
        .get(&format!("/api/files/{disguised}"))
        .await?
        .expect(200)?;
    ensure!(file["status"] == "quarantined", "{file}");
    school
        .teacher
        .get(&format!("/api/files/{disguised}/link"))
        .await?
        .expect_problem(409, "conflict")?;

    let whole = documents.read("reseaux.pdf")?;
    for (name, bytes) in [
        ("casse.pdf", whole[..whole.len() / 3].to_vec()),
        ("chiffre.pdf", documents.read("chiffre.pdf")?),
        ("bombe.docx", zip_bomb()?),
    ] {
        let media_type = if name.ends_with(".pdf") { PDF } else { WORD };
        let id = school.upload(&course, name, media_type, &bytes).await?;
        let file = school.extracted(&id).await?;
        let ended =
            file["extraction"]["state"] == "failed" && file["extraction"]["reason"].is_string();
        ensure!(ended || file["status"] == "quarantined", "{name}: {file}");
    }
    let long = school
        .upload(
            &course,
            "long.pdf",
            PDF,
            &documents.read("deux-mille-pages.pdf")?,
        )
        .await?;
    let file = school.extracted(&long).await?;
    // The limit of pages: what was read before it stays searchable, and the file says so.
    let extraction = &file["extraction"];
    ensure!(
        extraction["state"] == "failed" && extraction["reason"] == "too_many_pages",
        "{file}"
    );
    ensure!(extraction["pages"] == 1000, "{file}");
    Ok(())
}

/// A DOCX whose text is half a gigabyte of zeros.
fn zip_bomb() -> Result<Vec<u8>> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    archive.start_file("[Content_Types].xml", options)?;
    archive.write_all(br#"<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>"#)?;
    archive.start_file("word/document.xml", options)?;
    let zeros = vec![b'0'; 1 << 20];
    for _ in 0..512 {
        archive.write_all(&zeros)?;
    }
    Ok(archive.finish()?.into_inner())
}

pub(crate) async fn bodies_and_parameters_that_are_wrong_name_the_field(
    world: &mut World,
) -> Result<()> {
    let school = School::open(world).await?;
    let teacher = &school.teacher;
    let raw = |body: String, media_type: &str| {
        let request = teacher
            .request(Method::POST, "/api/courses")
            .header("content-type", media_type)
            .body(body);
        async move { teacher.send(request).await }
    };
    raw("{not json".into(), "application/json")
        .await?
        .expect_problem(400, "invalid_request")?;
    raw(r#"{"title":"x"}"#.into(), "text/plain")
        .await?
        .expect_problem(415, "unsupported_media_type")?;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    raw(format!(r#"{{"title":{deep}}}"#), "application/json")
        .await?
        .expect_problem(400, "invalid_request")?;
    for (body, field) in [
        (json!({"title": 7, "description": ""}), "title"),
        (
            json!({"title": "x", "description": "", "surprise": true}),
            "surprise",
        ),
        (json!({"description": ""}), "title"),
        (
            json!({"title": "x", "description": "", "visibility": "secret"}),
            "visibility",
        ),
    ] {
        let problem = teacher
            .post("/api/courses", &body)
            .await?
            .expect_problem(422, "validation_failed")?;
        let named = problem["errors"].to_string();
        ensure!(
            named.contains(field),
            "{body}: {field} is not named in {problem}"
        );
    }
    for query in [
        "limit=0",
        "limit=201",
        "limit=99999999999999999999",
        "limit=x",
        "surprise=1",
    ] {
        teacher
            .get(&format!("/api/courses?{query}"))
            .await?
            .expect_problem(422, "validation_failed")?;
    }
    teacher
        .get("/api/courses/not-an-id")
        .await?
        .expect_problem(404, "not_found")?;
    let wrong_method = teacher
        .send(teacher.request(Method::PUT, "/api/courses"))
        .await?;
    wrong_method.expect_problem(405, "method_not_allowed")?;
    ensure!(!wrong_method.header("allow").is_empty(), "no Allow");
    teacher
        .get("/api/nothing-here")
        .await?
        .expect_problem(404, "not_found")?;
    let courses = teacher.get("/api/courses?scope=mine").await?.expect(200)?;
    ensure!(
        courses["items"].as_array().is_some_and(Vec::is_empty),
        "something was changed: {courses}"
    );
    Ok(())
}

pub(crate) async fn stale_etags_and_foreign_cursors_are_refused(world: &mut World) -> Result<()> {
    let school = School::open(world).await?;
    let first = school.course("Un").await?.id;
    for title in ["Deux", "Trois"] {
        school.course(title).await?;
    }
    let path = format!("/api/courses/{first}");
    let etag = school.teacher.get(&path).await?.header("etag").to_owned();
    ensure!(!etag.is_empty(), "no ETag");
    school
        .teacher
        .patch(&path, &json!({"title": "Un, bis"}))
        .await?
        .expect(200)?;
    let stale = school
        .teacher
        .request(Method::PATCH, &path)
        .header("if-match", &etag)
        .json(&json!({"title": "Un, ter"}));
    school
        .teacher
        .send(stale)
        .await?
        .expect_problem(412, "stale")?;
    let kept = school.teacher.get(&path).await?.expect(200)?;
    ensure!(kept["title"] == "Un, bis", "{kept}");

    let page = school
        .teacher
        .get("/api/courses?limit=1")
        .await?
        .expect(200)?;
    let cursor = page["next_cursor"].as_str().context("no cursor")?;
    school
        .teacher
        .get(&format!("/api/courses?limit=1&cursor={cursor}"))
        .await?
        .expect(200)?;
    let refused = |client: &Client, path: String| {
        let client = client.clone();
        async move { client.get(&path).await?.expect_problem(400, "bad_cursor") }
    };
    refused(&school.admin, format!("/api/courses?cursor={cursor}")).await?;
    refused(
        &school.teacher,
        format!("/api/courses/{first}/files?cursor={cursor}"),
    )
    .await?;
    refused(&school.teacher, format!("/api/courses?cursor={cursor}x")).await?;
    refused(&school.teacher, "/api/courses?cursor=AAAA".into()).await?;
    Ok(())
}

pub(crate) async fn forged_tokens_are_refused(world: &mut World) -> Result<()> {
    let school = School::open(world).await?;
    let token = school.teacher.token();
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        anyhow::bail!("not a JWT: {token}")
    };
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let read = |part: &str| -> Result<Value> {
        Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part)?)?)
    };
    let with = |json: &Value, name: &str, value: Value| {
        let mut json = json.clone();
        json[name] = value;
        json
    };
    let (head, body) = (read(header)?, read(claims)?);
    let altered = [
        format!("{}.{claims}.", part(&with(&head, "alg", json!("none")))),
        format!(
            "{}.{claims}.{signature}",
            part(&with(&head, "alg", json!("HS256")))
        ),
        format!(
            "{}.{claims}.{signature}",
            part(&with(&head, "kid", json!("another")))
        ),
        format!(
            "{header}.{}.{signature}",
            part(&with(&body, "iss", json!("https://elsewhere.example")))
        ),
        format!(
            "{header}.{}.{signature}",
            part(&with(&body, "aud", json!("another")))
        ),
        format!(
            "{header}.{}.{signature}",
            part(&with(&body, "realm_access", json!({"roles": ["admin"]})))
        ),
        "not.a.token".into(),
        String::new(),
    ];
    for token in altered {
        let answer = school
            .anonymous
            .with_token(&token)
            .get("/api/courses")
            .await?;
        answer
            .expect_problem(401, "unauthenticated")
            .with_context(|| token.clone())?;
    }
    Ok(())
}

pub(crate) async fn a_student_gets_nowhere_with_a_teacher_s_or_an_administrator_s_routes(
    world: &mut World,
) -> Result<()> {
    let school = School::open(world).await?;
    let course = school.course("Fermé").await?;
    let file = school
        .upload(&course.id, "a.txt", "text/plain", b"secret du professeur")
        .await?;
    let before = state(&school, &course.id).await?;
    let id = &course.id;
    let some = "0190a6b0-0000-7000-8000-000000000001";
    for (method, path, body) in [
        (
            Method::POST,
            "/api/courses".to_owned(),
            json!({"title": "x", "description": ""}),
        ),
        (
            Method::PUT,
            format!("/api/courses/{id}"),
            json!({"title": "x", "description": ""}),
        ),
        (
            Method::PATCH,
            format!("/api/courses/{id}"),
            json!({"title": "x"}),
        ),
        (Method::DELETE, format!("/api/courses/{id}"), Value::Null),
        (
            Method::PUT,
            format!("/api/courses/{id}/teachers/{some}"),
            Value::Null,
        ),
        (
            Method::POST,
            format!("/api/courses/{id}/sections"),
            json!({"title": "x"}),
        ),
        (
            Method::POST,
            format!("/api/courses/{id}/enrolments"),
            json!({"user_id": some}),
        ),
        (
            Method::GET,
            format!("/api/courses/{id}/enrolments"),
            Value::Null,
        ),
        (
            Method::GET,
            format!("/api/courses/{id}/versions"),
            Value::Null,
        ),
        (Method::GET, format!("/api/files/{file}"), Value::Null),
        (
            Method::PATCH,
            format!("/api/files/{file}"),
            json!({"title": "x"}),
        ),
        (Method::DELETE, format!("/api/files/{file}"), Value::Null),
        (Method::GET, "/api/admin/users".into(), Value::Null),
        (
            Method::POST,
            "/api/admin/users".into(),
            json!({"email": "x@riwaq.local", "first_name": "x", "last_name": "x", "roles": ["admin"]}),
        ),
        (Method::GET, format!("/api/admin/users/{some}"), Value::Null),
        (
            Method::DELETE,
            format!("/api/admin/users/{some}"),
            Value::Null,
        ),
        (Method::GET, "/api/admin/roles".into(), Value::Null),
        (
            Method::POST,
            "/api/admin/roles".into(),
            json!({"name": "x", "permissions": []}),
        ),
        (Method::GET, "/api/admin/audit".into(), Value::Null),
        (Method::GET, "/api/admin/stats".into(), Value::Null),
        (Method::GET, "/api/metrics/gateway".into(), Value::Null),
    ] {
        let request = school.student.request(method.clone(), &path);
        let request = if body.is_null() {
            request
        } else {
            request.json(&body)
        };
        let answer = school.student.send(request).await?;
        ensure!(
            matches!(answer.status, 403 | 404),
            "{method} {path}: {} {}",
            answer.status,
            answer.text()
        );
        ensure!(!answer.text().contains("secret"), "{method} {path}");
    }
    let after = state(&school, &course.id).await?;
    ensure!(before == after, "something was changed: {before} {after}");
    Ok(())
}

async fn state(school: &School, course: &str) -> Result<Value> {
    let course = school
        .teacher
        .get(&format!("/api/courses/{course}"))
        .await?
        .expect(200)?;
    let users = school.admin.get("/api/admin/users").await?.expect(200)?;
    Ok(json!([course, users]))
}
