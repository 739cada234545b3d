//! A whole installation: every role as processes of its own, several of each, behind one address.

mod replica;

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::chaos::ChaosProxy;
use crate::client::Client;
use crate::ports::ReservedPort;
use crate::process::{riwaq, run};

pub use replica::{Figures, Replica};

/// The role that the front leads to.
const PUBLIC: &str = "gateway";

/// How an installation is to be started.
#[derive(Debug)]
pub struct InstallationBuilder {
    roles: Vec<&'static str>,
    replicas: usize,
    settings: String,
    variables: Vec<(String, String)>,
    commands: Vec<(Vec<String>, String)>,
    ready_within: Duration,
    front: ReservedPort,
}

impl InstallationBuilder {
    /// `replicas` processes of each role; one of the roles is the gateway.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn new(roles: &[&'static str], replicas: usize) -> Result<Self> {
        ensure!(
            roles.contains(&PUBLIC) && replicas > 0,
            "an installation needs a gateway"
        );
        Ok(Self {
            roles: roles.to_vec(),
            replicas,
            settings: String::new(),
            variables: Vec::new(),
            commands: Vec::new(),
            ready_within: Duration::from_secs(180),
            front: ReservedPort::new()?,
        })
    }

    /// Lines for the configuration file (TOML), the same for every process.
    #[must_use]
    pub fn settings(mut self, toml: &str) -> Self {
        self.settings.push_str(toml);
        self.settings.push('\n');
        self
    }

    /// A variable of every process's environment: secrets go here.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// A command of the program to be run after `migrate` and before any process starts, with a text for it to read.
    #[must_use]
    pub fn command(mut self, args: &[&str], input: &str) -> Self {
        let args = args.iter().map(|arg| (*arg).to_owned());
        self.commands.push((args.collect(), input.to_owned()));
        self
    }

    /// The address that people will reach it by, known before it starts.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.front.address())
    }

    /// Migrates, starts everything at once, and waits until each process is ready.
    ///
    /// # Errors
    /// When a process ends or is not ready in time; the error names it and holds the end of its log.
    pub async fn start(self) -> Result<Installation> {
        let folder = TempDir::with_prefix("riwaq-installation-")?;
        let mut replicas = Vec::new();
        for role in &self.roles {
            for number in 0..self.replicas {
                replicas.push(Replica::new(role, number, folder.path())?);
            }
        }
        let shared = self.shared(&replicas);
        let data = folder.path().join("data");
        let file = format!("data_dir = {:?}\n{}", data, self.settings);
        std::fs::write(folder.path().join("riwaq.toml"), file)?;
        let gateways = addresses(&replicas, PUBLIC);
        let mut installation = Installation {
            front: ChaosProxy::start_at(self.front, gateways, 0)?,
            replicas,
            shared,
            folder,
            ready_within: self.ready_within,
            migrated_in: Duration::ZERO,
            started_in: Duration::ZERO,
        };
        let began = Instant::now();
        installation
            .run(&["migrate"])
            .await
            .context("riwaq migrate")?;
        installation.migrated_in = began.elapsed();
        for (args, input) in &self.commands {
            let args: Vec<_> = args.iter().map(String::as_str).collect();
            installation.run_with_input(&args, input).await?;
        }
        let began = Instant::now();
        installation.start_all().await?;
        installation.started_in = began.elapsed();
        Ok(installation)
    }

    /// The environment that all processes share.
    fn shared(&self, replicas: &[Replica]) -> Vec<(String, String)> {
        let key: [u8; 32] = rand::rng().random();
        let mut shared = vec![
            ("RIWAQ_PUBLIC_URL".to_owned(), self.url()),
            ("RIWAQ_SECRETS_MASTER_KEY".into(), STANDARD.encode(key)),
            ("RIWAQ_GATEWAY_RATE_LIMIT".into(), "off".into()),
        ];
        for role in self.roles.iter().filter(|role| **role != PUBLIC) {
            let urls: Vec<_> = addresses(replicas, role)
                .iter()
                .map(|address| format!("http://{address}"))
                .collect();
            shared.push((
                format!("RIWAQ_PEERS_{}", role.to_uppercase()),
                urls.join(","),
            ));
        }
        shared.extend(self.variables.iter().cloned());
        shared
    }
}

fn addresses(replicas: &[Replica], role: &str) -> Vec<SocketAddr> {
    let of_role = replicas.iter().filter(|replica| replica.role() == role);
    of_role.map(Replica::address).collect()
}

/// A running installation; every process is killed when it is dropped.
#[derive(Debug)]
pub struct Installation {
    front: ChaosProxy,
    replicas: Vec<Replica>,
    shared: Vec<(String, String)>,
    folder: TempDir,
    ready_within: Duration,
    /// How long `riwaq migrate` took.
    pub migrated_in: Duration,
    /// How long it took from the first process's start until the last was ready.
    pub started_in: Duration,
}

impl Installation {
    /// The address that people reach it by, without a slash at the end. Connections go to the gateways in turn.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.front.address())
    }

    /// What stands in front of the gateways.
    #[must_use]
    pub fn front(&self) -> &ChaosProxy {
        &self.front
    }

    /// An anonymous client whose every request is a new connection, and so goes to the next gateway.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::unpooled(&self.url())
    }

    /// Its processes.
    #[must_use]
    pub fn replicas(&self) -> &[Replica] {
        &self.replicas
    }

    /// One of them.
    ///
    /// # Errors
    /// When there is none of that role and number.
    pub fn replica(&self, role: &str, number: usize) -> Result<&Replica> {
        self.replicas
            .iter()
            .find(|replica| replica.role() == role && replica.number() == number)
            .with_context(|| format!("no {role} {number}"))
    }

    /// The addresses of a role's processes.
    #[must_use]
    pub fn addresses(&self, role: &str) -> Vec<SocketAddr> {
        addresses(&self.replicas, role)
    }

    /// Starts a process that was killed or has ended, and waits until it is ready; gives how long that took. A gateway
    /// gets no connections before, as from any load balancer that looks whether it is ready.
    ///
    /// # Errors
    /// When it runs already, ends, or is not ready in time.
    pub async fn restart(&self, role: &str, number: usize) -> Result<Duration> {
        let replica = self.replica(role, number)?;
        let mut others = self.addresses(PUBLIC);
        others.retain(|address| *address != replica.address());
        if !others.is_empty() {
            self.front.set_upstreams(others)?;
        }
        replica.start(self.command(&["serve", role])?)?;
        let ready_in = replica.ready(self.ready_within).await?;
        self.front.set_upstreams(self.addresses(PUBLIC))?;
        Ok(ready_in)
    }

    /// Ends every process by SIGTERM and starts it again, half after half, as a rollout does: the gateways that are
    /// about to end get no new connections.
    ///
    /// # Errors
    /// When one does not drain, or does not come back.
    pub async fn roll(&self) -> Result<()> {
        let halves = self.replicas.iter().map(Replica::number).max().unwrap_or(0);
        for number in 0..=halves {
            let staying = self.replicas.iter().filter(|replica| {
                replica.role() == PUBLIC && (replica.number() != number || halves == 0)
            });
            let staying: Vec<_> = staying.map(Replica::address).collect();
            self.front.set_upstreams(staying)?;
            let half = || {
                self.replicas
                    .iter()
                    .filter(|replica| replica.number() == number)
            };
            let ending = half()
                .cloned()
                .map(|replica| async move { replica.terminate().await });
            all(ending).await?;
            for replica in half() {
                replica.start(self.command(&["serve", replica.role()])?)?;
            }
            let limit = self.ready_within;
            let waiting = half()
                .cloned()
                .map(|replica| async move { replica.ready(limit).await });
            all(waiting).await?;
        }
        self.front.set_upstreams(self.addresses(PUBLIC))
    }

    /// The program with the configuration of this installation, for its other commands.
    ///
    /// # Errors
    /// When the program was not built.
    pub fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = riwaq(args)?;
        command
            .arg("--config")
            .arg(self.folder.path().join("riwaq.toml"))
            .envs(self.shared.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// Runs another command to its end.
    ///
    /// # Errors
    /// When it fails; the error holds what it said.
    pub async fn run(&self, args: &[&str]) -> Result<Output> {
        self.run_with_input(args, "").await
    }

    /// The same with a text for it to read.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_with_input(&self, args: &[&str], input: &str) -> Result<Output> {
        run(self.command(args)?, input).await
    }

    /// The last warnings and errors of all logs.
    #[must_use]
    pub fn log_ends(&self) -> String {
        let ends = self
            .replicas
            .iter()
            .map(|replica| format!("--- {replica}\n{}", replica.complaints()));
        ends.collect::<Vec<_>>().join("\n")
    }

    /// What each process takes now.
    #[must_use]
    pub fn figures(&self) -> Vec<Figures> {
        let figures = self
            .replicas
            .iter()
            .filter_map(|replica| replica.figures().ok());
        figures.collect()
    }

    async fn start_all(&self) -> Result<()> {
        for replica in &self.replicas {
            replica.start(self.command(&["serve", replica.role()])?)?;
        }
        let limit = self.ready_within;
        let waiting = self
            .replicas
            .iter()
            .cloned()
            .map(|replica| async move { replica.ready(limit).await });
        all(waiting).await
    }
}

/// Runs them side by side to the end; the first error wins.
async fn all<T: Send + 'static>(
    tasks: impl Iterator<Item = impl Future<Output = Result<T>> + Send + 'static>,
) -> Result<()> {
    let mut running: JoinSet<_> = tasks.collect();
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}
