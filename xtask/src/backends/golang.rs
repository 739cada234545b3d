//! Building a command of a Go module, from the proxy that Go itself is configured with.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::install;
use super::versions::Go;
use crate::{paths, process};

/// The program in the cache, in a folder that begins with `name`; built where it is not there yet.
pub(crate) fn built(name: &str, what: &Go) -> Result<PathBuf> {
    let folder = paths::cache().join(format!("backends/{name}-{}", what.version));
    install::once(&folder, || {
        println!("building {name} {} once", what.version);
        build(what, &folder).map(|_| ())
    })?;
    Ok(folder.join(name_of(what)))
}

/// As Go calls it: the package's last word.
fn name_of(what: &Go) -> &str {
    what.package.rsplit('/').next().unwrap_or(what.package)
}

/// Builds it; gives the program's path.
///
/// The build is niced: it shares the machine with cargo's, which everybody waits for.
pub(crate) fn build(what: &Go, folder: &Path) -> Result<PathBuf> {
    let _held = install::hold_tool(folder, "go")?;
    let mut go = Command::new("nice");
    go.args(["-n", "10"])
        .arg(program())
        .args(["install", "-trimpath", "-ldflags", "-s -w"])
        .arg(format!("{}@{}", what.package, what.version))
        // Outside any module, and with nothing of the caller's flags.
        .current_dir(folder)
        .env("GOFLAGS", "")
        .env("GO111MODULE", "on")
        .env("CGO_ENABLED", "0")
        .env("GOBIN", folder);
    process::run_logged(&mut go, &folder.join("install.log"))
        .context("Go 1.25 or newer is needed (https://go.dev/dl)")?;
    Ok(folder.join(name_of(what)))
}

/// Builds `commands` of a module of this repository into `folder`, with what nobody else wants of the processors.
pub(crate) fn build_module(
    source: &Path,
    commands: &[&str],
    flags: &str,
    folder: &Path,
) -> Result<()> {
    let _held = install::hold_tool(folder, "go")?;
    // Tests with limits of seconds may run beside it.
    let mut go = Command::new("chrt");
    go.args(["--idle", "0"])
        .arg(program())
        .args([
            "build",
            "-mod=readonly",
            "-trimpath",
            "-ldflags",
            flags,
            "-o",
        ])
        .arg(folder)
        .args(commands.iter().map(|command| format!("./{command}")))
        .current_dir(source)
        .env("GOFLAGS", "")
        .env("GO111MODULE", "on")
        .env("CGO_ENABLED", "0");
    process::run_logged(&mut go, &folder.join("install.log"))
        .context("Go 1.25 or newer is needed (https://go.dev/dl)")
}

/// Downloads a module, checked by the checksum database; gives its folder, which nobody may write to.
pub(crate) fn download(module: &Go, folder: &Path) -> Result<PathBuf> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Downloaded {
        dir: PathBuf,
    }
    let mut go = Command::new(program());
    go.args(["mod", "download", "-json"])
        .arg(format!("{}@{}", module.package, module.version))
        .current_dir(folder)
        .env("GOFLAGS", "")
        .env("GO111MODULE", "on");
    let printed =
        process::output(&mut go).context("Go 1.25 or newer is needed (https://go.dev/dl)")?;
    let found: Downloaded = serde_json::from_str(&printed)?;
    Ok(found.dir)
}

/// `go` of the path, else where its own installer puts it.
fn program() -> PathBuf {
    let usual = PathBuf::from("/usr/local/go/bin/go");
    let on_path = Command::new("go").arg("version").output().is_ok();
    if !on_path && usual.exists() {
        usual
    } else {
        PathBuf::from("go")
    }
}
