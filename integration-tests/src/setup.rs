//! A school with its people signed in, and a course.

use anyhow::{Context, Result};
use riwaq_test_kit::{Client, Program};
use serde_json::{Value, json};

use crate::Engine;

/// A running program and its people.
#[derive(Debug)]
pub struct School {
    /// The program.
    pub program: Program,
    /// An administrator.
    pub admin: Client,
    /// A teacher.
    pub teacher: Client,
    /// A student.
    pub student: Client,
    /// A second student, who is enrolled nowhere.
    pub outsider: Client,
}

/// A course and its id.
#[derive(Debug, Clone)]
pub struct Course {
    /// The id.
    pub id: String,
    /// As it was answered when it was created.
    pub json: Value,
}

/// Starts a school on an engine; none where the engine is missing.
///
/// # Errors
/// When it does not start or somebody cannot sign in.
pub async fn start(engine: Engine) -> Result<Option<School>> {
    let Some(builder) = engine.program()? else {
        return Ok(None);
    };
    let program = builder.start().await?;
    let admin = program.signed_in("admin").await?;
    let teacher = program.signed_in("teacher").await?;
    let student = program.signed_in("student").await?;
    let password = "an-outsider-s-own-password";
    let outsider = json!({
        "email": "outsider@riwaq.local", "first_name": "Out", "last_name": "Sider",
        "roles": ["student"], "password": password, "status": "active",
    });
    admin
        .post("/api/admin/users", &outsider)
        .await?
        .expect(201)?;
    let outsider = program
        .client()
        .sign_in("outsider@riwaq.local", password)
        .await?;
    Ok(Some(School {
        program,
        admin,
        teacher,
        student,
        outsider,
    }))
}

impl School {
    /// The teacher creates a closed course.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn course(&self, title: &str) -> Result<Course> {
        let body = json!({"title": title, "description": "", "visibility": "closed"});
        let json = self
            .teacher
            .post("/api/courses", &body)
            .await?
            .expect(201)?;
        Ok(Course {
            id: text(&json, "id")?,
            json,
        })
    }

    /// The teacher publishes a course.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn publish(&self, course: &str) -> Result<()> {
        let body = json!({"status": "published"});
        self.teacher
            .patch(&format!("/api/courses/{course}"), &body)
            .await?
            .expect(200)?;
        Ok(())
    }

    /// The teacher enrols the student.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn enrol_student(&self, course: &str) -> Result<()> {
        let me = self.student.get("/api/auth/me").await?.expect(200)?;
        let body = json!({"user_id": me["id"]});
        self.teacher
            .post(&format!("/api/courses/{course}/enrolments"), &body)
            .await?
            .expect(201)?;
        Ok(())
    }

    /// The teacher uploads a file; gives its id.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn upload(
        &self,
        course: &str,
        name: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<String> {
        let answer = self
            .teacher
            .upload(course, name, media_type, bytes)
            .await?
            .expect(201)?;
        text(&answer, "id")
    }

    /// Waits until a file's text was taken out, or not; gives the file.
    ///
    /// # Errors
    /// When that does not end.
    pub async fn extracted(&self, file: &str) -> Result<Value> {
        let ended = |file: &Value| file["extraction"]["state"] != "pending";
        self.teacher
            .poll(&format!("/api/files/{file}"), ended)
            .await
    }
}

fn text(json: &Value, field: &str) -> Result<String> {
    Ok(json[field]
        .as_str()
        .with_context(|| format!("no {field} in {json}"))?
        .to_owned())
}
