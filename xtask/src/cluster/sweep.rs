//! Leaving nothing behind: mounts, cgroups and settings of the kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::mount::{MntFlags, umount2};

use super::place::Place;

/// What the kubelet sets for the whole machine.
const SETTINGS: &[&str] = &[
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
];
/// The cgroups that pods and containers were in.
const CGROUPS: &[&str] = &["kubepods", "k8s.io"];

/// Remembers the settings as they are.
pub(super) fn save_settings(place: &Place) -> Result<()> {
    for setting in SETTINGS {
        let value = fs::read_to_string(kernel(setting))?;
        fs::write(saved(place, setting), value)?;
    }
    Ok(())
}

/// Unmounts, removes and sets back what is left; nothing of it runs any more.
pub(super) fn everything(place: &Place) -> Result<()> {
    unmount(&[place.run(), &place.state()])?;
    remove_cgroups();
    for setting in SETTINGS {
        if let Ok(value) = fs::read_to_string(saved(place, setting)) {
            fs::write(kernel(setting), value)?;
        }
    }
    Ok(())
}

fn kernel(setting: &str) -> PathBuf {
    Path::new("/proc/sys").join(setting)
}

fn saved(place: &Place, setting: &str) -> PathBuf {
    place
        .data()
        .join(format!("{}.saved", setting.replace('/', ".")))
}

/// The deepest first.
fn unmount(folders: &[&Path]) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let ours = |point: &&str| {
        folders
            .iter()
            .any(|folder| Path::new(point).starts_with(folder))
    };
    let mut points: Vec<&str> = points.filter(ours).collect();
    points.sort_unstable();
    for point in points.into_iter().rev() {
        umount2(point, MntFlags::MNT_DETACH).with_context(|| format!("cannot unmount {point}"))?;
    }
    Ok(())
}

/// In every hierarchy of version 1, or in the one of version 2. A process that has just ended may hold one for a moment.
fn remove_cgroups() {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(root).into_iter().flatten().flatten();
    let hierarchies: Vec<PathBuf> = hierarchies.map(|entry| entry.path()).collect();
    for _ in 0..5 {
        let mut left = false;
        for hierarchy in hierarchies.iter().map(PathBuf::as_path).chain([root]) {
            for group in CGROUPS {
                let group = hierarchy.join(group);
                remove_tree(&group);
                left |= group.exists();
            }
        }
        if !left {
            return;
        }
        sleep(Duration::from_millis(200));
    }
}

/// A folder of cgroups: only folders can be removed, and with them what is in them.
fn remove_tree(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_tree(&entry.path());
        }
    }
    let _ = fs::remove_dir(folder);
}
