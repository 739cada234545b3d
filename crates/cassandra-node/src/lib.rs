//! One Cassandra node for tests: its files, and how its JVM is started.
//!
//! Owns what is the same for every node that this repository starts: `cargo xtask backends` has some that all tests
//! share, the test-kit has clusters that a test may kill nodes of. Must not know who starts a node, where Cassandra
//! comes from, or what is asked of it. Small: three of them stand on one machine beside what is tested.
#![warn(missing_docs)]

use std::fs;
use std::io::{Error, Result};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

const YAML: &str = include_str!("cassandra.yaml");
const LOGBACK: &str = include_str!("logback.xml");

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
/// The same for every node, but for its heap.
const FLAGS: &[&str] = &[
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
    "-Dcassandra.superuser_setup_delay_ms=500",
    "-Dcassandra.auth_bcrypt_gensalt_log2_rounds=4",
    // What a node finds out at each start, for four of its nine seconds.
    "-Dcassandra.memtable.row_overhead_size=180",
    // The clock by which it measures waiting: each node otherwise wakes 500 times a second for it, at rest too.
    "-Dcassandra.approximate_time_precision_ms=20",
];

/// By how many nanoseconds its threads may wake late. Those that wait for work look for it every 10 microseconds, with 50 of
/// the kernel's usual slack: at the few requests a second of a test that was two fifths of all that a node did.
const TIMER_SLACK: u32 = 1_000_000;

/// One node of a cluster on this machine, in which each holds as large a part of the ring as the others.
#[derive(Debug)]
pub struct Node<'a> {
    /// The cluster's name: a node of another does not join.
    pub cluster: &'a str,
    /// Counted from zero; the first is the seed, and without it the others end.
    pub index: usize,
    /// How many nodes the cluster has.
    pub nodes: usize,
    /// Where clients ask, on [`address`]; the same number on every node.
    pub cql: u16,
    /// Where nodes talk to each other; the same number on every node.
    pub storage: u16,
    /// Where the JVM is managed, on 127.0.0.1: a number of the node's own.
    pub jmx: u16,
    /// Its heap, as the JVM wants to read it: `448m`.
    pub heap: &'a str,
    /// What is the node's alone: configuration, data, `system.log`.
    pub folder: &'a Path,
    /// The folder of Cassandra's jars.
    pub jars: &'a Path,
    /// More lines of `cassandra.yaml`. What they do not name is as Cassandra comes, but for sizes.
    pub settings: &'a str,
}

/// Where the node of this index listens: 127.0.0.1 and the addresses after it.
#[must_use]
pub fn address(index: usize) -> Ipv4Addr {
    let last = u8::try_from(index + 1).unwrap_or(u8::MAX);
    Ipv4Addr::new(127, 0, 0, last)
}

impl Node<'_> {
    /// Writes its configuration; the log of an earlier run goes, its data stays.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn write(&self) -> Result<()> {
        let conf = self.folder.join("conf");
        fs::create_dir_all(conf.join("triggers"))?;
        fs::write(conf.join("cassandra.yaml"), self.yaml())?;
        fs::write(conf.join("logback.xml"), LOGBACK)?;
        fs::write(self.folder.join("system.log"), "")
    }

    fn yaml(&self) -> String {
        let yaml = YAML
            .replace("@CLUSTER@", self.cluster)
            .replace("@TOKEN@", &token(self.index, self.nodes).to_string())
            .replace("@HOST@", &address(self.index).to_string())
            .replace("@FOLDER@", &self.folder.display().to_string())
            .replace("@CQL_PORT@", &self.cql.to_string())
            .replace("@STORAGE_PORT@", &self.storage.to_string());
        format!("{yaml}{}", self.settings)
    }

    /// What starts it, once its configuration is written. `java` is of a JDK 17.
    ///
    /// # Errors
    /// When there are no jars of Cassandra in the folder.
    pub fn command(&self, java: &Path) -> Result<Command> {
        let (folder, nodes) = (self.folder.display(), self.nodes);
        // A single node need not wait for what others say about it.
        let ring_delay_ms = if nodes > 1 { 5_000 } else { 1_000 };
        // Kept across `exec`, and taken over by every thread.
        let slack = format!("{{ echo {TIMER_SLACK} >/proc/self/timerslack_ns; }} 2>/dev/null");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{slack}; exec \"$0\" \"$@\"")]);
        command.arg(java).env("MALLOC_ARENA_MAX", "4");
        command.args([format!("-Xms{}", self.heap), format!("-Xmx{}", self.heap)]);
        command.args(FLAGS);
        for (flag, modules) in [("--add-exports", EXPORTS), ("--add-opens", OPENS)] {
            for module in modules {
                command.args([flag, &format!("{module}=ALL-UNNAMED")]);
            }
        }
        command.args([
            format!("-javaagent:{}", self.jamm()?.display()),
            format!("-Dcassandra.config=file://{folder}/conf/cassandra.yaml"),
            format!("-Dcassandra.storagedir={folder}"),
            format!("-Dcassandra.logdir={folder}"),
            format!("-Dlogback.configurationFile=file://{folder}/conf/logback.xml"),
            format!("-Dcassandra.triggers_dir={folder}/conf/triggers"),
            format!("-Dcassandra.jmx.local.port={}", self.jmx),
            format!("-Dcassandra.ring_delay_ms={ring_delay_ms}"),
            format!("-Dcassandra.system_auth.default_rf={nodes}"),
            format!("-Dcassandra.system_distributed.default_rf={nodes}"),
            "-cp".to_owned(),
            format!("{folder}/conf:{}/*", self.jars.display()),
            "org.apache.cassandra.service.CassandraDaemon".to_owned(),
        ]);
        Ok(command)
    }

    /// The agent that measures objects, without which Cassandra does not start.
    fn jamm(&self) -> Result<PathBuf> {
        let jars = self.jars.display();
        let failed = |cause: String| Error::other(format!("{jars}: {cause}"));
        fs::read_dir(self.jars)
            .map_err(|error| failed(error.to_string()))?
            .flatten()
            .find(|jar| jar.file_name().to_string_lossy().starts_with("jamm-"))
            .map(|jar| jar.path())
            .ok_or_else(|| failed("no jamm-*.jar".to_owned()))
    }
}

/// Evenly spaced and fixed: nodes start side by side and move no data.
fn token(index: usize, nodes: usize) -> i128 {
    let ring = 1_i128 << 64;
    // Both are small.
    let (index, nodes) = (index as i128, nodes.max(1) as i128);
    i128::from(i64::MIN) + index * (ring / nodes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn second<'a>(folder: &'a Path, jars: &'a Path) -> Node<'a> {
        Node {
            cluster: "test",
            index: 1,
            nodes: 3,
            cql: 19_052,
            storage: 19_053,
            jmx: 19_055,
            heap: "448m",
            folder,
            jars,
            settings: "request_timeout: 20s\n",
        }
    }

    #[test]
    fn nothing_stays_to_be_filled_in() {
        let folder = tempfile::tempdir().unwrap();
        second(folder.path(), folder.path()).write().unwrap();
        let yaml = fs::read_to_string(folder.path().join("conf/cassandra.yaml")).unwrap();
        assert!(!yaml.contains('@'), "{yaml}");
        assert!(yaml.contains("\nrpc_address: 127.0.0.2\n"), "{yaml}");
        assert!(yaml.ends_with("\nrequest_timeout: 20s\n"), "{yaml}");
    }

    #[test]
    fn the_jars_are_named_where_they_are_missing() {
        let folder = tempfile::tempdir().unwrap();
        let node = second(folder.path(), folder.path());
        let error = node.command(Path::new("java")).unwrap_err().to_string();
        assert!(error.contains("no jamm-*.jar"), "{error}");
        fs::write(folder.path().join("jamm-0.4.0.jar"), "").unwrap();
        let command = node.command(Path::new("java")).unwrap();
        let arguments: Vec<_> = command
            .get_args()
            .map(|text| text.to_string_lossy())
            .collect();
        assert!(
            arguments
                .iter()
                .any(|text| text.ends_with("jamm-0.4.0.jar"))
        );
        assert!(arguments.contains(&"-Dcassandra.ring_delay_ms=5000".into()));
    }

    #[test]
    fn its_threads_may_wake_late() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("jamm-0.4.0.jar"), "").unwrap();
        let java = folder.path().join("java");
        fs::write(&java, "#!/bin/sh\ncat /proc/self/timerslack_ns; echo $1").unwrap();
        fs::set_permissions(&java, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = second(folder.path(), folder.path()).command(&java).unwrap();
        let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert_eq!(said, format!("{TIMER_SLACK}\n-Xms448m\n"));
    }

    #[test]
    fn tokens_part_the_ring_evenly() {
        assert_eq!(token(0, 1), i128::from(i64::MIN));
        let tokens: Vec<_> = (0..3).map(|index| token(index, 3)).collect();
        assert_eq!(tokens[1] - tokens[0], tokens[2] - tokens[1]);
        assert!(tokens[2] < i128::from(i64::MAX));
    }
}
