//! Finding a JDK that the Java servers run on.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::paths;

/// What makes a small Java program start quickly and stay small.
pub(crate) const SMALL: &[&str] = &[
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.net.preferIPv4Stack=true",
];

/// A tool (`java`, `javac`, `jar`) of a JDK 17, wherever it is; a newer one that comes first is passed
/// over.
pub(crate) fn tool(name: &str) -> Result<PathBuf> {
    for folder in candidates() {
        if major_version(&folder.join("java")) == Some(17) {
            let tool = folder.join(name);
            // A folder that is empty stands for the path.
            if folder.as_os_str().is_empty() || tool.exists() {
                return Ok(tool);
            }
        }
    }
    bail!("JDK 17 is needed for the tests (Debian: openjdk-17-jdk-headless); set JAVA_HOME to it")
}

fn candidates() -> Vec<PathBuf> {
    let mut candidates = Vec::new();
    if let Some(home) = paths::variable("JAVA_HOME") {
        candidates.push(Path::new(&home).join("bin"));
    }
    if let Ok(entries) = std::fs::read_dir("/usr/lib/jvm") {
        candidates.extend(entries.flatten().map(|entry| entry.path().join("bin")));
    }
    candidates.push(PathBuf::new());
    candidates
}

fn major_version(java: &Path) -> Option<u32> {
    let output = Command::new(java).arg("-version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.split('"').nth(1)?.split('.').next()?.parse().ok()
}
