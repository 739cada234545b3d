//! The operations of the load.

use anyhow::{Context, Result, bail, ensure};
use reqwest::Method;
use riwaq_test_kit::{Answer, Client, History, Pending, multipart};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Load, LoadKind, Uploaded};
use crate::people::text;

/// How many edits are made for one section: each version of a course holds all of its sections.
const EDITS_PER_SECTION: u64 = 8;

/// A change to be made, the same at every try.
struct Change<'a> {
    method: Method,
    path: &'a str,
    body: &'a Value,
    status: u16,
}

impl Load {
    /// One operation of a kind.
    pub(super) async fn one(&self, kind: LoadKind, client: &Client, n: u64) -> Result<()> {
        match kind {
            LoadKind::Upload => self.upload(client, n).await,
            LoadKind::Section if n.is_multiple_of(EDITS_PER_SECTION) => {
                self.section(client, n).await
            }
            LoadKind::Edit | LoadKind::Section => self.edit(client, n).await,
            LoadKind::Account => self.account(client).await,
            LoadKind::Ask => self.ask(client, n).await,
            LoadKind::Read => self.read(client).await,
        }
    }

    async fn upload(&self, client: &Client, n: u64) -> Result<()> {
        // One that no other load on the same world uses.
        let word = format!(
            "motunique{n}x{}",
            self.course.rsplit('-').next().unwrap_or_default()
        );
        let filling = "remplissage ".repeat(usize::try_from(n % 500)?);
        let content = format!("Un texte qui contient {word} une seule fois.\n{filling}");
        let name = format!("notes-{n}.txt");
        let path = format!("/api/courses/{}/files", self.course);
        let key = Uuid::new_v4().to_string();
        let pending = self.files.begin(&name);
        let tried = client
            .try_hard(self.patience, |client| {
                let form = multipart(&name, "text/plain", content.as_bytes())?;
                let request = client.request(Method::POST, &path);
                Ok(request.header("idempotency-key", &key).multipart(form))
            })
            .await;
        self.note(&tried);
        let sha256 = hex::encode(Sha256::digest(content.as_bytes()));
        settle(pending, tried.tries, tried.answer, 201, |file| {
            Ok(Uploaded {
                id: text(file, "id")?,
                sha256,
                word,
            })
        })
    }

    async fn edit(&self, client: &Client, n: u64) -> Result<()> {
        let title = format!("Version {n}");
        let change = Change {
            method: Method::PATCH,
            path: &format!("/api/courses/{}", self.course),
            body: &json!({"title": title}),
            status: 200,
        };
        let version = |course: &Value| course["version"].as_u64().context("no version");
        self.change(client, &self.edits, &title, change, version)
            .await
    }

    async fn section(&self, client: &Client, n: u64) -> Result<()> {
        let title = format!("Section {n}");
        let change = Change {
            method: Method::POST,
            path: &format!("/api/courses/{}/sections", self.course),
            body: &json!({"title": title}),
            status: 201,
        };
        let id = |section: &Value| text(section, "id");
        self.change(client, &self.sections, &title, change, id)
            .await
    }

    async fn account(&self, client: &Client) -> Result<()> {
        let email = format!("load-{}@riwaq.test", Uuid::new_v4().simple());
        let body = json!({
            "email": email, "first_name": "Load", "last_name": "Worker", "roles": ["student"],
            "password": "a-password-for-the-load", "status": "active",
        });
        let change = Change {
            method: Method::POST,
            path: "/api/admin/users",
            body: &body,
            status: 201,
        };
        let id = |user: &Value| text(user, "id");
        self.change(client, &self.accounts, &email, change, id)
            .await
    }

    async fn ask(&self, client: &Client, n: u64) -> Result<()> {
        let question = format!("Que dit le texte du motunique{n}x ?");
        let change = Change {
            method: Method::POST,
            path: &format!("/api/chatbot/conversations/{}/messages", self.conversation),
            body: &json!({"content": question}),
            status: 200,
        };
        let model = |answer: &Value| text(answer, "model");
        self.change(client, &self.questions, &question, change, model)
            .await
    }

    /// A JSON change under one idempotency key.
    async fn change<T>(
        &self,
        client: &Client,
        history: &History<T>,
        name: &str,
        change: Change<'_>,
        take: impl FnOnce(&Value) -> Result<T>,
    ) -> Result<()> {
        let key = Uuid::new_v4().to_string();
        let pending = history.begin(name);
        let tried = client
            .try_hard(self.patience, |client| {
                let request = client.request(change.method.clone(), change.path);
                Ok(request
                    .header("idempotency-key", &key)
                    .header("accept", "application/json")
                    .json(change.body))
            })
            .await;
        self.note(&tried);
        settle(pending, tried.tries, tried.answer, change.status, take)
    }

    async fn read(&self, client: &Client) -> Result<()> {
        let course = format!("/api/courses/{}", self.course);
        let listed = format!("{course}/files");
        let paths = [
            "/api/courses",
            &course,
            &listed,
            "/api/users/me",
            "/api/auth/me",
            "/api/search?q=texte",
            "/api/chatbot/conversations",
        ];
        for path in paths {
            self.get(client, path).await?;
        }
        let Some((_, file)) = self.files.acknowledged().pop() else {
            return Ok(());
        };
        let link = self
            .get(client, &format!("/api/files/{}/link", file.id))
            .await?;
        let bytes = self.get(client, &text(&link.json(), "url")?).await?;
        let same = hex::encode(Sha256::digest(&bytes.body)) == file.sha256;
        ensure!(same, "the bytes of {} differ", file.id);
        Ok(())
    }

    async fn get(&self, client: &Client, path: &str) -> Result<Answer> {
        let tried = client
            .try_hard(
                self.patience,
                |client| Ok(client.request(Method::GET, path)),
            )
            .await;
        self.note(&tried);
        let answer = tried.answer.with_context(|| path.to_owned())?;
        answer.expect(200).with_context(|| path.to_owned())?;
        Ok(answer)
    }
}

/// Writes the outcome into the history; an error says that the request did not succeed.
fn settle<T>(
    pending: Pending<T>,
    tries: u32,
    answer: Result<Answer>,
    status: u16,
    take: impl FnOnce(&Value) -> Result<T>,
) -> Result<()> {
    (1..tries).for_each(|_| pending.again());
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            pending.unknown();
            return Err(error);
        }
    };
    if answer.status == status {
        pending.acknowledged(take(&answer.json())?);
        return Ok(());
    }
    if (400..500).contains(&answer.status) && tries == 1 {
        pending.failed();
    } else {
        pending.unknown();
    }
    bail!(
        "{status} was expected, {} came: {}",
        answer.status,
        answer.text()
    )
}
