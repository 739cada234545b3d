//! The arrows between crates go one way, and a driver stays beneath its adapter.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde::Deserialize;

use crate::{paths, process};

/// What a folder's crates may depend on (normal and build dependencies; tests may reach further).
/// An entry ending in `/` is every crate of that folder.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("crates/clock", &[]),
    ("crates/calls", &["crates/clock"]),
    ("crates/trust", &[]),
    (
        "crates/ports/",
        &["crates/clock", "crates/ports/records-derive"],
    ),
    ("crates/aggregates", &["crates/clock", "crates/ports/"]),
    (
        "crates/adapters/",
        &[
            "crates/calls",
            "crates/clock",
            "crates/trust",
            "crates/ports/",
            "crates/aggregates",
        ],
    ),
    ("crates/extraction", &["crates/clock"]),
    ("crates/api", &["crates/clock"]),
    (
        "crates/kit",
        &["crates/clock", "crates/ports/", "crates/aggregates"],
    ),
    (
        "crates/identity",
        &[
            "crates/clock",
            "crates/ports/events",
            "crates/api",
            "crates/kit",
        ],
    ),
    ("crates/cassandra-node", &[]),
    (
        "crates/test-kit",
        &["crates/cassandra-node", "crates/clock"],
    ),
    ("services/riwaq", &["crates/", "services/"]),
    (
        "services/",
        &[
            "crates/clock",
            "crates/ports/",
            "crates/aggregates",
            "crates/api",
            "crates/kit",
            "crates/identity",
            "crates/extraction",
        ],
    ),
    ("integration-tests", &["crates/", "services/"]),
    ("xtask", &["crates/cassandra-node"]),
];

/// Drivers, and the only crates that may name them.
const DRIVERS: &[(&str, &[&str])] = &[
    ("rusqlite", &["riwaq-records-sqlite", "riwaq-events-sqlite"]),
    ("scylla", &["riwaq-records-cassandra"]),
    ("aws-sdk-s3", &["riwaq-blobs-s3"]),
    ("lapin", &["riwaq-events-rabbitmq"]),
    ("openidconnect", &["riwaq-gateway"]),
    ("instant-acme", &["riwaq-kit"]),
    ("tantivy", &["riwaq-index-tantivy"]),
    ("lettre", &["riwaq-mail-smtp"]),
    ("hayro-interpret", &["riwaq-extraction"]),
    ("hayro-syntax", &["riwaq-extraction"]),
    ("argon2", &["riwaq-directory-local"]),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

/// Fails with one line for each forbidden arrow.
pub(crate) fn check() -> Result<()> {
    let json =
        process::output(process::cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Metadata = serde_json::from_str(&json)?;
    let wrong = violations(&metadata);
    if !wrong.is_empty() {
        bail!("arrows that must not be:\n  {}", wrong.join("\n  "));
    }
    println!("arrows: {} crates, all one way", metadata.packages.len());
    Ok(())
}

fn violations(metadata: &Metadata) -> Vec<String> {
    let folders: BTreeMap<&str, String> = metadata
        .packages
        .iter()
        .map(|package| (package.name.as_str(), folder(package)))
        .collect();
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let from = &folders[package.name.as_str()];
        for dependency in &package.dependencies {
            let is_test = dependency.kind.as_deref() == Some("dev");
            if let Some(to) = folders.get(dependency.name.as_str())
                && !is_test
                && !allowed(from, to)
            {
                wrong.push(format!("{from} -> {to}"));
            }
            if let Some((_, owners)) = DRIVERS
                .iter()
                .find(|(driver, _)| *driver == dependency.name)
                && !owners.contains(&package.name.as_str())
                && !is_test
            {
                wrong.push(format!("{from} -> driver {}", dependency.name));
            }
        }
    }
    wrong
}

fn folder(package: &Package) -> String {
    let root = format!("{}/", paths::root().display());
    package
        .manifest_path
        .trim_start_matches(&root)
        .trim_end_matches("/Cargo.toml")
        .to_owned()
}

fn allowed(from: &str, to: &str) -> bool {
    // Exact names come before the folder that holds them.
    let rule = MAY_DEPEND_ON
        .iter()
        .find(|(folder, _)| *folder == from)
        .or_else(|| {
            MAY_DEPEND_ON
                .iter()
                .find(|(folder, _)| matches(folder, from))
        });
    rule.is_some_and(|(_, targets)| targets.iter().any(|target| matches(target, to)))
}

fn matches(pattern: &str, folder: &str) -> bool {
    if pattern.ends_with('/') {
        folder.starts_with(pattern)
    } else {
        folder == pattern
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_must_not_reach_an_adapter_nor_a_port_a_service() {
        assert!(!allowed(
            "services/courses",
            "crates/adapters/records-sqlite"
        ));
        assert!(!allowed("services/courses", "services/users"));
        assert!(!allowed("crates/ports/records", "crates/kit"));
        assert!(allowed("services/riwaq", "crates/adapters/records-sqlite"));
        assert!(allowed(
            "crates/adapters/records-sqlite",
            "crates/ports/records"
        ));
    }

    #[test]
    fn a_driver_outside_its_adapter_is_named() {
        let package = |name: &str, dependency: &str| Package {
            name: name.into(),
            manifest_path: format!("{}/services/courses/Cargo.toml", paths::root().display()),
            dependencies: vec![Dependency {
                name: dependency.into(),
                kind: None,
            }],
        };
        let metadata = Metadata {
            packages: vec![package("riwaq-courses", "rusqlite")],
        };
        assert_eq!(
            violations(&metadata),
            ["services/courses -> driver rusqlite"]
        );
    }
}
