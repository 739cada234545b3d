//! The archive: an OCI image layout (image-spec 1.1), with the manifest of `docker save` beside it.

use anyhow::Result;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Packing;
use super::pack::pack;
use super::root::{AUTHORITIES, Entry, PROGRAM, Root, USER};
use super::tar::Tar;

pub(super) struct Image {
    pub(super) archive: Vec<u8>,
    /// Of the manifest: what a registry calls the image.
    pub(super) digest: String,
    pub(super) layer_bytes: usize,
    pub(super) packed_bytes: usize,
}

/// Everything that lies in `blobs`.
struct Blob {
    media: &'static str,
    digest: String,
    bytes: Vec<u8>,
}

impl Blob {
    fn new(media: &'static str, bytes: Vec<u8>) -> Self {
        let digest = digest(&bytes);
        Self {
            media,
            digest,
            bytes,
        }
    }

    fn json(media: &'static str, value: &Value) -> Self {
        Self::new(media, value.to_string().into_bytes())
    }

    fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media, "digest": self.digest, "size": self.bytes.len() })
    }

    fn path(&self) -> String {
        format!("blobs/{}", self.digest.replace(':', "/"))
    }
}

pub(super) fn build(root: &Root, name: &str, packing: Packing) -> Result<Image> {
    let layer = layer(root)?;
    let config = config(&digest(&layer));
    let media = match packing {
        Packing::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        Packing::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
        Packing::Plain => "application/vnd.oci.image.layer.v1.tar",
    };
    let packed = Blob::new(media, pack(&layer, packing)?);
    let config = Blob::json("application/vnd.oci.image.config.v1+json", &config);
    let manifest = Blob::json(
        "application/vnd.oci.image.manifest.v1+json",
        &json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config.descriptor(),
            "layers": [packed.descriptor()],
        }),
    );
    let archive = archive(name, &manifest, &config, &packed)?;
    Ok(Image {
        archive,
        layer_bytes: layer.len(),
        packed_bytes: packed.bytes.len(),
        digest: manifest.digest,
    })
}

fn layer(root: &Root) -> Result<Vec<u8>> {
    let mut tar = Tar::default();
    for (name, entry) in root.entries() {
        match entry {
            Entry::Folder { mode, owner } => tar.folder(name, *mode, *owner)?,
            Entry::File { mode, content } => tar.file(name, *mode, content)?,
        }
    }
    Ok(tar.finish())
}

fn config(layer: &str) -> Value {
    let created = "1970-01-01T00:00:00Z";
    json!({
        "created": created,
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "User": format!("{USER}:{USER}"),
            "Entrypoint": [format!("/{PROGRAM}")],
            "WorkingDir": "/",
            "Env": ["PATH=/", format!("SSL_CERT_FILE=/{AUTHORITIES}")],
            "ExposedPorts": { "8080/tcp": {} },
            "StopSignal": "SIGTERM",
            "Labels": {
                "org.opencontainers.image.title": "Riwaq",
                "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [layer] },
        "history": [{ "created": created, "created_by": "cargo xtask image" }],
    })
}

/// As images name it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The name with its tag, and the tag; without one it is `latest`, as every container engine takes it.
fn tagged(name: &str) -> (String, String) {
    // A `:` before the last `/` is that of a registry's port.
    let last = name.rsplit('/').next().unwrap_or(name);
    match last.rsplit_once(':') {
        Some((_, tag)) => (name.to_owned(), tag.to_owned()),
        None => (format!("{name}:latest"), "latest".to_owned()),
    }
}

fn archive(name: &str, manifest: &Blob, config: &Blob, layer: &Blob) -> Result<Vec<u8>> {
    let mut described = manifest.descriptor();
    described["platform"] = json!({ "architecture": architecture(), "os": "linux" });
    let (name, tag) = tagged(name);
    described["annotations"] = json!({
        "io.containerd.image.name": full_name(&name),
        "org.opencontainers.image.ref.name": tag,
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [described],
    });
    let docker = json!([{ "Config": config.path(), "RepoTags": [name], "Layers": [layer.path()] }]);
    let mut tar = Tar::default();
    tar.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    tar.file("index.json", 0o644, index.to_string().as_bytes())?;
    tar.file("manifest.json", 0o644, docker.to_string().as_bytes())?;
    for blob in [manifest, config, layer] {
        tar.file(&blob.path(), 0o644, &blob.bytes)?;
    }
    Ok(tar.finish())
}

/// A name without a registry is Docker Hub's: so Kubernetes looks for it.
fn full_name(name: &str) -> String {
    match name.split_once('/') {
        None => format!("docker.io/library/{name}"),
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn image(program: &[u8]) -> Image {
        let root = Root::new(program.to_vec());
        build(&root, "riwaq:test", Packing::Gzip).unwrap()
    }

    /// The files of an archive of ours.
    fn files(mut archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        while archive[0] != 0 {
            let field = |at: std::ops::Range<usize>| {
                let text = String::from_utf8_lossy(&archive[at]).into_owned();
                text.trim_end_matches('\0').to_owned()
            };
            let (name, size) = (field(0..100), field(124..136));
            let size = usize::from_str_radix(&size, 8).unwrap();
            files.insert(name, archive[512..512 + size].to_vec());
            archive = &archive[512 + size.next_multiple_of(512)..];
        }
        files
    }

    #[test]
    fn the_same_program_gives_the_same_image_and_another_gives_another() {
        let (first, second) = (image(b"program"), image(b"program"));
        assert_eq!(first.digest, second.digest);
        assert!(first.archive == second.archive);
        assert_ne!(first.digest, image(b"progrbm").digest);
    }

    #[test]
    fn every_digest_is_of_what_it_names() {
        let image = image(b"program");
        let files = files(&image.archive);
        for (name, bytes) in files.iter().filter(|(name, _)| name.starts_with("blobs/")) {
            let named = name.trim_start_matches("blobs/").replace('/', ":");
            assert_eq!(named, digest(bytes));
        }
        let json = |name: &str| -> Value { serde_json::from_slice(&files[name]).unwrap() };
        let blob =
            |of: &Value| format!("blobs/{}", of["digest"].as_str().unwrap().replace(':', "/"));
        let manifest = json(&blob(&json("index.json")["manifests"][0]));
        assert_eq!(json("index.json")["manifests"][0]["digest"], image.digest);
        let config = json(&blob(&manifest["config"]));
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(
            json("manifest.json")[0]["Layers"][0],
            blob(&manifest["layers"][0])
        );
        let size = files[&blob(&manifest["layers"][0])].len();
        assert_eq!(manifest["layers"][0]["size"], size);
        let unpacked = digest(&layer(&Root::new(b"program".to_vec())).unwrap());
        assert_eq!(config["rootfs"]["diff_ids"][0], unpacked);
    }

    #[test]
    fn a_registry_s_port_is_no_tag_and_no_tag_is_latest() {
        for (name, full, tag) in [
            ("riwaq", "riwaq:latest", "latest"),
            ("riwaq:1", "riwaq:1", "1"),
            (
                "registry.example:5000/riwaq",
                "registry.example:5000/riwaq:latest",
                "latest",
            ),
            (
                "registry.example:5000/riwaq:1",
                "registry.example:5000/riwaq:1",
                "1",
            ),
        ] {
            let root = Root::new(b"program".to_vec());
            let image = build(&root, name, Packing::Plain).unwrap();
            let files = files(&image.archive);
            let json = |name: &str| -> Value { serde_json::from_slice(&files[name]).unwrap() };
            assert_eq!(json("manifest.json")[0]["RepoTags"], json!([full]));
            let index = json("index.json");
            let annotations = &index["manifests"][0]["annotations"];
            assert_eq!(annotations["org.opencontainers.image.ref.name"], tag);
            let known = &annotations["io.containerd.image.name"];
            assert_eq!(*known, full_name(full));
        }
    }

    #[test]
    fn names_are_completed_as_kubernetes_does() {
        assert_eq!(full_name("riwaq:1"), "docker.io/library/riwaq:1");
        assert_eq!(full_name("school/riwaq:1"), "docker.io/school/riwaq:1");
        assert_eq!(full_name("localhost/riwaq:1"), "localhost/riwaq:1");
        assert_eq!(
            full_name("registry.example:5000/riwaq"),
            "registry.example:5000/riwaq"
        );
    }
}
