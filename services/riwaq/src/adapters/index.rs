//! The search index: tantivy or OpenSearch.

use std::sync::Arc;

use anyhow::{Context, Result};
use riwaq_clock::SharedClock;
use riwaq_index::Index;
use riwaq_index_opensearch::OpenSearchIndex;
use riwaq_index_tantivy::TantivyIndex;

use super::expose;
use crate::config::{Config, IndexEngine};

/// The index alone.
pub(crate) async fn index(config: &Config, clock: &SharedClock) -> Result<Arc<dyn Index>> {
    match config.index.engine {
        IndexEngine::Tantivy => {
            let mut tantivy = config.index.tantivy.clone();
            if tantivy.folder.as_os_str().is_empty() {
                tantivy.folder = config.data_dir.join("index");
            }
            let index = TantivyIndex::open(&tantivy).context("the index in tantivy")?;
            Ok(Arc::new(index))
        }
        IndexEngine::Opensearch => {
            let mut opensearch = config.index.opensearch.clone();
            opensearch.password = expose(config.index.opensearch_password.as_ref());
            let index = OpenSearchIndex::connect(opensearch, Arc::clone(clock))
                .await
                .context("the index in OpenSearch")?;
            Ok(Arc::new(index))
        }
    }
}
