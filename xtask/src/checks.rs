//! Everything that is checked without running a test.

use anyhow::Result;

use crate::{arrows, process, sizes, tools};

/// Format, lints, arrows, sizes, licences; the first that fails ends it.
pub(crate) fn all() -> Result<()> {
    process::run(process::cargo().args(["fmt", "--all", "--check"]))?;
    arrows::check()?;
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
    )
}
