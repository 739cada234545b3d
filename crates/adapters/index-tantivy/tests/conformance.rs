//! The port's suite on tantivy, and what is special about a folder.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use async_trait::async_trait;
use riwaq_index::conformance::{self, Factory, Instance};
use riwaq_index::{Index, IndexError};
use riwaq_index_tantivy::{Config, TantivyIndex};
use tempfile::TempDir;

struct Folders;

struct Folder {
    folder: TempDir,
    index: Option<TantivyIndex>,
}

fn open(folder: &TempDir) -> TantivyIndex {
    TantivyIndex::open(&Config::in_folder(folder.path())).expect("opens")
}

#[async_trait]
impl Factory for Folders {
    async fn fresh(&self) -> Box<dyn Instance> {
        let folder = TempDir::new().expect("a folder");
        let index = Some(open(&folder));
        Box::new(Folder { folder, index })
    }
}

#[async_trait]
impl Instance for Folder {
    fn handle(&self) -> Arc<dyn Index> {
        Arc::new(self.index.clone().expect("is open"))
    }

    async fn second(&self) -> Arc<dyn Index> {
        self.handle()
    }

    async fn reopen(&mut self) -> Arc<dyn Index> {
        self.index = None;
        self.index = Some(open(&self.folder));
        self.handle()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tantivy_conforms() {
    conformance::run_all("tantivy", &Folders).await;
}

#[tokio::test]
async fn a_folder_serves_one_index_at_a_time() {
    let folder = TempDir::new().expect("a folder");
    let first = open(&folder);
    let second = TantivyIndex::open(&Config::in_folder(folder.path()));
    assert!(matches!(second, Err(IndexError::InUse { .. })));
    drop(first);
    open(&folder).ping().await.expect("the lock is free again");
}

#[test]
fn a_folder_that_is_a_file_is_refused_with_its_name() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("index");
    std::fs::write(&file, b"not a folder").expect("writes");
    let error = TantivyIndex::open(&Config::in_folder(&file)).expect_err("refused");
    assert!(error.to_string().contains("index"), "{error}");
}

#[tokio::test]
async fn an_index_that_was_cut_short_is_called_corrupt() {
    let folder = TempDir::new().expect("a folder");
    drop(open(&folder));
    let inside = std::fs::read_dir(folder.path())
        .expect("lists")
        .next()
        .expect("one")
        .expect("one");
    std::fs::write(inside.path().join("meta.json"), b"{\"segments\": [").expect("writes");
    let error = TantivyIndex::open(&Config::in_folder(folder.path())).expect_err("refused");
    assert!(matches!(error, IndexError::Corrupt(_)), "{error:?}");
}
