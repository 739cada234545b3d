//! Tools that tests and checks need, installed once into the cache, keyed by version.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{paths, process};

const CARGO_DENY: &str = "0.20.2";

/// Clients of the protocols that are not ours: a stock OpenID Connect client and an OpenAPI fuzzer.
const PYTHON_PACKAGES: &[&str] = &["authlib==1.9.8", "requests==2.34.2", "schemathesis==4.32.5"];

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
