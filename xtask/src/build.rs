//! Building and starting the program.

use std::path::PathBuf;

use anyhow::Result;

use crate::{paths, process};

/// Builds the whole program; gives the path of the one file.
pub(crate) fn build(release: bool) -> Result<PathBuf> {
    let mut cargo = process::cargo();
    cargo.args(["build", "--locked", "--bin", "riwaq"]);
    if release {
        cargo.args(["--package", "riwaq", "--release"]);
    } else {
        // The same feature set as `cargo test --workspace`: nothing is compiled twice.
        cargo.arg("--workspace");
    }
    process::run(&mut cargo)?;
    Ok(binary(release))
}

/// Where the built program lies.
pub(crate) fn binary(release: bool) -> PathBuf {
    paths::target()
        .join(if release { "release" } else { "debug" })
        .join("riwaq")
}

/// Builds the optimised program and starts `riwaq dev` in the foreground.
pub(crate) fn run(args: &[String]) -> Result<()> {
    use std::os::unix::process::CommandExt;
    let program = build(true)?;
    // Replaces this process, so that Ctrl-C and SIGTERM reach Riwaq alone and it drains.
    let error = std::process::Command::new(&program)
        .arg("dev")
        .args(args)
        .exec();
    Err(anyhow::Error::new(error).context(format!("cannot start {}", program.display())))
}
