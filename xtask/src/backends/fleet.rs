//! All the servers together: selected by name, started side by side, reported.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::daemon::Daemon;
use super::place::Place;
use super::server::{START, Server};
use super::{cassandra, install, keycloak, minio, opensearch, pebble, rabbitmq, versitygw};

/// What a server begins with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    /// With what it has.
    Kept,
    /// Empty, where it does not run.
    Fresh,
}

/// One server, and those of its processes that were asked for.
struct Member {
    server: Box<dyn Server + Send>,
    wanted: BTreeSet<usize>,
}

/// The servers of one set of ports.
pub(crate) struct Fleet {
    run: PathBuf,
    authority: super::authority::Authority,
    members: Vec<Member>,
}

impl Fleet {
    /// Every server there is; the slowest to install come first.
    pub(crate) fn new(place: &Place) -> Self {
        let servers: Vec<Box<dyn Server + Send>> = vec![
            Box::new(minio::Minio::new(place)),
            Box::new(versitygw::VersityGateway::new(place)),
            Box::new(pebble::Pebble::new(place)),
            Box::new(cassandra::Cassandra::cluster(place)),
            Box::new(cassandra::Cassandra::node(place)),
            Box::new(keycloak::Keycloak::new(place)),
            Box::new(opensearch::OpenSearch::new(place)),
            Box::new(rabbitmq::RabbitMq::new(place)),
        ];
        let whole = |server: Box<dyn Server + Send>| Member {
            wanted: (0..server.daemons().len()).collect(),
            server,
        };
        Self {
            run: place.run(),
            authority: place.authority().clone(),
            members: servers.into_iter().map(whole).collect(),
        }
    }

    /// Only those that `names` name; all, when it is empty.
    pub(crate) fn select(mut self, names: &[String]) -> Result<Self> {
        if names.is_empty() {
            return Ok(self);
        }
        for name in names {
            let known = self.members.iter().any(|member| {
                member.server.name() == name || member.daemons().any(|(_, one)| one.name() == name)
            });
            if !known {
                bail!("no server `{name}`; there are {}", self.names().join(", "));
            }
        }
        for member in &mut self.members {
            let whole = names.iter().any(|name| name == member.server.name());
            let chosen = |index: &usize| {
                whole
                    || names
                        .iter()
                        .any(|name| name == member.server.daemons()[*index].name())
            };
            member.wanted = member.wanted.iter().copied().filter(chosen).collect();
        }
        self.members.retain(|member| {
            !member.wanted.is_empty() || names.iter().any(|name| name == member.server.name())
        });
        Ok(self)
    }

    fn names(&self) -> Vec<&str> {
        self.members
            .iter()
            .map(|member| member.server.name())
            .collect()
    }

    /// Installs what is missing and starts what does not run, all at once.
    pub(crate) fn up(&self, data: Data) -> Result<()> {
        self.authority.prepare()?;
        // Another `up` of the same set waits here, and then finds everything running.
        let _held = install::hold(&self.run)?;
        self.each(|member| {
            let started = Instant::now();
            member.server.install()?;
            let installed = started.elapsed();
            if member.server.daemons().is_empty() {
                let (name, version) = (member.server.name(), member.server.version());
                println!("{name} {version}: tests start it themselves");
                return Ok(());
            }
            let did = member.start(data)?;
            println!(
                "{} {} at {}: {did} (installed in {:.0} s, ready after {:.0} s)",
                member.server.name(),
                member.server.version(),
                member.server.address(),
                installed.as_secs_f32(),
                (started.elapsed() - installed).as_secs_f32(),
            );
            Ok(())
        })
    }

    /// Installs what is missing.
    pub(crate) fn install(&self) -> Result<()> {
        self.authority.prepare()?;
        self.each(|member| member.server.install())
    }

    /// The names of the processes that run.
    pub(crate) fn running(&self) -> BTreeSet<String> {
        let daemons = self.members.iter().flat_map(Member::daemons);
        let running = daemons.filter(|(_, daemon)| daemon.pid().is_some());
        running
            .map(|(_, daemon)| daemon.name().to_owned())
            .collect()
    }

    /// Stops them; their data stays.
    pub(crate) fn down(&self) -> Result<()> {
        // What started last may need what started first.
        self.each(|member| {
            let daemons = member.daemons().collect::<Vec<_>>();
            let mut reversed = daemons.into_iter().rev();
            reversed.try_for_each(|(_, daemon)| daemon.stop())
        })
    }

    /// Removes the data of those that do not run.
    pub(crate) fn wipe(&self) -> Result<()> {
        self.each(|member| {
            let idle = |(_, daemon): &(usize, &Daemon)| daemon.pid().is_none();
            member
                .daemons()
                .filter(idle)
                .try_for_each(|(_, daemon)| daemon.wipe())
        })
    }

    /// Keeps other runs of the tests away from these servers until what is returned is dropped.
    pub(crate) fn hold_for_tests(&self) -> Result<std::fs::File> {
        let folder = self.run.with_extension("tests");
        install::hold_or(&folder, || {
            println!("waiting for other tests on the same servers; RIWAQ_TEST_PORTS names others");
        })
    }

    /// Ends them as a fault would, but for the processes that are named.
    pub(crate) fn kill_except(&self, kept: &BTreeSet<String>) -> Result<()> {
        self.each(|member| {
            member
                .daemons()
                .filter(|(_, daemon)| !kept.contains(daemon.name()))
                .try_for_each(|(_, daemon)| daemon.kill())
        })
    }

    /// Prints one line for each process.
    pub(crate) fn status(&self) {
        for member in &self.members {
            let (version, address) = (member.server.version(), member.server.address());
            for (_, daemon) in member.daemons() {
                match (daemon.pid(), daemon.resident_mib()) {
                    (Some(pid), Some(mib)) => {
                        println!(
                            "{} {version} at {address}: pid {pid}, {mib} MiB",
                            daemon.name()
                        );
                    }
                    _ => println!("{} {version}: not running", daemon.name()),
                }
            }
        }
    }

    /// What tests read: one pair for each address, and the authority that signed for all.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let of_servers = self
            .members
            .iter()
            .flat_map(|member| member.server.variables());
        let authority = ("RIWAQ_TEST_CA", self.authority.ca().display().to_string());
        of_servers.chain([authority]).collect()
    }

    /// One thread for each server; every failure is told, not only the first.
    fn each(&self, work: impl Fn(&Member) -> Result<()> + Sync) -> Result<()> {
        let work = &work;
        let failures: Vec<String> = std::thread::scope(|scope| {
            let running: Vec<_> = self
                .members
                .iter()
                .map(|member| (member, scope.spawn(move || work(member))))
                .collect();
            let ended = running.into_iter().filter_map(|(member, thread)| {
                let result = thread
                    .join()
                    .unwrap_or_else(|_| bail!("its thread panicked"));
                let name = member.server.name();
                result.err().map(|error| format!("{name}: {error:#}"))
            });
            ended.collect()
        });
        if failures.is_empty() {
            return Ok(());
        }
        bail!("{}", failures.join("\n"))
    }
}

impl Member {
    fn daemons(&self) -> impl Iterator<Item = (usize, &Daemon)> {
        self.server
            .daemons()
            .iter()
            .enumerate()
            .filter(|(index, _)| self.wanted.contains(index))
    }

    fn start(&self, data: Data) -> Result<String> {
        let idle: Vec<(usize, &Daemon)> = self
            .daemons()
            .filter(|(_, daemon)| daemon.pid().is_none())
            .collect();
        if data == Data::Fresh && idle.len() == self.server.daemons().len() {
            idle.iter().try_for_each(|(_, daemon)| daemon.wipe())?;
        }
        for (index, daemon) in &idle {
            self.server.launch(*index)?;
            if *index == 0 && self.server.first_alone() {
                daemon.wait(START, || self.server.is_ready(0))?;
            }
        }
        for (index, daemon) in self.daemons() {
            daemon.wait(START, || self.server.is_ready(index))?;
        }
        // While a part of it is away on purpose, there is nothing to prepare.
        if self
            .server
            .daemons()
            .iter()
            .all(|daemon| daemon.pid().is_some())
        {
            self.server.prepare().context("running, and not prepared")?;
        }
        Ok(match idle.len() {
            0 => "runs already".to_owned(),
            _ => "started".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(names: &[&str]) -> Result<Fleet> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Fleet::new(&Place::new(Some(29_000)).unwrap()).select(&names)
    }

    #[test]
    fn no_name_is_all_and_a_name_is_one_server_or_one_process() {
        assert_eq!(selected(&[]).unwrap().members.len(), 8);
        assert_eq!(selected(&["pebble"]).unwrap().names(), ["pebble"]);
        let one = selected(&["cassandra-cluster/2"]).unwrap();
        assert_eq!(one.names(), ["cassandra-cluster"]);
        let daemons: Vec<&str> = one.members[0]
            .daemons()
            .map(|(_, daemon)| daemon.name())
            .collect();
        assert_eq!(daemons, ["cassandra-cluster/2"]);
        assert_eq!(selected(&["minio", "rabbitmq"]).unwrap().members.len(), 2);
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_that_exist() {
        let error = selected(&["minio", "mongo"]).err().unwrap().to_string();
        assert!(
            error.contains("`mongo`") && error.contains("keycloak"),
            "{error}"
        );
    }

    #[test]
    fn every_variable_is_told_once() {
        let variables = selected(&[]).unwrap().variables();
        let names: BTreeSet<&str> = variables.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), variables.len());
        assert!(names.contains("RIWAQ_TEST_CASSANDRA_CLUSTER") && names.contains("RIWAQ_TEST_CA"));
    }

    #[test]
    fn no_two_servers_share_a_port() {
        let mut seen = BTreeSet::new();
        for (name, value) in selected(&[]).unwrap().variables() {
            let ports: BTreeSet<&str> = value
                .split(['/', ',', '@'])
                .filter_map(|part| part.rsplit_once(':'))
                .filter(|(_, port)| port.len() == 5 && port.parse::<u16>().is_ok())
                .map(|(_, port)| port)
                .collect();
            for port in ports {
                assert!(seen.insert(port.to_owned()), "{name} has {port} of another");
            }
        }
        assert!(seen.len() >= 9, "{seen:?}");
    }
}
