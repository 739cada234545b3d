//! What the kubelet is told.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use super::place::{NODE, PODS_GATEWAY, Place};

pub(super) fn config_file(place: &Place) -> PathBuf {
    place.data().join("kubelet.json")
}

/// Writes its configuration, and the file that pods would have names looked up by: nobody beyond the cluster.
pub(super) fn configure(place: &Place) -> Result<()> {
    let resolver = place.data().join("resolv.conf");
    fs::write(&resolver, "nameserver 127.0.0.1\n")?;
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": place.pki().join("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        // With version 1 of cgroups, too, as containers on a machine without systemd have it.
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": false,
        "failSwapOn": false,
        "containerRuntimeEndpoint": format!("unix://{}", place.containerd_socket().display()),
        "clusterDNS": [PODS_GATEWAY],
        "clusterDomain": "cluster.local",
        "resolvConf": resolver,
        "podLogsDir": place.data().join("podlogs"),
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        // Nobody could fetch an image again.
        "imageGCHighThresholdPercent": 100,
        "healthzBindAddress": "127.0.0.1",
    });
    fs::write(config_file(place), config.to_string())?;
    Ok(())
}
