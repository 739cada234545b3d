//! What the cluster consists of: Kubernetes built from its modules, containerd and what it needs from Debian, and Helm.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result};

use crate::backends::versions::{CONTAINERS, HELM, KUBERNETES};
use crate::backends::{debian, golang, install};
use crate::paths;

/// The module that [`golang::build_module`] builds, and what its programs are made of.
const SOURCE: &str = "xtask/src/cluster/go";
const SOURCES: &[&str] = &[
    include_str!("go/go.mod"),
    include_str!("go/go.sum"),
    include_str!("go/hyperkube/main.go"),
    include_str!("go/dns/main.go"),
    include_str!("go/dns/stream.go"),
    include_str!("go/pause/main.go"),
];
const COMMANDS: &[&str] = &["hyperkube", "dns", "pause"];
/// Two packages that hold the version that clients are told.
const VERSION_OF: &[&str] = &[
    "k8s.io/component-base/version",
    "k8s.io/client-go/pkg/version",
];
/// By these names the parts call what Debian has under longer ones.
const XTABLES: &[&str] = &[
    "iptables",
    "iptables-save",
    "iptables-restore",
    "ip6tables",
    "ip6tables-save",
    "ip6tables-restore",
];

pub(super) struct Programs {
    kubernetes: PathBuf,
    debian: PathBuf,
    helm: PathBuf,
}

impl Programs {
    /// Builds and fetches what is missing.
    pub(super) fn install() -> Result<Self> {
        let programs = Self::usual();
        install::once(&programs.kubernetes, || {
            println!("building Kubernetes {} once: minutes", KUBERNETES.version);
            let source = paths::root().join(SOURCE);
            golang::build_module(&source, COMMANDS, &flags(), &programs.kubernetes)
        })?;
        install::once(&programs.debian, || programs.fetch())?;
        crate::chart::helm()?;
        Ok(programs)
    }

    /// What was installed before.
    pub(super) fn installed() -> Result<Self> {
        let programs = Self::usual();
        fs::metadata(programs.hyperkube()).context("Kubernetes is not built")?;
        Ok(programs)
    }

    fn usual() -> Self {
        let cache = paths::cache().join("backends");
        let key = install::key_of(&SOURCES.concat());
        Self {
            kubernetes: cache.join(format!("kubernetes-{}-{key}", KUBERNETES.version)),
            debian: cache.join(format!("containers-{}", debian::release())),
            helm: cache.join(format!("helm-{}/helm", HELM.version)),
        }
    }

    fn fetch(&self) -> Result<()> {
        let root = debian::unpack(CONTAINERS, &self.debian)?;
        let links = self.debian.join("links");
        fs::create_dir_all(&links)?;
        for name in XTABLES {
            symlink(root.join("usr/sbin/xtables-nft-multi"), links.join(name))?;
        }
        Ok(())
    }

    pub(super) fn hyperkube(&self) -> PathBuf {
        self.kubernetes.join("hyperkube")
    }

    pub(super) fn pause(&self) -> PathBuf {
        self.kubernetes.join("pause")
    }

    pub(super) fn cni(&self) -> PathBuf {
        self.debian.join("root/usr/lib/cni")
    }

    pub(super) fn runc(&self) -> PathBuf {
        self.debian.join("root/usr/sbin/runc")
    }

    /// A program by its name, with the folders that it and those that it calls find each other in.
    pub(super) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.path_of(name));
        command.envs(self.environment());
        command
    }

    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        let own = ["hyperkube", "dns"].contains(&name);
        let folders = [
            self.debian.join("links"),
            self.tools("usr/sbin"),
            self.tools("usr/bin"),
        ];
        let found = folders.iter().map(|folder| folder.join(name));
        let of_debian = found.into_iter().find(|path| path.exists());
        match of_debian {
            _ if own => self.kubernetes.join(name),
            Some(path) => path,
            None => name.into(),
        }
    }

    /// Variables of every part.
    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        let libraries = self
            .tools("usr/lib")
            .join(format!("{}-linux-gnu", env::consts::ARCH));
        let folders = [
            self.debian.join("links"),
            self.tools("usr/sbin"),
            self.tools("usr/bin"),
        ];
        let folders: Vec<_> = folders
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        let system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        vec![
            ("PATH", format!("{}:{system}", folders.join(":"))),
            (
                "XTABLES_LIBDIR",
                libraries.join("xtables").display().to_string(),
            ),
            ("LD_LIBRARY_PATH", libraries.display().to_string()),
        ]
    }

    fn tools(&self, folder: &str) -> PathBuf {
        self.debian.join("root").join(folder)
    }

    /// `kubectl` and `helm` under their own names.
    pub(super) fn link(&self, folder: &Path) -> Result<()> {
        let script = format!(
            "#!/bin/sh\nexec '{}' kubectl \"$@\"\n",
            self.hyperkube().display()
        );
        let kubectl = folder.join("kubectl");
        fs::write(&kubectl, script)?;
        fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755))?;
        symlink(&self.helm, folder.join("helm"))?;
        Ok(())
    }
}

/// The version: clients refuse a server that does not know its own.
fn flags() -> String {
    let version = KUBERNETES.version;
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or("1"), numbers.next().unwrap_or("0"));
    let mut flags = "-s -w".to_owned();
    for package in VERSION_OF {
        for (name, value) in [
            ("gitVersion", version),
            ("gitMajor", major),
            ("gitMinor", minor),
            ("gitTreeState", "clean"),
        ] {
            flags.push_str(&format!(" -X {package}.{name}={value}"));
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_go_file_is_part_of_the_key() {
        let source = paths::root().join(SOURCE);
        let mut count = 0;
        for folder in fs::read_dir(&source).unwrap() {
            let path = folder.unwrap().path();
            let files = if path.is_dir() {
                fs::read_dir(path)
                    .unwrap()
                    .map(|file| file.unwrap().path())
                    .collect()
            } else {
                vec![path]
            };
            for file in files {
                count += 1;
                let text = fs::read_to_string(&file).unwrap();
                assert!(SOURCES.contains(&text.as_str()), "{}", file.display());
            }
        }
        assert_eq!(count, SOURCES.len());
    }

    #[test]
    fn the_version_is_told_to_both_packages() {
        let flags = flags();
        assert_eq!(flags.matches("gitVersion=v1.").count(), VERSION_OF.len());
        assert!(flags.contains("gitMajor=1 "));
    }
}
