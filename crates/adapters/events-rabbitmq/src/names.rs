//! What exchange and queues are called.
//!
//! A colon parts what the names are made of, because neither groups nor replicas may have one.
//! Whatever a queue's arguments depend on is part of its name: RabbitMQ refuses to declare a queue
//! again with other arguments.

use sha2::{Digest, Sha256};

/// Types of at most this many plain characters are legible in names; others are hashed.
const MAX_PLAIN_BYTES: usize = 100;
const HASHED: &str = "sha256-";

/// The names of one installation.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// The exchange that everything is published to.
    pub(crate) fn exchange(&self) -> String {
        format!("{}:events", self.prefix)
    }

    /// The events of one type that a group has not handled.
    pub(crate) fn work(&self, group: &str, kind: &str) -> String {
        format!("{}:group:{group}:{}", self.prefix, key(kind))
    }

    /// Where they wait so many seconds after a failure.
    pub(crate) fn delay(&self, group: &str, kind: &str, seconds: u64) -> String {
        format!("{}:delay:{group}:{}:{seconds}s", self.prefix, key(kind))
    }

    /// What a group has given up.
    pub(crate) fn dead(&self, group: &str) -> String {
        format!("{}:dead:{group}", self.prefix)
    }

    /// Held by whoever works on a group's dead letters.
    pub(crate) fn lock(&self, group: &str) -> String {
        format!("{}:lock:{group}", self.prefix)
    }

    /// Held by whoever makes queues; no group has an empty name.
    pub(crate) fn declaring(&self) -> String {
        self.lock("")
    }

    /// There once the broker has written down what a group has for a type.
    pub(crate) fn settled(&self, group: &str, kind: &str) -> String {
        format!("{}:settled:{group}:{}", self.prefix, key(kind))
    }

    /// What a replica has not heard yet. `unique`: two may bear the same name.
    pub(crate) fn replica(&self, replica: &str, unique: uuid::Uuid) -> String {
        format!("{}:replica:{replica}:{}", self.prefix, unique.simple())
    }

    /// A queue that is never declared.
    pub(crate) fn ping(&self) -> String {
        format!("{}:ping", self.prefix)
    }

    /// Messages that are no events: somebody else put them into our queues.
    pub(crate) fn unreadable(&self) -> String {
        format!("{}:unreadable", self.prefix)
    }
}

/// The routing key of a type, and its part in names: exact, never a pattern, at most 100 bytes.
pub(crate) fn key(kind: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if kind.len() <= MAX_PLAIN_BYTES && kind.bytes().all(plain) && !kind.starts_with(HASHED) {
        kind.to_owned()
    } else {
        format!("{HASHED}{}", hex::encode(Sha256::digest(kind.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_things_share_a_name() {
        let names = Names::new("riwaq");
        assert_ne!(names.work("a.b", "c"), names.work("a", "b.c"));
        assert_ne!(key("sha256-x"), "sha256-x");
        assert_ne!(key("a*"), key("a#"));
        assert_eq!(
            key("riwaq.courses.course.changed"),
            "riwaq.courses.course.changed"
        );
    }

    #[test]
    fn every_name_fits_into_255_bytes() {
        let names = Names::new(&"p".repeat(30));
        let (group, kind) = ("g".repeat(100), "k".repeat(100));
        assert!(names.delay(&group, &kind, 604_800).len() <= 255);
        assert!(names.replica(&group, uuid::Uuid::max()).len() <= 255);
        assert!(key(&"é".repeat(500)).len() <= MAX_PLAIN_BYTES);
    }
}
