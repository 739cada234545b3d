//! A tar archive (POSIX ustar) in which nothing depends on when or by whom it is written.

use anyhow::{Result, bail};

const BLOCK: usize = 512;
/// Longest name without the format's second field for names.
const NAME: usize = 100;

/// What is written, block by block.
#[derive(Default)]
pub(super) struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    pub(super) fn folder(&mut self, name: &str, mode: u32, owner: u32) -> Result<()> {
        self.header(&format!("{name}/"), mode, owner, b'5', 0)
    }

    pub(super) fn file(&mut self, name: &str, mode: u32, content: &[u8]) -> Result<()> {
        self.header(name, mode, 0, b'0', content.len())?;
        self.bytes.extend_from_slice(content);
        self.bytes
            .resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        Ok(())
    }

    /// Two empty blocks end it.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }

    fn header(&mut self, name: &str, mode: u32, owner: u32, kind: u8, size: usize) -> Result<()> {
        if name.len() > NAME {
            bail!("{name} is longer than {NAME} bytes");
        }
        let mut block = [0; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, name.as_bytes());
        put(100, format!("{mode:07o}").as_bytes());
        put(108, format!("{owner:07o}").as_bytes());
        put(116, format!("{owner:07o}").as_bytes());
        put(124, format!("{size:011o}").as_bytes());
        // The time: 1970.
        put(136, format!("{:011o}", 0).as_bytes());
        put(148, b"        ");
        put(156, &[kind]);
        put(257, b"ustar\x0000");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend_from_slice(&block);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_systems_tar_reads_it() {
        let mut tar = Tar::default();
        tar.folder("tmp", 0o1777, 0).unwrap();
        tar.folder("data", 0o700, 65_532).unwrap();
        tar.file("program", 0o755, &[7; 700]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.tar");
        std::fs::write(&path, tar.finish()).unwrap();
        let output = Command::new("tar")
            .args(["--list", "--verbose", "--numeric-owner", "--utc", "--file"])
            .arg(&path)
            .output()
            .unwrap();
        assert!(output.status.success());
        let said = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<String> = said
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            lines,
            [
                "drwxrwxrwt 0/0 0 1970-01-01 00:00 tmp/",
                "drwx------ 65532/65532 0 1970-01-01 00:00 data/",
                "-rwxr-xr-x 0/0 700 1970-01-01 00:00 program",
            ]
        );
    }

    #[test]
    fn a_name_that_does_not_fit_is_refused() {
        assert!(Tar::default().file(&"n".repeat(101), 0o644, &[]).is_err());
    }
}
