//! Everything that is checked without running a test.

use anyhow::Result;

use crate::{arrows, chart, compose, process, sizes, tools};

/// Format, arrows, sizes, lints, licences, compose file, chart; the first that fails ends it.
pub(crate) fn all() -> Result<()> {
    quick()?;
    thorough()
}

/// What takes seconds.
pub(crate) fn quick() -> Result<()> {
    process::run(process::cargo().args(["fmt", "--all", "--check"]))?;
    arrows::check()
}

/// What compiles, reads every file or asks a registry.
pub(crate) fn thorough() -> Result<()> {
    sizes::check()?;
    process::run(process::cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--quiet",
        "--",
        "--deny",
        "warnings",
    ]))?;
    let deny = tools::cargo_deny()?;
    process::run(
        std::process::Command::new(deny)
            .current_dir(crate::paths::root())
            .args([
                "check",
                "--hide-inclusion-graph",
                "bans",
                "licenses",
                "sources",
            ]),
    )?;
    compose::check()?;
    chart::check()
}
