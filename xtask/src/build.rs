//! Building and starting the program.

use std::path::PathBuf;

use anyhow::Result;

use crate::{folders, paths, process};

/// How the program is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quickly, for tests.
    Debug,
    /// Optimised, and linked quickly: for running from the repository.
    Local,
    /// Optimised as a whole: what is handed out.
    Release,
}

impl Profile {
    /// The folder beneath cargo's target folder.
    const fn folder(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Local => "local",
            Self::Release => "release",
        }
    }
}

/// Builds the whole program; gives the path of the one file.
pub(crate) fn build(profile: Profile) -> Result<PathBuf> {
    let mut cargo = process::cargo();
    cargo.args(["build", "--locked", "--bin", "riwaq"]);
    match profile {
        // The same feature set as `cargo test --workspace`: nothing is compiled twice.
        Profile::Debug => cargo.arg("--workspace"),
        Profile::Local | Profile::Release => {
            cargo.args(["--package", "riwaq", "--profile", profile.folder()])
        }
    };
    if profile == Profile::Release {
        folders::hide(&mut cargo)?;
    }
    process::run(&mut cargo)?;
    Ok(paths::target().join(profile.folder()).join("riwaq"))
}

/// Builds the program and starts `riwaq dev` in the foreground.
pub(crate) fn run(args: &[String]) -> Result<()> {
    use std::os::unix::process::CommandExt;
    let program = build(Profile::Local)?;
    // Replaces this process, so that Ctrl-C and SIGTERM reach Riwaq alone and it drains.
    let error = std::process::Command::new(&program)
        .arg("dev")
        .args(args)
        .exec();
    Err(anyhow::Error::new(error).context(format!("cannot start {}", program.display())))
}
