//! A Cassandra cluster of a test's own, whose nodes it may kill.
//!
//! The shared one of `cargo xtask backends` must stay whole. Its jars are used: `RIWAQ_TEST_CASSANDRA_HOME` names the
//! folder that holds `lib/`.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use riwaq_cassandra_node::{Node, address};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::backends::{Backend, cassandra_home, variable};
use crate::ports::ReservedPort;
use crate::process::{Process, log_end};

/// A start of one node on a busy machine.
const START: Duration = Duration::from_secs(240);
const PAUSE: Duration = Duration::from_millis(100);
/// What the first node says once the role `cassandra` can sign in.
const ROLE_MADE: &str = "Created default superuser role";
/// What a node says when it serves clients.
const LISTENS: &str = "Starting listening for CQL clients";
/// What docs/operations/cassandra.md tells an operator to set, and no more.
const AS_TOLD: &str = "\
commitlog_sync: batch
roles_validity: 60s
roles_update_interval: 2s
roles_cache_active_update: true
permissions_validity: 60s
permissions_update_interval: 2s
permissions_cache_active_update: true
credentials_validity: 60s
credentials_update_interval: 2s
credentials_cache_active_update: true
";
/// What Cassandra comes with, where that may not be left out.
const AS_THEY_COME: &str = "\
commitlog_sync: periodic
commitlog_sync_period: 10s
";

/// Nodes on 127.0.0.1 and the addresses after it; each holds as large a part of the ring as the others. They ask for a
/// sign-in, and are set as Cassandra is when it comes and its operator is told to set it, but for their size. Killed when
/// dropped.
#[derive(Debug)]
pub struct CassandraNodes {
    /// Dropped before the folder that they write to.
    nodes: Vec<Option<Process>>,
    settings: &'static str,
    folder: TempDir,
    home: PathBuf,
    java: PathBuf,
    cql: ReservedPort,
    storage: ReservedPort,
    jmx: Vec<ReservedPort>,
}

impl CassandraNodes {
    /// Starts so many nodes, and waits until the role `cassandra` (password `cassandra`) can sign in. None where no
    /// Cassandra is installed (`NOT RUN` was printed).
    ///
    /// # Errors
    /// When a node ends or is not ready in time; the error holds the end of its log.
    ///
    /// # Panics
    /// When none is installed although `RIWAQ_TEST_REQUIRED` names `cassandra-nodes`.
    pub async fn start(nodes: usize) -> Result<Option<Self>> {
        Self::start_with(nodes, AS_TOLD).await
    }

    /// The same, set as Cassandra comes.
    ///
    /// # Errors
    /// As for [`Self::start`].
    ///
    /// # Panics
    /// As for [`Self::start`].
    pub async fn start_as_they_come(nodes: usize) -> Result<Option<Self>> {
        Self::start_with(nodes, AS_THEY_COME).await
    }

    async fn start_with(nodes: usize, settings: &'static str) -> Result<Option<Self>> {
        let Backend::Ready(home) = cassandra_home() else {
            return Ok(None);
        };
        let addresses: Vec<_> = (0..nodes).map(address).collect();
        let mut cluster = Self {
            nodes: (0..nodes).map(|_| None).collect(),
            settings,
            folder: TempDir::with_prefix("riwaq-cassandra-")?,
            home: home.into(),
            java: java()?,
            cql: ReservedPort::on_all(&addresses)?,
            storage: ReservedPort::on_all(&addresses)?,
            jmx: (0..nodes)
                .map(|_| ReservedPort::new())
                .collect::<Result<_>>()?,
        };
        // Another node than the seed ends when it finds no seed.
        cluster.launch(0)?;
        cluster.wait(0).await?;
        for index in 1..nodes {
            cluster.launch(index)?;
        }
        for index in 1..nodes {
            cluster.wait(index).await?;
        }
        cluster.wait_for_role().await?;
        Ok(Some(cluster))
    }

    /// Where each node answers, as `host:port` with commas between.
    #[must_use]
    pub fn contact_points(&self) -> String {
        let points = (0..self.nodes.len()).map(|index| self.address(index).to_string());
        points.collect::<Vec<_>>().join(",")
    }

    /// kill -9 of one node.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self, index: usize) -> Result<()> {
        self.nodes[index]
            .take()
            .with_context(|| format!("node {index} does not run"))?
            .kill()
    }

    /// Starts a node that was killed on its data; it serves once [`Self::wait`] returns.
    ///
    /// # Errors
    /// When it runs already or cannot be started.
    pub fn launch(&mut self, index: usize) -> Result<()> {
        ensure!(self.nodes[index].is_none(), "node {index} runs");
        let folder = self.node_folder(index);
        let node = Node {
            cluster: "faults",
            index,
            nodes: self.nodes.len(),
            cql: self.cql.port(),
            storage: self.storage.port(),
            jmx: self.jmx[index].port(),
            heap: "448m",
            folder: &folder,
            jars: &self.home.join("lib"),
            settings: self.settings,
        };
        node.write()?;
        let command = node.command(&self.java)?;
        self.nodes[index] = Some(Process::start(command, &folder.join("output.log"))?);
        Ok(())
    }

    /// Waits until a node serves clients; gives the time that it took from now.
    ///
    /// # Errors
    /// When it ends or takes too long; the error holds the end of its log.
    pub async fn wait(&mut self, index: usize) -> Result<Duration> {
        let began = Instant::now();
        loop {
            let log = self.log(index);
            if log.contains(LISTENS) && TcpStream::connect(self.address(index)).await.is_ok() {
                return Ok(began.elapsed());
            }
            self.is_well(index, began)?;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn wait_for_role(&mut self) -> Result<()> {
        let began = Instant::now();
        while !(0..self.nodes.len()).any(|index| self.log(index).contains(ROLE_MADE)) {
            self.is_well(0, began)?;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    fn is_well(&mut self, index: usize, since: Instant) -> Result<()> {
        let ended = match &mut self.nodes[index] {
            Some(node) => node.has_ended()?,
            None => bail!("node {index} does not run"),
        };
        if ended || since.elapsed() > START {
            let folder = self.node_folder(index);
            bail!(
                "node {index} is not ready:\n{}\n{}\nits warnings:\n{}",
                log_end(&folder.join("output.log")),
                log_end(&folder.join("system.log")),
                warnings(&self.log(index))
            );
        }
        Ok(())
    }

    fn log(&self, index: usize) -> String {
        fs::read_to_string(self.node_folder(index).join("system.log")).unwrap_or_default()
    }

    fn node_folder(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("node{index}"))
    }

    fn address(&self, index: usize) -> SocketAddr {
        (address(index), self.cql.port()).into()
    }
}

/// What a log warns of: the reason why a node ends often stands long before its end.
fn warnings(log: &str) -> String {
    let lines = log.lines().filter(|line| line.starts_with("WARN"));
    lines.collect::<Vec<_>>().join("\n")
}

/// A JDK 17, which is what Cassandra 5 runs on; a newer one that comes first is passed over.
fn java() -> Result<PathBuf> {
    let mut candidates = Vec::new();
    if let Some(home) = variable("JAVA_HOME") {
        candidates.push(Path::new(&home).join("bin/java"));
    }
    if let Ok(entries) = fs::read_dir("/usr/lib/jvm") {
        candidates.extend(entries.flatten().map(|entry| entry.path().join("bin/java")));
    }
    candidates.push("java".into());
    let is_17 = |java: &PathBuf| {
        let output = Command::new(java).arg("-version").output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stderr).contains("\"17."))
    };
    candidates
        .into_iter()
        .find(is_17)
        .context("JDK 17 is needed (Debian: openjdk-17-jdk-headless); set JAVA_HOME to it")
}

#[cfg(test)]
mod tests {
    use super::AS_TOLD;

    #[test]
    fn nodes_are_set_as_operators_are_told_to_set_theirs() {
        let page = include_str!("../../../docs/operations/cassandra.md");
        assert!(page.contains(&format!("```yaml\n{AS_TOLD}```")));
    }
}
