//! A school's people, signed in, and a course.

use anyhow::{Context, Result};
use riwaq_test_kit::Client;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::World;

/// Somebody with an account of their own.
#[derive(Debug, Clone)]
pub struct Person {
    /// The id.
    pub id: String,
    /// What they sign in with.
    pub email: String,
    /// Their password.
    pub password: String,
}

/// People of one scenario, whom no other scenario knows, signed in.
#[derive(Debug)]
pub struct School {
    /// An anonymous client.
    pub anonymous: Client,
    /// An administrator.
    pub admin: Client,
    /// A teacher.
    pub teacher: Client,
    /// A student.
    pub student: Client,
    /// A second student, who is enrolled nowhere.
    pub outsider: Client,
    /// Who the teacher is.
    pub teacher_account: Person,
    /// Who the student is.
    pub student_account: Person,
}

/// A course and its id.
#[derive(Debug, Clone)]
pub struct Course {
    /// The id.
    pub id: String,
    /// As it was answered when it was created.
    pub json: Value,
}

impl Person {
    /// The administrator makes an account that can sign in at once.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn make(admin: &Client, role: &str) -> Result<Self> {
        let tag = Uuid::new_v4().simple().to_string();
        let tag = &tag[..12];
        let email = format!("{role}-{tag}@riwaq.test");
        let password = format!("a-password-of-{tag}");
        let body = json!({
            "email": email, "first_name": "Somebody", "last_name": tag,
            "roles": [role], "password": password, "status": "active",
        });
        let made = admin.post("/api/admin/users", &body).await?.expect(201)?;
        Ok(Self {
            id: text(&made, "id")?,
            email,
            password,
        })
    }
}

impl School {
    /// Makes its people in a world and signs them in.
    ///
    /// # Errors
    /// When somebody cannot be made or cannot sign in.
    pub async fn open(world: &World) -> Result<Self> {
        let admin = world.admin().await?;
        let (teacher, student, outsider) = tokio::try_join!(
            Person::make(&admin, "teacher"),
            Person::make(&admin, "student"),
            Person::make(&admin, "student"),
        )?;
        let signed_in = |person: &Person| {
            let (email, password) = (person.email.clone(), person.password.clone());
            async move { world.sign_in(&email, &password).await }
        };
        let clients = tokio::try_join!(
            signed_in(&teacher),
            signed_in(&student),
            signed_in(&outsider)
        )?;
        Ok(Self {
            anonymous: world.client(),
            admin,
            teacher: clients.0,
            student: clients.1,
            outsider: clients.2,
            teacher_account: teacher,
            student_account: student,
        })
    }

    /// Signs everybody in again: tokens live for minutes, and some scenarios longer.
    ///
    /// # Errors
    /// When somebody cannot sign in.
    pub async fn sign_in_again(&mut self, world: &World) -> Result<()> {
        let (teacher, student) = (&self.teacher_account, &self.student_account);
        self.admin = world.admin().await?;
        self.teacher = world.sign_in(&teacher.email, &teacher.password).await?;
        self.student = world.sign_in(&student.email, &student.password).await?;
        Ok(())
    }

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
        let body = json!({"user_id": self.student_account.id});
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

pub(crate) fn text(json: &Value, field: &str) -> Result<String> {
    Ok(json[field]
        .as_str()
        .with_context(|| format!("no {field} in {json}"))?
        .to_owned())
}
