//! What must be true after the load, whatever was broken.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use riwaq_test_kit::{Client, Verdict};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Load, NOT_EDITED};
use crate::School;
use crate::people::text;

/// For a file to be found: a consumer that failed several times, because what it needs was away, waits for two minutes
/// before it tries again (`events.retry.backoff_seconds`).
const INDEXED: Duration = Duration::from_secs(300);

impl Load {
    /// Everything acknowledged is there, nothing is there twice, and every file was indexed once. Gives the verdicts.
    ///
    /// # Errors
    /// With what is lost, doubled or wrong.
    pub async fn holds(&self, school: &School) -> Result<Vec<(&'static str, Verdict)>> {
        let verdicts = vec![
            ("uploads", self.files_hold(school).await?),
            ("edits", self.edits_hold(school).await?),
            ("sections", self.sections_hold(school).await?),
            ("accounts", self.accounts_hold(school).await?),
            ("questions", self.questions_hold(school).await?),
        ];
        for (what, verdict) in &verdicts {
            verdict.holds().context(*what)?;
        }
        self.bytes_hold(school).await?;
        self.index_holds(school).await?;
        Ok(verdicts)
    }

    async fn files_hold(&self, school: &School) -> Result<Verdict> {
        let path = format!("/api/courses/{}/files", self.course);
        let files = whole_list(&school.teacher, &path).await?;
        let ids: Vec<_> = files
            .iter()
            .filter_map(|file| file["id"].as_str())
            .collect();
        for (name, uploaded) in self.files.acknowledged() {
            ensure!(ids.contains(&uploaded.id.as_str()), "{name} has another id");
        }
        Ok(self.files.verdict(strings(&files, "name")))
    }

    /// An edit that was repeated may have made two versions with one title: it said what the title is to be, not by
    /// how much it changes.
    async fn edits_hold(&self, school: &School) -> Result<Verdict> {
        let path = format!("/api/courses/{}/versions", self.course);
        let versions = whole_list(&school.teacher, &path).await?;
        let title_of: BTreeMap<_, _> = versions
            .iter()
            .filter_map(|version| Some((version["version"].as_u64()?, version["title"].as_str()?)))
            .collect();
        for (title, version) in self.edits.acknowledged() {
            let kept = title_of.get(&version);
            ensure!(
                kept == Some(&title.as_str()),
                "version {version} is {kept:?} and not {title}"
            );
        }
        let titles: BTreeSet<_> = title_of.into_values().collect();
        let edited = titles.into_iter().filter(|title| *title != NOT_EDITED);
        Ok(self.edits.verdict(edited))
    }

    async fn sections_hold(&self, school: &School) -> Result<Verdict> {
        let path = format!("/api/courses/{}", self.course);
        let course = school.teacher.get(&path).await?.expect(200)?;
        let sections = course["sections"].as_array().context("no sections")?;
        Ok(self.sections.verdict(strings(sections, "title")))
    }

    async fn accounts_hold(&self, school: &School) -> Result<Verdict> {
        let mut found = Vec::new();
        for email in self.accounts.keys() {
            let request = school.admin.request(Method::GET, "/api/admin/users");
            let request = request.query(&[("email", &email)]);
            let page = school.admin.send(request).await?.expect(200)?;
            let items = page["items"].as_array().context("no items")?;
            found.extend(items.iter().map(|_| email.clone()));
        }
        Ok(self.accounts.verdict(found.iter().map(String::as_str)))
    }

    async fn questions_hold(&self, school: &School) -> Result<Verdict> {
        let path = format!("/api/chatbot/conversations/{}", self.conversation);
        let conversation = school.student.get(&path).await?.expect(200)?;
        let messages = conversation["messages"].as_array().context("no messages")?;
        let asked = messages.iter().filter(|message| message["role"] == "user");
        let asked: Vec<Value> = asked.cloned().collect();
        Ok(self.questions.verdict(strings(&asked, "content")))
    }

    async fn bytes_hold(&self, school: &School) -> Result<()> {
        for (name, uploaded) in self.files.acknowledged() {
            let path = format!("/api/files/{}/link", uploaded.id);
            let link = school.student.get(&path).await?.expect(200)?;
            let body = school.anonymous.get(&text(&link, "url")?).await?;
            ensure!(body.status == 200, "{name}: {}", body.status);
            ensure!(
                hex::encode(Sha256::digest(&body.body)) == uploaded.sha256,
                "the bytes of {name} changed"
            );
        }
        Ok(())
    }

    async fn index_holds(&self, school: &School) -> Result<()> {
        for (name, uploaded) in self.files.acknowledged() {
            let path = format!("/api/search?q={}", uploaded.word);
            let hits_of = |hits: &Value| {
                let items = hits["items"].as_array();
                items.map_or(0, |hits| {
                    let ours = |hit: &&Value| hit["file_id"] == uploaded.id.as_str();
                    hits.iter().filter(ours).count()
                })
            };
            let student = &school.student;
            let hits = student.poll_within(INDEXED, &path, |hits| hits_of(hits) > 0);
            let hits = hits.await?;
            let times = hits_of(&hits);
            ensure!(times == 1, "{name} was indexed {times} times");
            // Reported after the index has it.
            let file = school.extracted(&uploaded.id).await?;
            ensure!(file["extraction"]["state"] == "done", "{file}");
        }
        Ok(())
    }
}

fn strings<'a>(items: &'a [Value], field: &'a str) -> impl Iterator<Item = &'a str> {
    items.iter().filter_map(move |item| item[field].as_str())
}

/// Every item of a list, page by page.
async fn whole_list(client: &Client, path: &str) -> Result<Vec<Value>> {
    let mut items = Vec::new();
    let mut cursor = None::<String>;
    loop {
        let mut request = client.request(Method::GET, path).query(&[("limit", "200")]);
        if let Some(cursor) = &cursor {
            request = request.query(&[("cursor", cursor)]);
        }
        let page = client.send(request).await?.expect(200)?;
        items.extend(page["items"].as_array().cloned().unwrap_or_default());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return Ok(items),
        }
    }
}
