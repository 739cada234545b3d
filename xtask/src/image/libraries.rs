//! The libraries that a program links to, and the loader that finds them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Their licences, where Debian keeps them.
const NOTICES: &[&str] = &[
    "/usr/share/doc/libc6/copyright",
    "/usr/share/doc/libgcc-s1/copyright",
];

/// Where each lies on this machine; none for a static program.
pub(super) fn of(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output();
    let output = output.context("cannot start ldd")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        if complained.contains("not a dynamic executable") {
            return Ok(Vec::new());
        }
        bail!("ldd {}: {complained}", program.display());
    }
    parse(&said).with_context(|| format!("the libraries of {}", program.display()))
}

/// The notices that exist.
pub(super) fn notices() -> Vec<PathBuf> {
    let notices = NOTICES.iter().map(PathBuf::from);
    notices.filter(|path| path.is_file()).collect()
}

fn parse(said: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for line in said.lines().map(str::trim) {
        if line.contains("not found") {
            bail!("{line}");
        }
        let place = line.split_once(" => ").map_or(line, |(_, place)| place);
        let path = place.split(" (").next().unwrap_or_default().trim();
        // The kernel's own (`linux-vdso.so.1`) is no file.
        if path.starts_with('/') {
            found.push(PathBuf::from(path));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_found_and_the_kernels_own_is_none() {
        let said = "\tlinux-vdso.so.1 (0x00007f)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let found = parse(said).unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        assert_eq!(
            shown,
            [
                "/lib/x86_64-linux-gnu/libc.so.6",
                "/lib64/ld-linux-x86-64.so.2"
            ]
        );
        assert!(parse("\tstatically linked\n").unwrap().is_empty());
    }

    #[test]
    fn a_library_that_is_missing_is_named() {
        let error = parse("\tlibzstd.so.1 => not found\n").unwrap_err();
        assert!(error.to_string().contains("libzstd.so.1"));
    }
}
