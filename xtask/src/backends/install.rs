//! Installing once: an unfinished installation is thrown away, and two never run in one folder.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// Written last; a folder without it is half an installation.
const DONE: &str = ".done";

/// Runs `make` on an empty `folder` unless it has been made before. Whoever else wants it, in this
/// process or in another, waits.
pub(crate) fn once(folder: &Path, make: impl FnOnce() -> Result<()>) -> Result<()> {
    let done = folder.join(DONE);
    if done.exists() {
        return Ok(());
    }
    let _held = hold(folder)?;
    if done.exists() {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    make()?;
    fs::write(done, "")?;
    Ok(())
}

/// Holds the lock that lies beside `folder`, until what is returned is dropped.
pub(crate) fn hold(folder: &Path) -> Result<File> {
    hold_or(folder, || ())
}

/// The same, and calls `waiting` first when somebody else holds it.
pub(crate) fn hold_or(folder: &Path, waiting: impl FnOnce()) -> Result<File> {
    let name = folder.file_name().context("a folder with a name")?;
    let lock = folder.with_file_name(format!("{}.lock", name.display()));
    if let Some(parent) = lock.parent() {
        fs::create_dir_all(parent)?;
    }
    let file = File::create(&lock).with_context(|| format!("cannot open {}", lock.display()))?;
    if file.try_lock().is_err() {
        waiting();
        file.lock()?;
    }
    Ok(file)
}

/// Holds the right to use a tool that keeps a cache of its own and is not meant to run twice at once.
pub(crate) fn hold_tool(folder: &Path, tool: &str) -> Result<File> {
    hold(&folder.with_file_name(tool))
}

/// A short name for a content, for what is keyed by it.
pub(crate) fn key_of(content: &str) -> String {
    let digest = Sha256::digest(content);
    digest
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Fails unless `file` is what the table of versions says.
pub(crate) fn verify(file: &Path, sha256: &str) -> Result<()> {
    let mut digest = Sha256::new();
    let mut content =
        File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    std::io::copy(&mut content, &mut digest)?;
    let found = format!("{:x}", digest.finalize());
    if found != sha256 {
        bail!("{} has SHA-256 {found}, not {sha256}", file.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_an_installation_is_made_again_and_a_whole_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        let failed = once(&program, || {
            fs::write(program.join("half"), "")?;
            bail!("the connection was cut")
        });
        assert!(failed.is_err());
        once(&program, || Ok(fs::write(program.join("whole"), "")?)).unwrap();
        assert!(!program.join("half").exists());
        once(&program, || bail!("made twice")).unwrap();
        assert!(program.join("whole").exists());
    }

    #[test]
    fn another_content_than_the_pinned_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        verify(&file, abc).unwrap();
        fs::write(&file, "abd").unwrap();
        assert!(verify(&file, abc).is_err());
    }
}
