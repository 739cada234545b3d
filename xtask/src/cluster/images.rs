//! The cluster's own images: what holds a pod's namespaces, and what `helm test` runs its script in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::containers;
use super::place::Place;
use super::programs::Programs;
use crate::image::{self, Packing};
use crate::process;

pub(super) const PAUSE: &str = "localhost/riwaq-pause:1";
/// A shell, curl and what a script needs, from this machine.
pub(super) const TOOLS: &str = "localhost/riwaq-tools:1";
/// What is in it.
const PROGRAMS: &[&str] = &["sh", "curl", "sed", "grep", "date", "sleep", "cat"];

pub(super) fn import_own(place: &Place, programs: &Programs) -> Result<()> {
    let archive = place.data().join("image.tar");
    image::write(&programs.pause(), &[], PAUSE, Packing::Plain, &archive)?;
    containers::import(place, programs, &archive)?;
    let find = |name: &&'static str| Ok((*name, find(name)?));
    let tools = PROGRAMS.iter().map(find).collect::<Result<Vec<_>>>()?;
    let (_, shell) = tools.first().context("no programs")?;
    image::write(shell, &tools, TOOLS, Packing::Plain, &archive)?;
    containers::import(place, programs, &archive)?;
    fs::remove_file(archive)?;
    Ok(())
}

fn find(name: &str) -> Result<PathBuf> {
    let script = format!("command -v {name}");
    let path = process::output(Command::new("sh").args(["-c", &script]))
        .with_context(|| format!("{name} is needed on this machine"))?;
    let path = Path::new(path.trim());
    path.canonicalize()
        .with_context(|| format!("{} is nowhere", path.display()))
}
