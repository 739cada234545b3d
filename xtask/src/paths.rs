//! Where things are: the repository, and a cache outside it that survives a fresh clone.

use std::path::{Path, PathBuf};

/// The root of the repository that this program was called in: one build may serve several clones.
pub(crate) fn root() -> PathBuf {
    let package =
        variable("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package)
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Built backends and tools, keyed by version inside: `RIWAQ_CACHE`, else `$XDG_CACHE_HOME/riwaq`,
/// else `~/.cache/riwaq`.
pub(crate) fn cache() -> PathBuf {
    let from = |name: &str| variable(name).map(PathBuf::from);
    from("RIWAQ_CACHE")
        .or_else(|| from("XDG_CACHE_HOME").map(|path| path.join("riwaq")))
        .or_else(|| from("HOME").map(|path| path.join(".cache/riwaq")))
        .unwrap_or_else(|| root().join("target/cache"))
}

/// Cargo's target folder: this program lies in one of its profiles, whoever chose the folder (`CARGO_TARGET_DIR` or
/// a configuration file of cargo's).
pub(crate) fn target() -> PathBuf {
    let here = std::env::current_exe().ok();
    let folder = here
        .as_deref()
        .and_then(Path::parent)
        .and_then(Path::parent);
    folder.map_or_else(|| root().join("target"), Path::to_path_buf)
}

/// A variable of the environment that is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "the build commands read their own environment"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
