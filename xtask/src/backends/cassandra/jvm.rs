//! How the JVM of one node is started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::configuration::Node;
use crate::backends::java;

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

pub(super) fn command(node: &Node<'_>, jars: &Path, heap: &str, jmx: u16) -> Result<Command> {
    let folder = node.folder.display();
    // A single node need not wait for what others say about it.
    let ring_delay_ms = if node.nodes > 1 { 5_000 } else { 1_000 };
    let mut command = Command::new(java::tool("java")?);
    command
        .env("MALLOC_ARENA_MAX", "4")
        .args([&format!("-Xms{heap}"), &format!("-Xmx{heap}")])
        .args(["-Xss512k", "-XX:MaxDirectMemorySize=256m"])
        .args(java::SMALL)
        .args([
            "-Djdk.attach.allowAttachSelf=true",
            "-Dio.netty.tryReflectionSetAccessible=true",
            "-Dcassandra-foreground=yes",
            "-Dcassandra.skip_wait_for_gossip_to_settle=0",
            "-Dcassandra.superuser_setup_delay_ms=500",
            "-Dcassandra.auth_bcrypt_gensalt_log2_rounds=4",
        ])
        .arg(format!("-javaagent:{}", find(jars, "jamm-")?.display()))
        .arg(format!(
            "-Dcassandra.config=file://{folder}/conf/cassandra.yaml"
        ))
        .arg(format!("-Dcassandra.storagedir={folder}"))
        .arg(format!("-Dcassandra.logdir={folder}"))
        .arg(format!(
            "-Dlogback.configurationFile=file://{folder}/conf/logback.xml"
        ))
        .arg(format!("-Dcassandra.triggers_dir={folder}/conf/triggers"))
        .arg(format!("-Dcassandra.jmx.local.port={jmx}"))
        .arg(format!("-Dcassandra.ring_delay_ms={ring_delay_ms}"))
        .arg(format!("-Dcassandra.system_auth.default_rf={}", node.nodes))
        .arg(format!(
            "-Dcassandra.system_distributed.default_rf={}",
            node.nodes
        ));
    for module in EXPORTS {
        command.args(["--add-exports", &format!("{module}=ALL-UNNAMED")]);
    }
    for module in OPENS {
        command.args(["--add-opens", &format!("{module}=ALL-UNNAMED")]);
    }
    command
        .arg("-cp")
        .arg(format!("{folder}/conf:{}/*", jars.display()))
        .arg("org.apache.cassandra.service.CassandraDaemon");
    Ok(command)
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
