//! The image: an archive that containerd, Docker and Podman load, written without any of them.
//!
//! The same program and the same libraries give the same bytes, whoever builds and whenever.

mod libraries;
mod oci;
mod pack;
mod root;
mod tar;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::build::{self, Profile};
use crate::paths;
use root::Root;

/// What to write.
#[derive(Args)]
pub(crate) struct Options {
    /// A program that is built already, in place of a release of this tree
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// What the image is called
    #[arg(long, default_value = concat!("riwaq:", env!("CARGO_PKG_VERSION")))]
    name: String,
    /// The archive [default: image.tar in cargo's target folder]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How the layer is packed
    #[arg(long, value_enum, default_value = "zstd")]
    packing: Packing,
    /// Write the files into this folder, for a Dockerfile, in place of an archive
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["out", "packing"])]
    folder: Option<PathBuf>,
}

/// How a layer is packed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Packing {
    /// The smaller: containerd 1.5, Docker 23, Podman 3 and newer
    Zstd,
    /// For whatever is older
    Gzip,
    /// Not at all: the quickest, for a cluster on this machine
    Plain,
}

/// Builds the program and writes the image.
pub(crate) fn run(options: &Options) -> Result<()> {
    let program = match &options.program {
        Some(path) => path.clone(),
        None => build::build(Profile::Release)?,
    };
    let root = assemble(&program, &[])?;
    if let Some(folder) = &options.folder {
        return root.write(folder);
    }
    let image = oci::build(&root, &options.name, options.packing)?;
    let out = options.out.clone();
    let out = out.unwrap_or_else(|| paths::target().join("image.tar"));
    fs::write(&out, &image.archive).with_context(|| format!("cannot write {}", out.display()))?;
    println!("{}  {}  {}", out.display(), options.name, image.digest);
    println!(
        "program {}, layer {}, packed {}",
        megabytes(root.program_bytes()),
        megabytes(image.layer_bytes),
        megabytes(image.packed_bytes)
    );
    Ok(())
}

/// Writes an image of some other program, with `beside` in its root and with what all of them link to.
pub(crate) fn write(
    program: &Path,
    beside: &[(&str, PathBuf)],
    name: &str,
    packing: Packing,
    out: &Path,
) -> Result<()> {
    let image = oci::build(&assemble(program, beside)?, name, packing)?;
    fs::write(out, image.archive).with_context(|| format!("cannot write {}", out.display()))
}

fn assemble(program: &Path, beside: &[(&str, PathBuf)]) -> Result<Root> {
    let read =
        |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let mut root = Root::new(read(program)?);
    for (name, path) in beside {
        root.file(Path::new(name), 0o755, read(path)?);
    }
    let programs = beside.iter().map(|(_, path)| path.as_path());
    for program in programs.chain([program]) {
        for library in libraries::of(program)? {
            let content = fs::read(&library)?;
            root.file(&library, 0o755, content);
        }
    }
    for notice in libraries::notices() {
        let content = fs::read(&notice)?;
        root.file(&notice, 0o644, content);
    }
    Ok(root)
}

fn megabytes(bytes: usize) -> String {
    let tenths = bytes.div_ceil(100_000);
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(megabytes(22_420_299), "22.5 MB");
        assert_eq!(megabytes(0), "0.0 MB");
    }

    #[test]
    fn a_program_comes_with_what_it_links_to() {
        let this = std::env::current_exe().unwrap();
        let root = assemble(&this, &[]).unwrap();
        let names: Vec<&str> = root.entries().map(|(path, _)| path).collect();
        assert!(
            names.iter().any(|name| name.contains("/libc.so")),
            "{names:?}"
        );
        assert!(
            names.iter().any(|name| name.contains("/ld-linux")),
            "{names:?}"
        );
        assert!(names.contains(&"riwaq"));
        assert!(!names.iter().any(|name| name.ends_with("/sh")));
    }
}
