//! The files of the image: the program, what it links to, and the few others that it reads.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Who the program runs as: the number that distroless images have for it, and nobody's on a usual machine.
pub(super) const USER: u32 = 65_532;
/// The program's name in the image.
pub(super) const PROGRAM: &str = "riwaq";
/// Where it looks for the authorities of TLS.
pub(super) const AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";
/// Characters of a line of PEM.
const PEM_LINE: usize = 64;

/// What a name in the image stands for.
pub(super) enum Entry {
    Folder { mode: u32, owner: u32 },
    File { mode: u32, content: Vec<u8> },
}

/// Every name without a `/` in front, folders before what is in them.
pub(super) struct Root {
    entries: BTreeMap<String, Entry>,
}

impl Root {
    pub(super) fn new(program: Vec<u8>) -> Self {
        let mut root = Self {
            entries: BTreeMap::new(),
        };
        root.file(Path::new(PROGRAM), 0o755, program);
        let text = |text: String| text.into_bytes();
        let passwd =
            format!("root:x:0:0:root:/:/nonexistent\nriwaq:x:{USER}:{USER}:riwaq:/:/nonexistent\n");
        root.file(Path::new("etc/passwd"), 0o644, text(passwd));
        let group = format!("root:x:0:\nriwaq:x:{USER}:\n");
        root.file(Path::new("etc/group"), 0o644, text(group));
        let names = "hosts: files dns\n".to_owned();
        root.file(Path::new("etc/nsswitch.conf"), 0o644, text(names));
        root.file(Path::new(AUTHORITIES), 0o644, text(authorities()));
        // Mounted over by whoever runs it with a read-only root.
        root.folder("tmp", 0o1777, 0);
        root.folder("data", 0o700, USER);
        root
    }

    /// A file, with the folders above it.
    pub(super) fn file(&mut self, path: &Path, mode: u32, content: Vec<u8>) {
        let name = path.to_string_lossy();
        let name = name.trim_start_matches('/');
        let above = name.match_indices('/').map(|(end, _)| &name[..end]);
        for folder in above.collect::<Vec<_>>() {
            let usual = Entry::Folder {
                mode: 0o755,
                owner: 0,
            };
            self.entries.entry(folder.to_owned()).or_insert(usual);
        }
        self.entries
            .insert(name.to_owned(), Entry::File { mode, content });
    }

    fn folder(&mut self, name: &str, mode: u32, owner: u32) {
        self.entries
            .insert(name.to_owned(), Entry::Folder { mode, owner });
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries
            .iter()
            .map(|(name, entry)| (name.as_str(), entry))
    }

    pub(super) fn program_bytes(&self) -> usize {
        match self.entries.get(PROGRAM) {
            Some(Entry::File { content, .. }) => content.len(),
            _ => 0,
        }
    }

    /// As files. Who owns them is for the Dockerfile to say.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        for (name, entry) in self.entries() {
            let path = folder.join(name);
            let mode = match entry {
                Entry::Folder { mode, .. } => {
                    fs::create_dir_all(&path)?;
                    mode
                }
                Entry::File { mode, content } => {
                    fs::write(&path, content)
                        .with_context(|| format!("cannot write {}", path.display()))?;
                    mode
                }
            };
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode))?;
        }
        Ok(())
    }
}

/// Mozilla's, of the version that the lock file names: not whatever this machine has.
fn authorities() -> String {
    let mut text = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = STANDARD.encode(certificate);
        for line in encoded.as_bytes().chunks(PEM_LINE) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_before_what_is_in_them() {
        let mut root = Root::new(Vec::new());
        root.file(Path::new("/lib/x/libc.so.6"), 0o755, vec![1]);
        let names: Vec<&str> = root.entries().map(|(name, _)| name).collect();
        let at = |name: &str| names.iter().position(|known| *known == name).unwrap();
        assert!(at("lib") < at("lib/x") && at("lib/x") < at("lib/x/libc.so.6"));
        assert!(at("etc/ssl/certs") < at(AUTHORITIES));
    }

    #[test]
    fn authorities_are_as_many_as_the_list_has() {
        let text = authorities();
        let count = text.matches("BEGIN CERTIFICATE").count();
        assert_eq!(count, webpki_root_certs::TLS_SERVER_ROOT_CERTS.len());
        assert!(count > 100);
        assert!(text.lines().all(|line| line.len() <= PEM_LINE));
    }

    #[test]
    fn a_folder_has_the_same_files() {
        let folder = tempfile::tempdir().unwrap();
        Root::new(b"program".to_vec()).write(folder.path()).unwrap();
        let mode = |name: &str| {
            fs::metadata(folder.path().join(name))
                .unwrap()
                .permissions()
                .mode()
                & 0o7777
        };
        assert_eq!(fs::read(folder.path().join(PROGRAM)).unwrap(), b"program");
        assert_eq!(
            (mode(PROGRAM), mode("tmp"), mode("data")),
            (0o755, 0o1777, 0o700)
        );
    }
}
