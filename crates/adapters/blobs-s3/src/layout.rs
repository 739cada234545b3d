//! Where things lie in the bucket. The only place where names of objects are made: every one of them from a constant or from
//! the hexadecimal digits of a random name, never from what a user sent.

use riwaq_blobs::{BlobKey, UploadId};
use uuid::Uuid;

/// The bucket:
/// `uploads/ID` the state of an upload, `blobs/KEY.NAME` content, `info/KEY` the description that makes a blob of it,
/// `probe/…` what readiness and the start leave for a moment. No name is the beginning of another with a slash after it, so
/// that servers that keep objects as files work.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    prefix: String,
}

impl Layout {
    pub(crate) fn new(prefix: &str) -> Self {
        let prefix = match prefix.strip_suffix('/').unwrap_or(prefix) {
            "" => String::new(),
            inner => format!("{inner}/"),
        };
        Self { prefix }
    }

    /// What all names begin with.
    pub(crate) fn root(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn uploads(&self) -> String {
        format!("{}uploads/", self.prefix)
    }

    pub(crate) fn upload(&self, id: &UploadId) -> String {
        format!("{}uploads/{id}", self.prefix)
    }

    pub(crate) fn infos(&self) -> String {
        format!("{}info/", self.prefix)
    }

    pub(crate) fn info(&self, key: &BlobKey) -> String {
        format!("{}info/{key}", self.prefix)
    }

    /// What the names of all content begin with.
    pub(crate) fn contents(&self) -> String {
        format!("{}blobs/", self.prefix)
    }

    /// What the names of all that was ever written for a blob begin with.
    pub(crate) fn contents_of(&self, key: &BlobKey) -> String {
        format!("{}blobs/{key}.", self.prefix)
    }

    pub(crate) fn content(&self, key: &BlobKey, name: &str) -> String {
        format!("{}blobs/{key}.{name}", self.prefix)
    }

    pub(crate) fn probe(&self, name: &str) -> String {
        format!("{}probe/{name}", self.prefix)
    }
}

/// A name that nobody else uses: 32 hexadecimal digits.
pub(crate) fn fresh_name() -> String {
    Uuid::new_v4().simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lie_below_the_prefix_and_never_below_each_other() {
        let (id, key) = (UploadId::random(), BlobKey::random());
        for (prefix, root) in [("", ""), ("a", "a/"), ("a/b/", "a/b/")] {
            let layout = Layout::new(prefix);
            assert_eq!(layout.root(), root);
            let names = [
                layout.upload(&id),
                layout.info(&key),
                layout.content(&key, "x"),
                layout.probe("x"),
            ];
            for (n, name) in names.iter().enumerate() {
                assert!(name.starts_with(root));
                let below = format!("{name}/");
                assert!(
                    names
                        .iter()
                        .enumerate()
                        .all(|(m, other)| m == n || !other.starts_with(&below))
                );
            }
            assert!(
                layout
                    .content(&key, "x")
                    .starts_with(&layout.contents_of(&key))
            );
            assert!(layout.upload(&id).starts_with(&layout.uploads()));
            assert!(layout.info(&key).starts_with(&layout.infos()));
        }
        assert_ne!(fresh_name(), fresh_name());
    }
}
