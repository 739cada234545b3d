//! Apache Cassandra from Maven Central's jars: one node, and three.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use riwaq_cassandra_node::{Node, address};

use super::authority::Authority;
use super::cql::Connection;
use super::daemon::Daemon;
use super::place::Place;
use super::server::Server;
use super::versions::CASSANDRA;
use super::{install, java, maven, probe};

/// A superuser of our own beside Cassandra's: the one that it comes with is always read at QUORUM, and
/// is refused everywhere while two of three nodes are away.
const USER: &str = "riwaq_tests";
const PASSWORD: &str = "riwaq_tests";
/// Cassandra makes its own role in the background, after its port is open.
const ROLE: Duration = Duration::from_secs(240);

/// Patient: a busy machine must not fail a test by Cassandra's own two seconds. TLS is offered beside clear text on the
/// same port, and the roles' tables are read from one node, so that signing in goes on while two are away.
const SETTINGS: &str = "commitlog_sync: batch
auth_read_consistency_level: ONE
client_encryption_options:
  enabled: true
  optional: true
  require_client_auth: false
  ssl_context_factory:
    class_name: org.apache.cassandra.security.PEMBasedSslContextFactory
  keystore: @CERTIFICATE@
read_request_timeout: 15s
range_request_timeout: 20s
write_request_timeout: 15s
cas_contention_timeout: 5s
truncate_request_timeout: 60s
request_timeout: 20s
native_transport_timeout: 20s
";

/// Ports of one server, counted from the place's first.
struct Offsets {
    cql: u16,
    storage: u16,
    jmx: u16,
}

const NODE: Offsets = Offsets {
    cql: 42,
    storage: 43,
    jmx: 44,
};
const CLUSTER: Offsets = Offsets {
    cql: 52,
    storage: 53,
    jmx: 54,
};

/// Nodes on 127.0.0.1 and the addresses after it, that hold each row on all of them.
pub(crate) struct Cassandra {
    name: &'static str,
    heap: &'static str,
    variable: &'static str,
    cql: u16,
    storage: u16,
    jmx: u16,
    program: PathBuf,
    authority: Authority,
    daemons: Vec<Daemon>,
}

impl Cassandra {
    /// One node.
    pub(crate) fn node(place: &Place) -> Self {
        let daemons = vec![Daemon::new(&place.run(), "cassandra")];
        Self {
            name: "cassandra",
            heap: "640m",
            variable: "RIWAQ_TEST_CASSANDRA",
            ..Self::new(place, &NODE, daemons)
        }
    }

    /// Three nodes.
    pub(crate) fn cluster(place: &Place) -> Self {
        let daemon = |index| Daemon::new(&place.run(), &format!("cassandra-cluster/{index}"));
        Self::new(place, &CLUSTER, (1..=3).map(daemon).collect())
    }

    fn new(place: &Place, offsets: &Offsets, daemons: Vec<Daemon>) -> Self {
        Self {
            name: "cassandra-cluster",
            heap: "448m",
            variable: "RIWAQ_TEST_CASSANDRA_CLUSTER",
            cql: place.port(offsets.cql),
            storage: place.port(offsets.storage),
            jmx: place.port(offsets.jmx),
            program: place.program(CASSANDRA.artifact, CASSANDRA.version),
            authority: place.authority().clone(),
            daemons,
        }
    }

    fn contact(&self, index: usize) -> String {
        format!("{}:{}", address(index), self.cql)
    }

    /// Makes our superuser, unless it is there.
    fn make_role(&self) -> Result<()> {
        let contact = self.contact(0);
        if Connection::open(&contact, USER, PASSWORD).is_ok() {
            return Ok(());
        }
        Connection::open(&contact, "cassandra", "cassandra")?.run(&format!(
            "CREATE ROLE IF NOT EXISTS {USER} WITH SUPERUSER = true AND LOGIN = true \
             AND PASSWORD = '{PASSWORD}'"
        ))
    }
}

impl Server for Cassandra {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> String {
        CASSANDRA.version.into()
    }

    fn address(&self) -> String {
        let contacts: Vec<String> = (0..self.daemons.len())
            .map(|index| self.contact(index))
            .collect();
        contacts.join(",")
    }

    fn daemons(&self) -> &[Daemon] {
        &self.daemons
    }

    fn install(&self) -> Result<()> {
        install::once(&self.program, || {
            let jars = maven::fetch_jars(&CASSANDRA, &self.program)?;
            for jar in fs::read_dir(jars)? {
                let path = jar?.path();
                let name = path.to_string_lossy().into_owned();
                // Native libraries of other systems: half of the size.
                if name.contains("-osx-") || name.contains("-windows-") {
                    fs::remove_file(path)?;
                }
            }
            Ok(())
        })
    }

    fn launch(&self, index: usize) -> Result<()> {
        let daemon = &self.daemons[index];
        let certificate = self.authority.key_and_certificate();
        let settings = SETTINGS.replace("@CERTIFICATE@", &certificate.display().to_string());
        let node = Node {
            cluster: self.name,
            index,
            nodes: self.daemons.len(),
            cql: self.cql,
            storage: self.storage,
            jmx: self.jmx + u16::try_from(index)?,
            heap: self.heap,
            folder: daemon.folder(),
            jars: &self.program.join("lib"),
            settings: &settings,
        };
        node.write()?;
        daemon.start(&mut node.command(&java::tool("java")?)?)
    }

    fn is_ready(&self, index: usize) -> bool {
        probe::listens(&self.contact(index))
    }

    /// Another node than the seed gives up when it finds no seed.
    fn first_alone(&self) -> bool {
        true
    }

    fn prepare(&self) -> Result<()> {
        let started = Instant::now();
        loop {
            match self.make_role() {
                Ok(()) => return Ok(()),
                Err(error) if started.elapsed() > ROLE => {
                    return Err(error).context("its superuser could not be made");
                }
                Err(_) => std::thread::sleep(Duration::from_millis(200)),
            }
        }
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![(self.variable, self.address())];
        if self.daemons.len() > 1 {
            // For tests that kill nodes of their own.
            variables.push((
                "RIWAQ_TEST_CASSANDRA_HOME",
                self.program.display().to_string(),
            ));
        }
        variables
    }
}
