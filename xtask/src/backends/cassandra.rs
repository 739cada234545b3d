//! Apache Cassandra, one node, from Maven Central's jars.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{java, server::Server};
use crate::{paths, process};

const VERSION: &str = "5.0.9";
const HEAP: &str = "640m";
/// Not Cassandra's own port, so that a developer's own node is left alone. `RIWAQ_TEST_CASSANDRA_PORT`
/// names another, for two checkouts on one machine.
const CQL_PORT: u16 = 19042;
/// The other ports lie so far below it.
const STORAGE_BELOW: u16 = 2042;
const JMX_BELOW: u16 = 1843;
const START: Duration = Duration::from_secs(240);

/// Modules that Cassandra opens on JDK 17 (its `jvm17-server.options`).
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

/// One node of Cassandra on loopback.
pub(crate) struct Cassandra {
    cql_port: u16,
    jars: PathBuf,
    server: Server,
}

impl Cassandra {
    pub(crate) fn new() -> Self {
        let base = paths::cache().join(format!("backends/cassandra-{VERSION}"));
        let port = paths::variable("RIWAQ_TEST_CASSANDRA_PORT").and_then(|port| port.parse().ok());
        Self {
            cql_port: port.unwrap_or(CQL_PORT).max(STORAGE_BELOW + 1024),
            jars: base.join("lib"),
            server: Server::new(base.join("node1")),
        }
    }

    /// The contact point that tests are given.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.cql_port)
    }

    pub(crate) fn describe(&self) -> String {
        match self.server.pid() {
            Some(pid) => format!("cassandra {VERSION} at {} (pid {pid})", self.address()),
            None => format!("cassandra {VERSION} is not running"),
        }
    }

    pub(crate) fn up(&self) -> Result<()> {
        self.install()?;
        if self.server.pid().is_none() {
            // Tests leave keyspaces behind; each start is on an empty node.
            let _ = fs::remove_dir_all(self.server.folder());
            self.write_configuration()?;
            self.server.start(&mut self.command()?)?;
        }
        self.server
            .wait(START, || self.ready())
            .context("cassandra did not start")
    }

    pub(crate) fn down(&self) -> Result<()> {
        self.server.stop()
    }

    fn install(&self) -> Result<()> {
        let done = self.jars.join(".done");
        if done.exists() {
            return Ok(());
        }
        let base = self.jars.parent().unwrap_or(&self.jars);
        fs::create_dir_all(base)?;
        let pom = base.join("pom.xml");
        fs::write(&pom, POM.replace("@VERSION@", VERSION))?;
        process::run(
            Command::new("mvn")
                .args(["-B", "-q", "-f"])
                .arg(&pom)
                .arg("org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies")
                .arg("-DincludeScope=runtime")
                .arg(format!("-DoutputDirectory={}", self.jars.display())),
        )
        .context("Maven is needed for the tests (Debian: maven)")?;
        for jar in fs::read_dir(&self.jars)? {
            let path = jar?.path();
            let name = path.to_string_lossy().into_owned();
            // Native libraries of other systems: half of the size.
            if name.contains("-osx-") || name.contains("-windows-") {
                fs::remove_file(path)?;
            }
        }
        fs::write(done, "")?;
        Ok(())
    }

    fn write_configuration(&self) -> Result<()> {
        let folder = self.server.folder();
        fs::create_dir_all(folder.join("conf/triggers"))?;
        let yaml = YAML
            .replace("@FOLDER@", &folder.display().to_string())
            .replace("@CQL_PORT@", &self.cql_port.to_string())
            .replace(
                "@STORAGE_PORT@",
                &(self.cql_port - STORAGE_BELOW).to_string(),
            );
        fs::write(folder.join("conf/cassandra.yaml"), yaml)?;
        fs::write(folder.join("conf/logback.xml"), LOGBACK)?;
        Ok(())
    }

    fn command(&self) -> Result<Command> {
        let folder = self.server.folder();
        let mut command = Command::new(java::jdk17()?);
        command
            .env("MALLOC_ARENA_MAX", "4")
            .args([&format!("-Xms{HEAP}"), &format!("-Xmx{HEAP}")])
            .args([
                "-Xss512k",
                "-XX:MaxDirectMemorySize=256m",
                "-XX:+UseSerialGC",
            ])
            .args([
                "-XX:TieredStopAtLevel=1",
                "-XX:-UsePerfData",
                "-XX:+ExitOnOutOfMemoryError",
            ])
            .args([
                "-Djava.net.preferIPv4Stack=true",
                "-Djdk.attach.allowAttachSelf=true",
            ])
            .args([
                "-Dio.netty.tryReflectionSetAccessible=true",
                "-Dcassandra-foreground=yes",
            ])
            .arg(format!(
                "-javaagent:{}",
                find(&self.jars, "jamm-")?.display()
            ))
            .arg(format!(
                "-Dcassandra.config=file://{}/conf/cassandra.yaml",
                folder.display()
            ))
            .arg(format!("-Dcassandra.storagedir={}", folder.display()))
            .arg(format!("-Dcassandra.logdir={}", folder.display()))
            .arg(format!(
                "-Dlogback.configurationFile=file://{}/conf/logback.xml",
                folder.display()
            ))
            .arg(format!(
                "-Dcassandra.triggers_dir={}/conf/triggers",
                folder.display()
            ))
            .arg(format!(
                "-Dcassandra.jmx.local.port={}",
                self.cql_port - JMX_BELOW
            ))
            .args([
                "-Dcassandra.ring_delay_ms=1000",
                "-Dcassandra.skip_wait_for_gossip_to_settle=0",
            ])
            .args(["-Dcassandra.superuser_setup_delay_ms=200"])
            .args(["-Dcassandra.auth_bcrypt_gensalt_log2_rounds=4"]);
        for module in EXPORTS {
            command.args(["--add-exports", &format!("{module}=ALL-UNNAMED")]);
        }
        for module in OPENS {
            command.args(["--add-opens", &format!("{module}=ALL-UNNAMED")]);
        }
        command
            .arg("-cp")
            .arg(format!(
                "{}/conf:{}/*",
                folder.display(),
                self.jars.display()
            ))
            .arg("org.apache.cassandra.service.CassandraDaemon");
        Ok(command)
    }

    /// The default role is made in the background, after the port is open.
    fn ready(&self) -> bool {
        let marker = self.server.folder().join("superuser-made");
        let log = fs::read_to_string(self.server.folder().join("system.log")).unwrap_or_default();
        if log.contains("Created default superuser role") {
            let _ = fs::write(&marker, "");
        }
        let address = SocketAddr::from(([127, 0, 0, 1], self.cql_port));
        marker.exists() && TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
    }
}

fn find(folder: &Path, prefix: &str) -> Result<PathBuf> {
    fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(prefix))
        })
        .with_context(|| format!("no {prefix}* in {}", folder.display()))
}

const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>riwaq</groupId><artifactId>cassandra-for-tests</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.cassandra</groupId><artifactId>cassandra-all</artifactId><version>@VERSION@</version></dependency>
  </dependencies>
</project>
"#;

/// Small, and patient: a busy machine must not fail a test by Cassandra's own two seconds.
const YAML: &str = r#"cluster_name: riwaq-tests
num_tokens: 1
initial_token: "-9223372036854775808"
auto_bootstrap: false
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
authenticator: PasswordAuthenticator
authorizer: CassandraAuthorizer
role_manager: CassandraRoleManager
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{seeds: "127.0.0.1:@STORAGE_PORT@"}]
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
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
