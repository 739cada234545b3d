//! What `.ci/keep-times` does to a clone that cargo is about to compile.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use tempfile::TempDir;

/// A repository, the one place where it is cloned to, and the folder that outlives clones.
struct Ci {
    folder: TempDir,
}

impl Ci {
    fn new() -> Self {
        let ci = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        run("git", &["init", "--quiet", "origin"], ci.folder.path());
        ci
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn commit(&self, files: &[(&str, &str)]) {
        let origin = self.at("origin");
        for (path, content) in files {
            let path = origin.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        run("git", &["add", "."], &origin);
        let [name, email] = ["user.name=Test", "user.email=test@riwaq.test"];
        let commit = ["-c", name, "-c", email, "commit", "--quiet", "-m", "next"];
        run("git", &commit, &origin);
    }

    /// A clone at `place` whose times are kept.
    fn clone(&self, place: &str) -> PathBuf {
        let _ = fs::remove_dir_all(self.at(place));
        let clone = ["clone", "--quiet", "origin", place];
        run("git", &clone, self.folder.path());
        self.keep(place)
    }

    fn keep(&self, place: &str) -> PathBuf {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/keep-times");
        let kept = self.at("kept");
        let place = self.at(place);
        run(script.to_str().unwrap(), &[kept.to_str().unwrap()], &place);
        place
    }
}

fn run(program: &str, args: &[&str], folder: &Path) {
    let ended = Command::new(program)
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .status();
    assert!(ended.unwrap().success(), "{program} {args:?}");
}

fn times(place: &Path, paths: &[&str]) -> Vec<SystemTime> {
    let time = |path| fs::metadata(place.join(path)).unwrap().modified().unwrap();
    paths.iter().map(time).collect()
}

#[test]
fn in_a_new_clone_only_what_changed_is_new() {
    let ci = Ci::new();
    ci.commit(&[("crates/a/lib.rs", "1"), ("crates/b/été 1.rs", "1")]);
    let same = ["crates/a", "crates/a/lib.rs"];
    let changed = ["crates", "crates/b", "crates/b/été 1.rs"];
    let clone = ci.clone("clone");
    let (same_before, changed_before) = (times(&clone, &same), times(&clone, &changed));

    ci.commit(&[("crates/b/été 1.rs", "2")]);
    let written = times(&ci.at("origin"), &["crates/b/été 1.rs"])[0];
    let clone = ci.clone("clone");
    assert_eq!(times(&clone, &same), same_before);
    for (new, old) in times(&clone, &changed).into_iter().zip(changed_before) {
        assert!(new > old && new > written);
    }
}

#[test]
fn what_was_taken_back_is_new() {
    let ci = Ci::new();
    ci.commit(&[("lib.rs", "1")]);
    let first = times(&ci.clone("clone"), &["lib.rs"]);
    ci.commit(&[("lib.rs", "2")]);
    let second = times(&ci.clone("clone"), &["lib.rs"]);
    ci.commit(&[("lib.rs", "1")]);
    let third = times(&ci.clone("clone"), &["lib.rs"]);
    assert!(first < second && second < third);
}

#[test]
fn at_another_place_and_after_changes_by_hand_all_is_new() {
    let ci = Ci::new();
    ci.commit(&[("lib.rs", "1")]);
    let first = times(&ci.clone("clone"), &["lib.rs"]);
    let elsewhere = times(&ci.clone("elsewhere"), &["lib.rs"]);
    assert!(elsewhere > first);

    let changed = ci.at("elsewhere");
    fs::write(changed.join("lib.rs"), "by hand").unwrap();
    ci.keep("elsewhere");
    assert!(times(&ci.clone("elsewhere"), &["lib.rs"]) > elsewhere);
}
