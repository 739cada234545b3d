//! Tools that tests and checks need, installed once into the cache, keyed by version.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{paths, process};

const CARGO_DENY: &str = "0.20.2";

/// Clients of the protocols that are not ours (OpenID Connect, an OpenAPI fuzzer), and the libraries
/// that people make documents with.
const PYTHON_PACKAGES: &[&str] = &[
    "authlib==1.9.8",
    "joserfc==1.8.0",
    "requests==2.34.2",
    "schemathesis==4.32.5",
    "reportlab==5.1.0",
    "python-docx==1.2.0",
    "nbformat==5.11.1",
];

/// `cargo-deny`, built when it is missing.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    let root = paths::cache().join(format!("tools/cargo-deny-{CARGO_DENY}"));
    let program = root.join("bin/cargo-deny");
    if !program.exists() {
        process::run(
            process::cargo()
                .args([
                    "install",
                    "cargo-deny",
                    "--version",
                    CARGO_DENY,
                    "--locked",
                    "--root",
                ])
                .arg(&root)
                .env_remove("CARGO_TARGET_DIR"),
        )?;
    }
    Ok(program)
}

/// The Python of a virtual environment that holds [`PYTHON_PACKAGES`].
pub(crate) fn python() -> Result<PathBuf> {
    let key = PYTHON_PACKAGES.join("-").replace("==", "-");
    let root = paths::cache().join("tools/python").join(key);
    let program = root.join("bin/python");
    let done = root.join(".done");
    if !done.exists() {
        process::run(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&root),
        )
        .context("python3 with venv is needed for the protocol tests (Debian: python3-venv)")?;
        process::run(
            Command::new(&program)
                .args(["-m", "pip", "install", "--quiet"])
                .args(PYTHON_PACKAGES),
        )?;
        std::fs::write(&done, "")?;
    }
    Ok(program)
}
