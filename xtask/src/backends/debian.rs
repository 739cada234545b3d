//! Debian packages, fetched and unpacked beside everything else: no right to install is needed.
//!
//! apt does it with lists and a cache of its own, from the sources that this machine names, and
//! checks the archive's signature.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// Unpacks `packages` beneath `folder`/root; nothing of them is run.
pub(crate) fn unpack(packages: &[&str], folder: &Path) -> Result<PathBuf> {
    let apt = folder.join("apt");
    let (files, root) = (apt.join("packages"), folder.join("root"));
    for needed in ["lists/partial", "cache/archives/partial", "packages"] {
        fs::create_dir_all(apt.join(needed))?;
    }
    fs::create_dir_all(&root)?;
    let log = folder.join("install.log");
    process::run_logged(command(&apt).arg("update"), &log)
        .context("apt-get is needed for what comes from Debian: a Debian or an Ubuntu has it")?;
    let mut download = command(&apt);
    download.current_dir(&files).arg("download").args(packages);
    process::run_logged(&mut download, &log)?;
    let mut unpacked = 0;
    for file in fs::read_dir(&files)? {
        process::run_logged(
            Command::new("dpkg-deb")
                .arg("-x")
                .arg(file?.path())
                .arg(&root),
            &log,
        )?;
        unpacked += 1;
    }
    if unpacked != packages.len() {
        bail!("{unpacked} of {} packages came", packages.len());
    }
    fs::remove_dir_all(apt)?;
    Ok(root)
}

fn command(apt: &Path) -> Command {
    let option = |name: &str, value: String| format!("{name}={value}");
    let mut command = Command::new("apt-get");
    command
        .args(["--quiet", "-o"])
        .arg(option(
            "Dir::State::lists",
            apt.join("lists").display().to_string(),
        ))
        .arg("-o")
        .arg(option(
            "Dir::Cache",
            apt.join("cache").display().to_string(),
        ))
        // Nobody else works in these folders, and they are the caller's own.
        .args(["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="]);
    command
}

/// The release of the distribution, which decides the version that comes.
pub(crate) fn release() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    format!("{}-{}", field(&text, "ID"), field(&text, "VERSION_ID"))
}

fn field<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| *key == name)
        .map_or("unknown", |(_, value)| value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_with_and_without_quotes() {
        let text = "VERSION_ID=\"12\"\nID=debian\nID_LIKE=other\n";
        assert_eq!(
            (field(text, "ID"), field(text, "VERSION_ID")),
            ("debian", "12")
        );
        assert_eq!(field("", "ID"), "unknown");
    }
}
