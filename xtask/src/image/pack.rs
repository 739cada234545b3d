//! Packing a layer, by the programs that Debian has: ours would be compiled without optimisation and take minutes.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Packing;

/// The packed bytes. The same version of the program gives the same ones; the number of threads does not matter.
pub(super) fn pack(layer: &[u8], packing: Packing) -> Result<Vec<u8>> {
    let (program, args): (_, &[&str]) = match packing {
        Packing::Zstd => ("zstd", &["-19", "--threads=0", "--quiet", "--stdout"]),
        Packing::Gzip => ("gzip", &["-9", "--no-name", "--stdout"]),
        Packing::Plain => return Ok(layer.to_vec()),
    };
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {program} (Debian: apt-get install {program})"))?;
    let mut input = child.stdin.take().context("no standard input")?;
    // Written beside reading: both pipes are small.
    let output = std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(layer));
        child.wait_with_output()
    })?;
    if !output.status.success() {
        bail!("{program} ended with {}", output.status);
    }
    Ok(output.stdout)
}
