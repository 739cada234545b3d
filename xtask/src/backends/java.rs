//! Finding a JDK that the Java backends run on.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::paths;

/// The `java` of a JDK 17, wherever it is; a newer one that comes first is passed over.
pub(crate) fn jdk17() -> Result<PathBuf> {
    let mut candidates = Vec::new();
    if let Some(home) = paths::variable("JAVA_HOME") {
        candidates.push(Path::new(&home).join("bin/java"));
    }
    if let Ok(entries) = std::fs::read_dir("/usr/lib/jvm") {
        candidates.extend(entries.flatten().map(|entry| entry.path().join("bin/java")));
    }
    candidates.push(PathBuf::from("java"));
    for java in candidates {
        if major_version(&java) == Some(17) {
            return Ok(java);
        }
    }
    bail!("JDK 17 is needed for the tests (Debian: openjdk-17-jdk-headless); set JAVA_HOME to it")
}

fn major_version(java: &Path) -> Option<u32> {
    let output = Command::new(java).arg("-version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.split('"').nth(1)?.split('.').next()?.parse().ok()
}
