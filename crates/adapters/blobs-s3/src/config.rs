//! How the object storage is reached.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::OpenError;

/// The least size of a part of a multipart upload that is not the last one (S3's rule).
pub const MIN_PART_BYTES: u64 = 5 * 1024 * 1024;

/// The largest part that is allowed here: it is held in memory while it is sent.
pub const MAX_PART_BYTES: u64 = 512 * 1024 * 1024;

/// Where the bucket is, and the limits of talking to it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The server, as `http://host:port` or `https://host`, without a path.
    pub endpoint: String,
    /// The same server as browsers reach it, for links; empty: as `endpoint`. Only links are made with it, nothing
    /// is sent there.
    pub public_endpoint: String,
    /// The region that requests are signed for; most servers take any.
    pub region: String,
    /// The bucket: 3 to 63 lower-case letters, digits, dots and dashes.
    pub bucket: String,
    /// What the names of all objects begin with, so that several installations can share a bucket; empty: nothing.
    pub prefix: String,
    /// The access key.
    pub access_key: String,
    /// Its secret. Not part of what is read and printed: the program keeps its secrets apart.
    #[serde(skip)]
    pub secret_key: String,
    /// Whether the bucket is named in the path (`http://host/bucket`) and not in the host (`http://bucket.host`).
    pub path_style: bool,
    /// Whether to make the bucket where it is missing. Off where an administrator makes it.
    pub create_bucket: bool,
    /// The certificates (PEM) of the authorities that the server's certificate may come from; none: the system's.
    pub ca_file: Option<PathBuf>,
    /// How large a part of an upload is, in bytes: 5 MiB to 512 MiB. One of them is held in memory for each upload that
    /// is running. Uploads that may become so large that 10,000 parts would not do get larger ones.
    pub part_bytes: u64,
    /// How many uploads at once may gather their next part while one is being sent, and so hold a second one in memory.
    /// The others make their people wait meanwhile.
    pub parts_ahead: u32,
    /// The longest wait for a connection.
    pub connect_timeout_ms: u64,
    /// The longest wait for one try of one request, the sending of its body included.
    pub attempt_timeout_ms: u64,
    /// The longest wait for one request with all its tries. With what cleans up after it, an upload fails within 10 s when
    /// the server is away.
    pub operation_timeout_ms: u64,
    /// The same once a request had no answer in that time, until one has an answer again: who comes after should not
    /// wait as long to hear the same.
    pub suspect_timeout_ms: u64,
    /// How long the bytes of a download may fail to come.
    pub read_idle_timeout_ms: u64,
    /// How often one request is tried at most; further tries also come out of a budget that all requests share.
    pub max_attempts: u32,
    /// How long to try, at start, while the server does not answer.
    pub startup_timeout_seconds: u64,
    /// What the server is asked to encrypt objects with: `AES256`, `aws:kms`, or empty for what the bucket says.
    pub server_side_encryption: String,
    /// The key for `aws:kms`; empty: the server's own.
    pub kms_key_id: String,
    /// After how many days the server itself forgets parts of unfinished uploads, by a lifecycle rule on the bucket; must be
    /// longer than any upload may stay unfinished. 0: no rule is made.
    pub abort_unfinished_after_days: u32,
    /// Whether whole downloads are checked against the checksum of what was stored (CRC-32).
    pub verify_reads: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint: "http://127.0.0.1:9000".into(),
            public_endpoint: String::new(),
            region: "us-east-1".into(),
            bucket: "riwaq".into(),
            prefix: String::new(),
            access_key: String::new(),
            secret_key: String::new(),
            path_style: true,
            create_bucket: true,
            ca_file: None,
            part_bytes: MIN_PART_BYTES,
            parts_ahead: 16,
            connect_timeout_ms: 2_000,
            attempt_timeout_ms: 4_000,
            operation_timeout_ms: 7_000,
            suspect_timeout_ms: 1_500,
            read_idle_timeout_ms: 15_000,
            max_attempts: 3,
            startup_timeout_seconds: 60,
            server_side_encryption: String::new(),
            kms_key_id: String::new(),
            abort_unfinished_after_days: 7,
            verify_reads: true,
        }
    }
}

impl Config {
    /// Whether every value is one that can work.
    ///
    /// # Errors
    /// [`OpenError::Config`], naming the field.
    pub fn check(&self) -> Result<(), OpenError> {
        endpoint("endpoint", &self.endpoint)?;
        if !self.public_endpoint.is_empty() {
            endpoint("public_endpoint", &self.public_endpoint)?;
        }
        check(
            "bucket",
            is_bucket(&self.bucket),
            "must be 3 to 63 lower-case letters, digits, dots and dashes, a letter or digit first and last",
        )?;
        check(
            "prefix",
            is_prefix(&self.prefix),
            "must be at most 200 letters, digits, dots, dashes and underscores, with single slashes between",
        )?;
        check("region", !self.region.is_empty(), "must be named")?;
        check("access_key", !self.access_key.is_empty(), "must be given")?;
        check("secret_key", !self.secret_key.is_empty(), "must be given")?;
        check(
            "part_bytes",
            (MIN_PART_BYTES..=MAX_PART_BYTES).contains(&self.part_bytes),
            "must be 5242880 to 536870912",
        )?;
        for (field, value) in [
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("attempt_timeout_ms", self.attempt_timeout_ms),
            ("operation_timeout_ms", self.operation_timeout_ms),
            ("suspect_timeout_ms", self.suspect_timeout_ms),
            ("read_idle_timeout_ms", self.read_idle_timeout_ms),
            ("max_attempts", u64::from(self.max_attempts)),
        ] {
            check(field, value > 0, "must be at least 1")?;
        }
        check(
            "server_side_encryption",
            matches!(
                self.server_side_encryption.as_str(),
                "" | "AES256" | "aws:kms"
            ),
            "must be AES256, aws:kms or empty",
        )?;
        check(
            "kms_key_id",
            self.kms_key_id.is_empty() || self.server_side_encryption == "aws:kms",
            "is for server_side_encryption = \"aws:kms\"",
        )?;
        check(
            "abort_unfinished_after_days",
            i32::try_from(self.abort_unfinished_after_days).is_ok(),
            "must be at most 2147483647",
        )
    }

    /// The size of the parts of an upload that may have `max_bytes`: half of the 10,000 numbers are left for tries that came
    /// to nothing.
    pub(crate) fn part_bytes_for(&self, max_bytes: u64) -> u64 {
        const MIB: u64 = 1024 * 1024;
        let needed = max_bytes.div_ceil(5_000).div_ceil(MIB).saturating_mul(MIB);
        self.part_bytes.max(needed).min(MAX_PART_BYTES)
    }

    pub(crate) fn startup_timeout(&self) -> Duration {
        Duration::from_secs(self.startup_timeout_seconds)
    }

    pub(crate) fn read_idle_timeout(&self) -> Duration {
        Duration::from_millis(self.read_idle_timeout_ms)
    }
}

fn check(field: &'static str, holds: bool, reason: &str) -> Result<(), OpenError> {
    if holds {
        return Ok(());
    }
    Err(OpenError::Config {
        field,
        reason: reason.into(),
    })
}

fn endpoint(field: &'static str, text: &str) -> Result<(), OpenError> {
    let plain = |url: Url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    };
    check(
        field,
        Url::parse(text).is_ok_and(plain),
        "must be http:// or https:// with a host and nothing after its port",
    )
}

fn is_bucket(name: &str) -> bool {
    let edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(|byte| edge(byte) || b".-".contains(byte))
        && bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
        && !name.contains("..")
}

fn is_prefix(prefix: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
    };
    let inner = prefix.strip_suffix('/').unwrap_or(prefix);
    prefix.len() <= 200 && (prefix.is_empty() || inner.split('/').all(plain))
}

/// Without the secret: configurations end up in logs.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("endpoint", &self.endpoint)
            .field("public_endpoint", &self.public_endpoint)
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Config {
        Config {
            access_key: "key".into(),
            secret_key: "very-secret".into(),
            ..Config::default()
        }
    }

    fn refused(change: impl FnOnce(&mut Config)) -> &'static str {
        let mut config = good();
        change(&mut config);
        match config.check() {
            Err(OpenError::Config { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_value_that_cannot_work_is_named() {
        good().check().unwrap();
        for endpoint in [
            "",
            "localhost:9000",
            "ftp://a",
            "http://a/path",
            "http://a?x=1",
            "http://u:p@a",
        ] {
            assert_eq!(refused(|c| c.endpoint = endpoint.into()), "endpoint");
        }
        assert_eq!(
            refused(|c| c.public_endpoint = "s3.example".into()),
            "public_endpoint"
        );
        for bucket in ["", "ab", "Upper", "a..b", "-ab", "a/b", "ab-"] {
            assert_eq!(refused(|c| c.bucket = bucket.into()), "bucket");
        }
        for prefix in ["/", "a//b", "../x", "a/./b", "a b", "/a"] {
            assert_eq!(refused(|c| c.prefix = prefix.into()), "prefix");
        }
        assert_eq!(refused(|c| c.access_key.clear()), "access_key");
        assert_eq!(refused(|c| c.secret_key.clear()), "secret_key");
        assert_eq!(refused(|c| c.part_bytes = MIN_PART_BYTES - 1), "part_bytes");
        assert_eq!(refused(|c| c.part_bytes = MAX_PART_BYTES + 1), "part_bytes");
        assert_eq!(refused(|c| c.max_attempts = 0), "max_attempts");
        assert_eq!(
            refused(|c| c.server_side_encryption = "rot13".into()),
            "server_side_encryption"
        );
        assert_eq!(refused(|c| c.kms_key_id = "mine".into()), "kms_key_id");
    }

    #[test]
    fn the_secret_is_neither_printed_nor_written() {
        assert!(!format!("{:?}", good()).contains("very-secret"));
        let written = serde_json::to_string(&good()).unwrap();
        assert!(!written.contains("very-secret"));
        let read: Config = serde_json::from_str(&written).unwrap();
        assert_eq!(
            read,
            Config {
                secret_key: String::new(),
                ..good()
            }
        );
        assert!(serde_json::from_str::<Config>(r#"{"secret_key":"x"}"#).is_err());
    }

    #[test]
    fn parts_grow_with_what_an_upload_may_become() {
        let config = good();
        assert_eq!(config.part_bytes_for(0), MIN_PART_BYTES);
        assert_eq!(config.part_bytes_for(20 << 30), MIN_PART_BYTES);
        let large = config.part_bytes_for(1 << 40);
        assert!(
            large * 5_000 >= 1 << 40 && large < MAX_PART_BYTES,
            "{large}"
        );
        assert_eq!(config.part_bytes_for(u64::MAX), MAX_PART_BYTES);
    }
}
