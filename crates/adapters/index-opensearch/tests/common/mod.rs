//! A real server, and indexes of the test's own that go away again.
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use riwaq_clock::SystemClock;
use riwaq_index::Index;
use riwaq_index::conformance::{Factory, Instance};
use riwaq_index_opensearch::{Config, OpenSearchIndex};
use riwaq_test_kit::Backend;
use uuid::Uuid;

/// Where the server is; none where it does not run and nobody required it.
pub fn server() -> Option<String> {
    match riwaq_test_kit::opensearch() {
        Backend::Ready(url) => Some(url),
        Backend::NotRun => None,
    }
}

/// A prefix that nobody else has.
pub fn prefix() -> String {
    format!("t{}", &Uuid::new_v4().simple().to_string()[..10])
}

/// The settings of a test: nothing is copied, so that making an index is quick.
pub fn config(url: &str, prefix: &str) -> Config {
    Config {
        urls: vec![url.to_owned()],
        prefix: prefix.to_owned(),
        replicas: 0,
        // Many tests share one small server.
        request_timeout_ms: 60_000,
        write_timeout_seconds: 120,
        ..Config::default()
    }
}

/// Connects.
pub async fn connect(config: &Config) -> OpenSearchIndex {
    OpenSearchIndex::connect(config.clone(), SystemClock::shared())
        .await
        .expect("connects")
}

/// The names of the indexes with a prefix.
pub async fn indexes(url: &str, prefix: &str) -> Vec<String> {
    let path = format!("{url}/_cat/indices/{prefix}-*?h=index");
    let answer = reqwest::get(path).await.expect("asks");
    let names = answer.text().await.expect("is text");
    names.split_whitespace().map(str::to_owned).collect()
}

/// Removes the indexes with a prefix.
pub async fn remove(url: &str, prefix: &str) {
    let names = indexes(url, prefix).await;
    if names.is_empty() {
        return;
    }
    let path = format!("{url}/{}?ignore_unavailable=true", names.join(","));
    let answer = reqwest::Client::new().delete(path).send().await;
    answer.expect("asks").error_for_status().expect("removes");
}

/// Makes indexes with prefixes of their own, and removes those of the case before.
pub struct Server {
    url: String,
    change: fn(&mut Config),
    used: Mutex<Vec<String>>,
}

impl Server {
    /// With the settings of a test, changed.
    pub fn new(url: String, change: fn(&mut Config)) -> Self {
        Self {
            url,
            change,
            used: Mutex::default(),
        }
    }

    /// Removes what was made.
    pub async fn clean(&self) {
        let used = std::mem::take(&mut *self.used.lock().expect("not poisoned"));
        for prefix in used {
            remove(&self.url, &prefix).await;
        }
    }
}

struct Indexes {
    config: Config,
    handle: OpenSearchIndex,
}

#[async_trait]
impl Factory for Server {
    async fn fresh(&self) -> Box<dyn Instance> {
        self.clean().await;
        let mut config = config(&self.url, &prefix());
        (self.change)(&mut config);
        let prefix = config.prefix.clone();
        self.used.lock().expect("not poisoned").push(prefix);
        let handle = connect(&config).await;
        Box::new(Indexes { config, handle })
    }
}

#[async_trait]
impl Instance for Indexes {
    fn handle(&self) -> Arc<dyn Index> {
        Arc::new(self.handle.clone())
    }

    async fn second(&self) -> Arc<dyn Index> {
        Arc::new(connect(&self.config).await)
    }

    async fn reopen(&mut self) -> Arc<dyn Index> {
        self.handle = connect(&self.config).await;
        self.handle()
    }
}
