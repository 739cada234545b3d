//! What tests are given: the cluster with the program in it, and a file that says how both are reached.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use serde_json::json;

use super::Cluster;
use super::images::TOOLS;
use super::place::{HOST, NODE};
use super::{containers, manifests, programs};
use crate::image::{self, Packing};
use crate::{chart, process};

const REPOSITORY: &str = "localhost/riwaq";
/// The same program twice: an upgrade goes from one to the other.
const TAGS: [&str; 2] = ["one", "other"];

impl Cluster {
    /// Puts the program into the cluster, which runs, and writes the file; gives its path.
    pub(crate) fn for_tests(&self, program: &Path) -> Result<PathBuf> {
        let place = &self.place;
        let programs = programs::Programs::installed()?;
        // What a debugger wants of it is most of it.
        let stripped = place.data().join("riwaq");
        process::run_quietly(Command::new("strip").arg("-o").arg(&stripped).arg(program))?;
        let archive = place.data().join("image.tar");
        for tag in TAGS {
            let name = format!("{REPOSITORY}:{tag}");
            image::write(&stripped, &[], &name, Packing::Plain, &archive)?;
            containers::import(place, &programs, &archive)?;
        }
        fs::remove_file(archive)?;
        let file = place.data().join("cluster.json");
        let facts = json!({
            "bin": place.bin(),
            "kubeconfig": place.kubeconfig("admin"),
            "node": NODE,
            "host": HOST,
            "repository": REPOSITORY,
            "tags": TAGS,
            "tools": TOOLS,
        });
        fs::write(&file, facts.to_string())?;
        Ok(file)
    }

    /// Every manifest that the chart can be rendered to, held against the real API server.
    pub(crate) fn takes_the_chart(&self) -> Result<()> {
        chart::dry_run(|| manifests::kubectl(&self.place))
    }
}
