//! Documents made with the libraries that people make theirs with.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::scenario::python;

/// A folder of documents: French PDF, Arabic DOCX, a notebook, an encrypted and a 2,000-page PDF.
#[derive(Debug)]
pub struct Documents {
    folder: TempDir,
}

impl Documents {
    /// Makes them.
    ///
    /// # Errors
    /// [`crate::NotRun`] where there is no Python for it; when the libraries fail.
    pub fn make() -> Result<Self> {
        let folder = TempDir::with_prefix("riwaq-documents-")?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/documents.py");
        let status = Command::new(python()?)
            .arg(script)
            .arg(folder.path())
            .status()?;
        if !status.success() {
            bail!("documents.py ended with {status}");
        }
        Ok(Self { folder })
    }

    /// The bytes of one.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        std::fs::read(self.folder.path().join(name)).with_context(|| format!("no document {name}"))
    }
}
