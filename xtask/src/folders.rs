//! What is handed out does not hold the folders of the machine that built it: two machines make the same bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{paths, process};

/// Between the flags in `CARGO_ENCODED_RUSTFLAGS`.
const BETWEEN: &str = "\u{1f}";

/// Has `cargo` give the same names to the repository, its outputs and the sources of dependencies, wherever they lie.
pub(crate) fn hide(cargo: &mut Command) -> Result<()> {
    // The sources have to be there: what their folder is called depends on where they come from.
    process::run(process::cargo().args(["fetch", "--locked", "--quiet"]))?;
    let folders = folders()?;
    let encoded = paths::variable("CARGO_ENCODED_RUSTFLAGS");
    let spaced = || paths::variable("RUSTFLAGS").map(|flags| split(&flags).join(BETWEEN));
    let given = encoded.or_else(spaced);
    let ours = flags("--remap-path-prefix", &folders);
    let all: Vec<String> = given.into_iter().chain(ours).collect();
    cargo.env("CARGO_ENCODED_RUSTFLAGS", all.join(BETWEEN));
    for variable in ["CFLAGS", "CXXFLAGS"] {
        let given = paths::variable(variable);
        let ours = flags("-ffile-prefix-map", &folders);
        let all: Vec<String> = given.into_iter().chain(ours).collect();
        cargo.env(variable, all.join(" "));
    }
    Ok(())
}

/// From a folder to its name. A later one counts before an earlier one that holds it.
type Folders = Vec<(PathBuf, String)>;

fn folders() -> Result<Folders> {
    let mut folders = vec![
        (paths::root(), "/riwaq".to_owned()),
        (paths::target(), "/target".to_owned()),
    ];
    for source in sources(&cargo_home()?.join("registry/src"))? {
        folders.push((source, "/crates".to_owned()));
    }
    Ok(folders)
}

fn cargo_home() -> Result<PathBuf> {
    let said = paths::variable("CARGO_HOME").map(PathBuf::from);
    said.or_else(|| paths::variable("HOME").map(|home| Path::new(&home).join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))?;
    let mut sources = Vec::new();
    for entry in entries {
        sources.push(entry?.path());
    }
    sources.sort();
    Ok(sources)
}

fn flags(option: &str, folders: &Folders) -> Vec<String> {
    let each = folders.iter();
    each.map(|(folder, name)| format!("{option}={}={name}", folder.display()))
        .collect()
}

fn split(flags: &str) -> Vec<&str> {
    flags.split_whitespace().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_folder_is_given_a_name() {
        let folders = vec![
            (PathBuf::from("/home/a/riwaq"), "/riwaq".to_owned()),
            (PathBuf::from("/home/a/riwaq/target"), "/target".to_owned()),
        ];
        assert_eq!(
            flags("--remap-path-prefix", &folders),
            [
                "--remap-path-prefix=/home/a/riwaq=/riwaq",
                "--remap-path-prefix=/home/a/riwaq/target=/target",
            ]
        );
    }

    #[test]
    fn every_source_of_dependencies_is_found() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["mirror-2", "index-1"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let found = sources(folder.path()).unwrap();
        assert_eq!(
            found,
            ["index-1", "mirror-2"].map(|name| folder.path().join(name))
        );
        assert!(sources(&folder.path().join("absent")).is_err());
    }
}
