//! What is in the cluster before anybody puts something there: volumes, for it has nobody who would make them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::place::{NODE_NAME, Place};
use crate::process;

const VOLUMES: usize = 4;
const CLASS: &str = "local";

/// `kubectl`, as the administrator.
pub(super) fn kubectl(place: &Place) -> Command {
    let mut kubectl = Command::new(place.bin().join("kubectl"));
    kubectl.arg("--kubeconfig").arg(place.kubeconfig("admin"));
    kubectl
}

/// Makes it, once there is what a pod of anybody needs.
pub(super) fn apply(place: &Place, limit: Duration) -> Result<()> {
    let file = place.data().join("manifests.json");
    let mut items = vec![class()];
    for number in 0..VOLUMES {
        let folder = place.volume(number);
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777))?;
        items.push(volume(number, &folder));
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    fs::write(&file, list.to_string())?;
    process::run_quietly(kubectl(place).arg("apply").arg("--filename").arg(&file))?;
    let began = Instant::now();
    while kubectl(place)
        .args(["get", "serviceaccount", "default"])
        .output()
        .is_ok_and(|o| !o.status.success())
    {
        if began.elapsed() > limit {
            bail!("the default service account does not come");
        }
        sleep(Duration::from_millis(300));
    }
    Ok(())
}

/// The class that a claim without one gets: a volume is chosen when a pod wants it.
fn class() -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    })
}

fn volume(number: usize, folder: &Path) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": format!("volume-{number}")},
        "spec": {
            "capacity": {"storage": "20Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
            "local": {"path": folder},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE_NAME]},
            ]}]}},
        },
    })
}
