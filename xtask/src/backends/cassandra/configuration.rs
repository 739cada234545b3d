//! The configuration files of one node.

use std::fs;
use std::path::Path;

use anyhow::Result;

/// What differs between nodes.
pub(super) struct Node<'a> {
    pub(super) cluster: &'a str,
    pub(super) host: String,
    /// Counted from zero; the first is the seed.
    pub(super) index: usize,
    pub(super) nodes: usize,
    pub(super) cql: u16,
    pub(super) storage: u16,
    pub(super) folder: &'a Path,
    /// Key and certificate in one PEM file.
    pub(super) certificate: &'a Path,
}

impl Node<'_> {
    /// Writes the files; the log of an earlier run goes.
    pub(super) fn write(&self) -> Result<()> {
        let conf = self.folder.join("conf");
        fs::create_dir_all(conf.join("triggers"))?;
        fs::write(conf.join("cassandra.yaml"), self.yaml())?;
        fs::write(conf.join("logback.xml"), LOGBACK)?;
        let log = self.folder.join("system.log");
        if log.exists() {
            fs::remove_file(log)?;
        }
        Ok(())
    }

    fn yaml(&self) -> String {
        YAML.replace("@CLUSTER@", self.cluster)
            .replace("@TOKEN@", &token(self.index, self.nodes).to_string())
            .replace("@HOST@", &self.host)
            .replace("@FOLDER@", &self.folder.display().to_string())
            .replace("@CQL_PORT@", &self.cql.to_string())
            .replace("@STORAGE_PORT@", &self.storage.to_string())
            .replace("@CERTIFICATE@", &self.certificate.display().to_string())
    }
}

/// Evenly spaced and fixed: nodes start side by side and move no data.
fn token(index: usize, nodes: usize) -> i128 {
    let ring = 1_i128 << 64;
    // Both are three at most.
    let (index, nodes) = (index as i128, nodes.max(1) as i128);
    i128::from(i64::MIN) + index * (ring / nodes)
}

/// Small, and patient: a busy machine must not fail a test by Cassandra's own two seconds. TLS is
/// offered beside clear text on the same port.
const YAML: &str = r#"cluster_name: riwaq-@CLUSTER@
num_tokens: 1
initial_token: "@TOKEN@"
auto_bootstrap: false
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
authenticator: PasswordAuthenticator
authorizer: CassandraAuthorizer
role_manager: CassandraRoleManager
auth_read_consistency_level: ONE
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{seeds: "127.0.0.1:@STORAGE_PORT@"}]
listen_address: @HOST@
rpc_address: @HOST@
storage_port: @STORAGE_PORT@
native_transport_port: @CQL_PORT@
client_encryption_options:
  enabled: true
  optional: true
  require_client_auth: false
  ssl_context_factory:
    class_name: org.apache.cassandra.security.PEMBasedSslContextFactory
  keystore: @CERTIFICATE@
data_file_directories: ["@FOLDER@/data"]
commitlog_directory: @FOLDER@/commitlog
saved_caches_directory: @FOLDER@/saved_caches
hints_directory: @FOLDER@/hints
cdc_raw_directory: @FOLDER@/cdc_raw
commitlog_sync: periodic
commitlog_sync_period: 10s
commitlog_segment_size: 8MiB
commitlog_total_space: 64MiB
memtable_heap_space: 64MiB
memtable_offheap_space: 64MiB
file_cache_enabled: false
networking_cache_size: 16MiB
key_cache_size: 8MiB
concurrent_reads: 8
concurrent_writes: 8
concurrent_compactors: 1
auto_snapshot: false
read_request_timeout: 15s
range_request_timeout: 20s
write_request_timeout: 15s
cas_contention_timeout: 5s
truncate_request_timeout: 60s
request_timeout: 20s
native_transport_timeout: 20s
disk_access_mode: mmap_index_only
storage_compatibility_mode: NONE
"#;

const LOGBACK: &str = r#"<configuration>
  <appender name="F" class="ch.qos.logback.core.FileAppender">
    <file>${cassandra.logdir}/system.log</file>
    <encoder><pattern>%-5level [%thread] %date{ISO8601} %F:%L - %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="F"/></root>
</configuration>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_part_the_ring_evenly() {
        assert_eq!(token(0, 1), i128::from(i64::MIN));
        let tokens: Vec<i128> = (0..3).map(|index| token(index, 3)).collect();
        assert_eq!(tokens[1] - tokens[0], tokens[2] - tokens[1]);
        assert!(tokens[2] < i128::from(i64::MAX));
    }

    #[test]
    fn no_placeholder_stays_in_the_configuration() {
        let node = Node {
            cluster: "cassandra",
            host: "127.0.0.2".into(),
            index: 1,
            nodes: 3,
            cql: 19_052,
            storage: 19_053,
            folder: Path::new("/data"),
            certificate: Path::new("/tls/server.pem"),
        };
        let yaml = node.yaml();
        assert!(!yaml.contains('@'), "{yaml}");
        assert!(yaml.contains("rpc_address: 127.0.0.2\n"));
    }
}
