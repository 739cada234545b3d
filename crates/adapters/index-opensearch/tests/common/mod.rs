//! A real server, and indexes of the test's own that go away again.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod proxy;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use riwaq_clock::SystemClock;
use riwaq_index::Index;
use riwaq_index::conformance::{Factory, Instance};
use riwaq_index_opensearch::{Config, OpenSearchIndex};
use riwaq_test_kit::Backend;
use uuid::Uuid;

/// Where the server is; none where it does not run and nobody required it.
pub(crate) fn server() -> Option<String> {
    match riwaq_test_kit::opensearch() {
        Backend::Ready(url) => Some(url),
        Backend::NotRun => None,
    }
}

/// A prefix that nobody else has.
pub(crate) fn prefix() -> String {
    format!("t{}", &Uuid::new_v4().simple().to_string()[..10])
}

/// The settings of a test: nothing is copied, so that making an index is quick.
pub(crate) fn config(url: &str, prefix: &str) -> Config {
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
pub(crate) async fn connect(config: &Config) -> OpenSearchIndex {
    OpenSearchIndex::connect(config.clone(), SystemClock::shared())
        .await
        .expect("connects")
}

/// A client of the test's own, to look and to tidy up with.
pub(crate) fn http() -> reqwest::Client {
    // Where another test was first it is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// The names of the indexes with a prefix.
pub(crate) async fn indexes(url: &str, prefix: &str) -> Vec<String> {
    let path = format!("{url}/_cat/indices/{prefix}-*?h=index");
    let answer = http().get(path).send().await.expect("asks");
    let names = answer.text().await.expect("is text");
    names.split_whitespace().map(str::to_owned).collect()
}

/// Removes the indexes with a prefix.
pub(crate) async fn remove(url: &str, prefix: &str) {
    let names = indexes(url, prefix).await;
    if names.is_empty() {
        return;
    }
    let path = format!("{url}/{}?ignore_unavailable=true", names.join(","));
    let answer = http().delete(path).send().await;
    answer.expect("asks").error_for_status().expect("removes");
}

/// Makes indexes with prefixes of their own, and removes those of the cases before.
pub(crate) struct Server {
    url: String,
    change: fn(&mut Config),
    used: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// With the settings of a test, changed.
    pub(crate) fn new(url: String, change: fn(&mut Config)) -> Self {
        Self {
            url,
            change,
            used: Arc::default(),
        }
    }

    /// Removes what was made.
    pub(crate) async fn clean(&self) {
        let used = std::mem::take(&mut *self.used.lock().expect("not poisoned"));
        for prefix in used {
            remove(&self.url, &prefix).await;
        }
    }
}

struct Indexes {
    config: Config,
    handle: OpenSearchIndex,
    used: Arc<Mutex<Vec<String>>>,
}

impl Drop for Indexes {
    fn drop(&mut self) {
        let mut used = self.used.lock().expect("not poisoned");
        used.push(self.config.prefix.clone());
    }
}

#[async_trait]
impl Factory for Server {
    async fn fresh(&self) -> Box<dyn Instance> {
        self.clean().await;
        let mut config = config(&self.url, &prefix());
        (self.change)(&mut config);
        let handle = connect(&config).await;
        let used = Arc::clone(&self.used);
        Box::new(Indexes {
            config,
            handle,
            used,
        })
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
