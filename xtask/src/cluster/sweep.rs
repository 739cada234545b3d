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

fn unmount(folders: &[&Path]) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    for point in points(&mounts, folders) {
        umount2(point, MntFlags::MNT_DETACH).with_context(|| format!("cannot unmount {point}"))?;
    }
    Ok(())
}

/// What is mounted in folders, the deepest first. The kernel names it without the symbolic links on the way.
fn points<'a>(mounts: &'a str, folders: &[&Path]) -> Vec<&'a str> {
    let folders: Vec<PathBuf> = folders
        .iter()
        .map(|folder| {
            folder
                .canonicalize()
                .unwrap_or_else(|_| folder.to_path_buf())
        })
        .collect();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let ours = |point: &&str| {
        folders
            .iter()
            .any(|folder| Path::new(point).starts_with(folder))
    };
    let mut points: Vec<&str> = points.filter(ours).collect();
    points.sort_unstable();
    points.reverse();
    points
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_behind_a_symbolic_link_is_found_the_deepest_first() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap().join("real");
        fs::create_dir(&real).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let real = real.display();
        let mounts = format!(
            "tmpfs / tmpfs rw 0 0\ntmpfs {real}/a tmpfs rw 0 0\ntmpfs {real}/a/b tmpfs rw 0 0\ntmpfs {real}s tmpfs rw 0 0\n"
        );
        let found = points(&mounts, &[&link]);
        assert_eq!(found, [format!("{real}/a/b"), format!("{real}/a")]);
    }
}
