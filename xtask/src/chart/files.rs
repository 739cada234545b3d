//! Files that are made and committed: written, or compared with what is there.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::paths;

pub(crate) struct Files {
    check: bool,
    stale: Vec<String>,
}

impl Files {
    pub(crate) const fn new(check: bool) -> Self {
        Self {
            check,
            stale: Vec::new(),
        }
    }

    /// `path` is from the root of the repository.
    pub(crate) fn put(&mut self, path: &Path, text: &str) -> Result<()> {
        let full = paths::root().join(path);
        if fs::read_to_string(&full).is_ok_and(|known| known == text) {
            return Ok(());
        }
        if self.check {
            self.stale.push(path.display().to_string());
            return Ok(());
        }
        let folder: PathBuf = full.parent().map(Path::to_path_buf).unwrap_or_default();
        fs::create_dir_all(folder)?;
        fs::write(&full, text).with_context(|| format!("cannot write {}", full.display()))?;
        println!("{} is new: commit it", path.display());
        Ok(())
    }

    /// Fails where something would have been written.
    pub(crate) fn finish(self) -> Result<()> {
        if self.stale.is_empty() {
            return Ok(());
        }
        bail!(
            "not what the chart makes of it: {}; run `cargo xtask chart` and commit",
            self.stale.join(", ")
        )
    }
}
