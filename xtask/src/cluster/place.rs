//! Where the cluster keeps what it has, and the addresses in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::paths;

/// The machine, as pods see it: what listens on its loopback answers there.
pub(super) const HOST: &str = "10.199.0.1";
/// The node: the API server, and the ports of Services of the type `NodePort`.
pub(super) const NODE: &str = "10.199.0.2";
/// Pods, and the first of their addresses, where names are looked up.
pub(super) const PODS: &str = "10.244.0.0/24";
pub(super) const PODS_GATEWAY: &str = "10.244.0.1";
/// Services, and the first of their addresses, which is the API server's.
pub(super) const SERVICES: &str = "10.96.0.0/16";
pub(super) const FIRST_SERVICE: &str = "10.96.0.1";
/// What the node is called.
pub(super) const NODE_NAME: &str = "node";
/// Port of the API server.
pub(super) const API: &str = "6443";

/// Its folders.
pub(super) struct Place {
    run: PathBuf,
}

impl Place {
    pub(super) fn usual() -> Self {
        Self {
            run: paths::cache().join("backends/run-cluster"),
        }
    }

    /// Data, logs and pid files.
    pub(super) fn run(&self) -> &Path {
        &self.run
    }

    /// `kubectl` and `helm`, for people and tests.
    pub(super) fn bin(&self) -> PathBuf {
        self.run.join("bin")
    }

    pub(super) fn pki(&self) -> PathBuf {
        self.run.join("pki")
    }

    /// How somebody reaches the API server, and as whom.
    pub(super) fn kubeconfig(&self, who: &str) -> PathBuf {
        self.pki().join(format!("{who}.kubeconfig"))
    }

    /// What goes with the cluster.
    pub(super) fn data(&self) -> PathBuf {
        self.run.join("data")
    }

    /// Where volumes lie.
    pub(super) fn volume(&self, number: usize) -> PathBuf {
        self.data().join(format!("volumes/{number}"))
    }

    /// Sockets and mounts: the names of sockets may not be long.
    #[expect(clippy::unused_self, reason = "it is one of the folders")]
    pub(super) fn state(&self) -> PathBuf {
        PathBuf::from("/run/riwaq-cluster")
    }

    pub(super) fn containerd_socket(&self) -> PathBuf {
        self.state().join("containerd.sock")
    }

    /// Begins anew; nothing may be mounted there.
    pub(super) fn clear(&self) -> Result<()> {
        if self.run.exists() {
            fs::remove_dir_all(&self.run)?;
        }
        for folder in [self.bin(), self.pki(), self.data(), self.state()] {
            fs::create_dir_all(folder)?;
        }
        Ok(())
    }

    pub(super) fn remove_data(&self) -> Result<()> {
        for folder in [self.data(), self.pki(), self.state()] {
            if folder.exists() {
                let removed = fs::remove_dir_all(&folder);
                removed.with_context(|| format!("cannot remove {}", folder.display()))?;
            }
        }
        Ok(())
    }
}
