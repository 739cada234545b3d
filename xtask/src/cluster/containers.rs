//! containerd: what it is told, and what is asked of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use serde_json::json;

use super::images::PAUSE;
use super::network::BRIDGE;
use super::place::{PODS, Place};
use super::programs::Programs;
use crate::process;

pub(super) fn config_file(place: &Place) -> PathBuf {
    place.data().join("containerd.toml")
}

/// Writes its configuration, and that of the network which it plugs pods into.
pub(super) fn configure(place: &Place, programs: &Programs) -> Result<()> {
    let networks = place.data().join("networks");
    fs::create_dir_all(&networks)?;
    let pods = json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [{
            "type": "bridge",
            "bridge": BRIDGE,
            "isGateway": true,
            "hairpinMode": true,
            "ipam": {
                "type": "host-local",
                "dataDir": place.data().join("addresses"),
                "ranges": [[{"subnet": PODS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    });
    fs::write(networks.join("pods.conflist"), pods.to_string())?;
    fs::write(config_file(place), config(place, programs, &networks))?;
    Ok(())
}

fn config(place: &Place, programs: &Programs, networks: &Path) -> String {
    format!(
        r#"version = 2
root = "{root}"
state = "{state}"
[grpc]
address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "{opt}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
netns_mounts_under_state_dir = true
# A machine that is a container itself may not lower it.
restrict_oom_score_adj = true
stream_server_address = "127.0.0.1"
[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
BinaryName = "{runc}"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{cni}"
conf_dir = "{networks}"
"#,
        root = place.data().join("containerd").display(),
        state = place.state().join("containerd").display(),
        socket = place.containerd_socket().display(),
        opt = place.data().join("opt").display(),
        runc = programs.runc().display(),
        cni = programs.cni().display(),
        networks = networks.display(),
    )
}

/// Its own command line.
pub(super) fn ctr(place: &Place, programs: &Programs) -> Command {
    let mut ctr = programs.command("ctr");
    ctr.arg("--address")
        .arg(place.containerd_socket())
        .args(["--namespace", "k8s.io"]);
    ctr
}

/// Puts an image into it.
pub(super) fn import(place: &Place, programs: &Programs, archive: &Path) -> Result<()> {
    process::run_quietly(ctr(place, programs).args(["images", "import"]).arg(archive))
}

/// Ends and removes every container: nothing of one that does not run.
pub(super) fn remove_all(place: &Place, programs: &Programs) {
    if !place.containerd_socket().exists() {
        return;
    }
    let listed = |what: &str| {
        let output = ctr(place, programs)
            .args([what, "list", "--quiet"])
            .output();
        let text = output.map(|output| output.stdout).unwrap_or_default();
        let names = String::from_utf8_lossy(&text).into_owned();
        names
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for task in listed("tasks") {
        let _ = process::run_quietly(ctr(place, programs).args(["tasks", "rm", "--force", &task]));
    }
    for container in listed("containers") {
        let _ = process::run_quietly(ctr(place, programs).args(["containers", "rm", &container]));
    }
}
