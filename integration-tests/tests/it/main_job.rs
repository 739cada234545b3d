//! The main job: a teacher publishes a course, a student finds it, downloads it and asks about it.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use riwaq_integration_tests::{Documents, School, World};
use riwaq_test_kit::Client;
use serde_json::{Value, json};

struct Files {
    course: String,
    pdf: String,
    word: String,
    notebook: String,
}

pub(crate) async fn the_main_job(world: &mut World) -> Result<()> {
    let documents = Documents::make()?;
    let school = School::open(world).await?;
    let files = publish_a_course(&school, &documents).await?;
    the_student_lists_it(&school, &files).await?;
    the_student_downloads(world, &school, &files, &documents.read("reseaux.pdf")?).await?;
    the_student_searches(&school, &files).await?;
    the_student_asks(&school, &files).await?;
    the_outsider_gets_nothing(&school, &files).await
}

async fn publish_a_course(school: &School, documents: &Documents) -> Result<Files> {
    let course = school.course("Réseaux et thermodynamique").await?.id;
    let word_type = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    let upload = |name: &'static str, media_type: &'static str| {
        let course = course.clone();
        async move {
            school
                .upload(&course, name, media_type, &documents.read(name)?)
                .await
        }
    };
    let pdf = upload("reseaux.pdf", "application/pdf").await?;
    let word = upload("thermo.docx", word_type).await?;
    let notebook = upload("tri.ipynb", "application/x-ipynb+json").await?;
    school.publish(&course).await?;
    school.enrol_student(&course).await?;
    for (file, pages) in [(&pdf, Some(5)), (&word, None), (&notebook, None)] {
        let file = school.extracted(file).await?;
        ensure!(file["status"] == "available", "{file}");
        ensure!(file["extraction"]["state"] == "done", "{file}");
        if let Some(pages) = pages {
            ensure!(file["extraction"]["pages"] == pages, "{file}");
        }
    }
    Ok(Files {
        course,
        pdf,
        word,
        notebook,
    })
}

async fn the_student_lists_it(school: &School, files: &Files) -> Result<()> {
    let courses = school.student.get("/api/courses").await?.expect(200)?;
    ensure!(ids(&courses).contains(&files.course), "{courses}");
    let listed = school
        .student
        .get(&format!("/api/courses/{}/files", files.course))
        .await?
        .expect(200)?;
    ensure!(ids(&listed).len() == 3, "{listed}");
    Ok(())
}

async fn the_student_downloads(
    world: &World,
    school: &School,
    files: &Files,
    bytes: &[u8],
) -> Result<()> {
    let link = school
        .student
        .get(&format!("/api/files/{}/link", files.pdf))
        .await?
        .expect(200)?;
    let url = link["url"].as_str().context("no url")?;
    ensure!(
        url.starts_with(&world.url()),
        "the link must be absolute: {url}"
    );
    let anonymous = &school.anonymous;
    let whole = anonymous.get(url).await?;
    ensure!(
        whole.status == 200 && whole.body == bytes,
        "the bytes must be equal"
    );
    ensure!(
        whole
            .header("content-disposition")
            .starts_with("attachment")
    );
    ensure!(whole.header("x-content-type-options") == "nosniff");
    let etag = whole.header("etag").to_owned();
    ensure!(!etag.is_empty(), "no ETag");

    let range = |value: &'static str| anonymous.request(Method::GET, url).header("range", value);
    let middle = anonymous.send(range("bytes=100-199")).await?;
    ensure!(middle.status == 206 && middle.body == bytes[100..200]);
    ensure!(middle.header("content-range") == format!("bytes 100-199/{}", bytes.len()));
    let beyond = anonymous.send(range("bytes=99999999-")).await?;
    ensure!(beyond.status == 416, "{}", beyond.status);
    let head = anonymous.send(anonymous.request(Method::HEAD, url)).await?;
    ensure!(head.status == 200 && head.body.is_empty());
    ensure!(head.header("content-length") == bytes.len().to_string());
    let known = anonymous
        .send(
            anonymous
                .request(Method::GET, url)
                .header("if-none-match", &etag),
        )
        .await?;
    ensure!(known.status == 304);

    for altered in alterations(url) {
        let answer = anonymous.get(&altered).await?;
        ensure!(
            answer.status == 403 || answer.status == 404,
            "{altered}: {}",
            answer.status
        );
        ensure!(answer.body != bytes);
    }
    Ok(())
}

/// The link with one character of each part changed: expiry, file, signature.
fn alterations(url: &str) -> Vec<String> {
    let (start, query) = url.split_once('?').unwrap_or((url, ""));
    let change = |text: &str, at: usize| -> String {
        let mut characters: Vec<char> = text.chars().collect();
        characters[at] = if characters[at] == 'A' { 'B' } else { 'A' };
        characters.into_iter().collect()
    };
    let mut altered = vec![format!(
        "{}?{query}",
        change(start, start.chars().count() - 1)
    )];
    if !query.is_empty() {
        let length = query.chars().count();
        altered.extend(
            [length / 3, length / 2, length - 2].map(|at| format!("{start}?{}", change(query, at))),
        );
    }
    altered
}

async fn the_student_searches(school: &School, files: &Files) -> Result<()> {
    let french = search(&school.student, "congestion de la fenêtre").await?;
    let hit = hit_of(&french, &files.pdf).with_context(|| format!("no hit: {french}"))?;
    ensure!(hit["page"] == 4, "{hit}");
    ensure!(hit["course_id"] == files.course.as_str(), "{hit}");
    let arabic = search(&school.student, "الإنتروبيا في نظام معزول").await?;
    ensure!(hit_of(&arabic, &files.word).is_some(), "{arabic}");
    let code = search(&school.student, "tri rapide pivot").await?;
    ensure!(hit_of(&code, &files.notebook).is_some(), "{code}");
    Ok(())
}

async fn the_student_asks(school: &School, files: &Files) -> Result<()> {
    let question = "Que fait l'algorithme de démarrage lent à chaque aller-retour ?";
    let answer = ask(&school.student, question).await?;
    ensure!(
        answer["answered"] == true && answer["model"] == "extractive",
        "{answer}"
    );
    let cited = answer["citations"].as_array().context("no citations")?;
    let right =
        |citation: &&Value| citation["file_id"] == files.pdf.as_str() && citation["page"] == 4;
    let citation = cited
        .iter()
        .find(right)
        .with_context(|| format!("page 4 is not cited: {answer}"))?;
    let quote = citation["quote"].as_str().unwrap_or_default();
    ensure!(quote.contains("fenêtre de congestion"), "{citation}");

    let arabic = ask(&school.student, "بماذا يتعلق مردود محرك كارنو؟").await?;
    ensure!(arabic["answered"] == true, "{arabic}");
    ensure!(
        arabic["citations"][0]["file_id"] == files.word.as_str(),
        "{arabic}"
    );

    let unknown = ask(&school.student, "Quelle est la capitale de l'Australie ?").await?;
    ensure!(unknown["answered"] == false, "{unknown}");
    ensure!(
        unknown["citations"].as_array().is_some_and(Vec::is_empty),
        "{unknown}"
    );
    Ok(())
}

async fn the_outsider_gets_nothing(school: &School, files: &Files) -> Result<()> {
    let outsider = &school.outsider;
    let courses = outsider.get("/api/courses").await?.expect(200)?;
    ensure!(!ids(&courses).contains(&files.course), "{courses}");
    for path in [
        format!("/api/courses/{}", files.course),
        format!("/api/courses/{}/files", files.course),
        format!("/api/files/{}", files.pdf),
        format!("/api/files/{}/link", files.pdf),
        format!("/api/files/{}/content", files.pdf),
    ] {
        outsider
            .get(&path)
            .await?
            .expect_problem(404, "not_found")
            .with_context(|| path.clone())?;
    }
    let hits = search(outsider, "congestion").await?;
    ensure!(
        hits["items"].as_array().is_some_and(Vec::is_empty),
        "{hits}"
    );
    let answer = ask(
        outsider,
        "Que fait l'algorithme de démarrage lent à chaque aller-retour ?",
    )
    .await?;
    ensure!(answer["answered"] == false, "{answer}");
    ensure!(!answer.to_string().contains("fenêtre"), "{answer}");
    Ok(())
}

async fn search(client: &Client, query: &str) -> Result<Value> {
    let request = client
        .request(Method::GET, "/api/search")
        .query(&[("q", query)]);
    client.send(request).await?.expect(200)
}

async fn ask(client: &Client, question: &str) -> Result<Value> {
    let conversation = client
        .post("/api/chatbot/conversations", &json!({}))
        .await?
        .expect(201)?;
    let path = format!(
        "/api/chatbot/conversations/{}/messages",
        conversation["id"].as_str().unwrap_or_default()
    );
    let request = client
        .request(Method::POST, &path)
        .header("accept", "application/json")
        .json(&json!({"content": question}));
    let answer = client.send(request).await?;
    ensure!(
        answer.status == 200 || answer.status == 201,
        "{} {}",
        answer.status,
        answer.text()
    );
    Ok(answer.json())
}

fn hit_of<'a>(hits: &'a Value, file: &str) -> Option<&'a Value> {
    hits["items"]
        .as_array()?
        .iter()
        .find(|hit| hit["file_id"] == file)
}

fn ids(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().cloned().unwrap_or_default();
    items
        .iter()
        .filter_map(|item| item["id"].as_str().map(str::to_owned))
        .collect()
}
