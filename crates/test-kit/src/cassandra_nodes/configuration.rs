//! The files and the command line of one node.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, Result};

/// Modules that Cassandra uses on JDK 17 beyond what they export (its own `jvm17-server.options` names them).
const EXPORTS: &[&str] = &[
    "java.base/jdk.internal.misc",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "java.base/java.lang.ref",
    "jdk.unsupported/sun.misc",
    "jdk.compiler/com.sun.tools.javac.file",
    "jdk.attach/sun.tools.attach",
];
const OPENS: &[&str] = &[
    "java.base/java.lang.module",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.util.jar",
    "jdk.management/com.sun.management.internal",
    "java.base/sun.nio.ch",
    "java.base/java.io",
    "java.base/java.lang.reflect",
    "jdk.compiler/com.sun.tools.javac",
    "java.base/java.lang",
    "java.base/java.util",
];
/// Small: three of them stand beside the program and the load on one machine.
const JVM: &[&str] = &[
    "-Xms448m",
    "-Xmx448m",
    "-Xss512k",
    "-XX:MaxDirectMemorySize=256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.net.preferIPv4Stack=true",
    "-Djdk.attach.allowAttachSelf=true",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dcassandra-foreground=yes",
    "-Dcassandra.skip_wait_for_gossip_to_settle=0",
    "-Dcassandra.ring_delay_ms=5000",
    "-Dcassandra.superuser_setup_delay_ms=500",
    "-Dcassandra.auth_bcrypt_gensalt_log2_rounds=4",
];

/// One node.
pub(super) struct Node<'a> {
    pub(super) address: Ipv4Addr,
    /// Counted from zero; the first is the seed.
    pub(super) index: usize,
    pub(super) nodes: usize,
    pub(super) cql: u16,
    pub(super) storage: u16,
    pub(super) jmx: u16,
    pub(super) folder: &'a Path,
}

impl Node<'_> {
    /// Writes the files; the log of an earlier run goes.
    pub(super) fn write(&self) -> Result<()> {
        let conf = self.folder.join("conf");
        fs::create_dir_all(conf.join("triggers"))?;
        let yaml = YAML
            .replace("@TOKEN@", &token(self.index, self.nodes).to_string())
            .replace("@HOST@", &self.address.to_string())
            .replace("@FOLDER@", &self.folder.display().to_string())
            .replace("@CQL_PORT@", &self.cql.to_string())
            .replace("@STORAGE_PORT@", &self.storage.to_string());
        fs::write(conf.join("cassandra.yaml"), yaml)?;
        fs::write(conf.join("logback.xml"), LOGBACK)?;
        fs::write(self.folder.join("system.log"), "")?;
        Ok(())
    }

    /// What `java` is given; `home` holds the jars in `lib`.
    pub(super) fn arguments(&self, home: &Path) -> Result<Vec<String>> {
        let (folder, lib) = (self.folder.display(), home.join("lib"));
        let jamm = fs::read_dir(&lib)
            .with_context(|| format!("no jars of Cassandra in {}", lib.display()))?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.to_string_lossy().contains("/jamm-"))
            .with_context(|| format!("no jamm-*.jar in {}", lib.display()))?;
        let mut arguments: Vec<String> = JVM.iter().map(|flag| (*flag).to_owned()).collect();
        for (flag, modules) in [("--add-exports", EXPORTS), ("--add-opens", OPENS)] {
            for module in modules {
                arguments.extend([flag.to_owned(), format!("{module}=ALL-UNNAMED")]);
            }
        }
        arguments.extend([
            format!("-javaagent:{}", jamm.display()),
            format!("-Dcassandra.config=file://{folder}/conf/cassandra.yaml"),
            format!("-Dcassandra.storagedir={folder}"),
            format!("-Dcassandra.logdir={folder}"),
            format!("-Dlogback.configurationFile=file://{folder}/conf/logback.xml"),
            format!("-Dcassandra.triggers_dir={folder}/conf/triggers"),
            format!("-Dcassandra.jmx.local.port={}", self.jmx),
            format!("-Dcassandra.system_auth.default_rf={}", self.nodes),
            format!("-Dcassandra.system_distributed.default_rf={}", self.nodes),
            "-cp".to_owned(),
            format!("{folder}/conf:{}/*", lib.display()),
            "org.apache.cassandra.service.CassandraDaemon".to_owned(),
        ]);
        Ok(arguments)
    }
}

/// Evenly spaced and fixed: nodes start side by side and move no data.
fn token(index: usize, nodes: usize) -> i128 {
    let ring = 1_i128 << 64;
    // Both are small.
    let (index, nodes) = (index as i128, nodes.max(1) as i128);
    i128::from(i64::MIN) + index * (ring / nodes)
}

/// Time-outs, consistency of the roles' tables and caches are as Cassandra comes.
const YAML: &str = r#"cluster_name: riwaq-faults
num_tokens: 1
initial_token: "@TOKEN@"
auto_bootstrap: false
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
authenticator: PasswordAuthenticator
authorizer: CassandraAuthorizer
role_manager: CassandraRoleManager
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{seeds: "127.0.0.1:@STORAGE_PORT@"}]
listen_address: @HOST@
rpc_address: @HOST@
storage_port: @STORAGE_PORT@
native_transport_port: @CQL_PORT@
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
    fn nothing_stays_to_be_filled_in() {
        let folder = tempfile::tempdir().unwrap();
        let node = Node {
            address: Ipv4Addr::new(127, 0, 0, 2),
            index: 1,
            nodes: 3,
            cql: 4,
            storage: 5,
            jmx: 6,
            folder: folder.path(),
        };
        node.write().unwrap();
        let yaml = fs::read_to_string(folder.path().join("conf/cassandra.yaml")).unwrap();
        assert!(!yaml.contains('@'), "{yaml}");
        assert!(yaml.contains("rpc_address: 127.0.0.2\n"), "{yaml}");
    }

    #[test]
    fn tokens_part_the_ring_evenly() {
        let tokens: Vec<_> = (0..3).map(|index| token(index, 3)).collect();
        assert_eq!(tokens[0], i128::from(i64::MIN));
        assert_eq!(tokens[1] - tokens[0], tokens[2] - tokens[1]);
        assert!(tokens[2] < i128::from(i64::MAX));
    }
}
