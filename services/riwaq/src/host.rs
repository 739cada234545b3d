//! Services of this process: opened, built, bound to each other.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, bail};
use riwaq_api::server::{ServerPolicy, limited};
use riwaq_clock::{SharedClock, SystemClock};
use riwaq_kit::service::Process;
use riwaq_kit::{MetricsHandle, Service, Telemetry};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};

use crate::adapters::{self, Adapters};
use crate::config::Config;
use crate::roles::{self, Role};
use crate::secrets::Secrets;
use crate::wiring::{Loose, Parts};

/// Connections that the system keeps until they are accepted.
const BACKLOG: u32 = 1024;

/// A process that is about to host roles.
pub(crate) struct Host {
    pub(crate) parts: Parts,
    loose: Loose,
    here: Vec<&'static Role>,
}

impl Host {
    /// Opens the adapters for the roles that will be hosted.
    pub(crate) async fn open(
        config: Config,
        clock: SharedClock,
        here: &[&'static Role],
    ) -> Result<Self> {
        let alone = here.len() == 1;
        refuse_embedded(&config, here)?;
        let folder = (!alone).then_some(config.data_dir.as_path());
        let secrets = Secrets::load(config.secrets.master_key.as_ref(), folder)?;
        let needs: Vec<_> = here.iter().flat_map(|role| role.needs).copied().collect();
        let adapters = Adapters::open(&config, &secrets, &clock, &needs).await?;
        let (parts, loose) = Parts::new(config, secrets, adapters, clock, here)?;
        Ok(Self {
            parts,
            loose,
            here: here.to_vec(),
        })
    }

    /// Refuses a store that is not at the schema of this program.
    pub(crate) async fn check_schema(&self) -> Result<()> {
        Ok(roles::migration_plan()?
            .check(self.parts.adapters.records.as_ref())
            .await?)
    }

    /// Brings the store to the schema of this program.
    pub(crate) async fn migrate(&self) -> Result<()> {
        let plan = roles::migration_plan()?;
        let report = self
            .parts
            .adapters
            .records
            .migrate(&plan)
            .await
            .context("migrating the records")?;
        if report.from != report.to {
            tracing::info!(
                from = report.from,
                to = report.to,
                "the records were migrated"
            );
        }
        Ok(())
    }

    /// Declares every group, so that nothing published before its first member is lost.
    pub(crate) async fn declare_groups(&self) -> Result<()> {
        let events = &self.parts.adapters.events;
        let declared = events.declare_groups(&roles::groups()).await;
        declared.context("declaring event groups")
    }

    /// Builds every service and binds them to each other. The last one, which is not hosted yet, is
    /// the one that listens.
    pub(crate) fn build(&mut self, process: &mut Process) -> Result<Service> {
        let mut last = None;
        for role in self.here.clone() {
            if let Some(service) = last.take() {
                self.bind(process, service);
            }
            let built =
                (role.build)(&self.parts).with_context(|| format!("the role {}", role.name))?;
            // The called side keeps the deadline too: the caller may have gone.
            let policy = ServerPolicy::default();
            last = Some(built.map_grpc(|routes| limited(routes, &self.parts.clock, &policy)));
        }
        let listening = last.context("no role is hosted")?;
        // It answers the others of its process, and itself: who owns roles or keys is asked like by anybody.
        let binding = self.loose.begin(&listening, &self.parts);
        let (config, clock) = (&self.parts.config.server, &self.parts.clock);
        self.loose.offer(binding, listening.http(config, clock));
        Ok(listening)
    }

    fn bind(&mut self, process: &mut Process, service: Service) {
        let binding = self.loose.begin(&service, &self.parts);
        let http = process.host(service);
        self.loose.offer(binding, http);
    }
}

/// A role of its own, on an adapter that works within one process only, would be alone with its data
/// and believe that it is not.
fn refuse_embedded(config: &Config, here: &[&'static Role]) -> Result<()> {
    let [role] = here else { return Ok(()) };
    let embedded = adapters::embedded(config);
    if embedded.is_empty() {
        return Ok(());
    }
    bail!(
        "the role {} cannot run as a process of its own: these adapters are embedded and work within one process \
         only: {}. Run every role in one process (`riwaq dev`), or configure distributed adapters",
        role.name,
        embedded.join(", ")
    )
}

/// The port of this process, taken but not open yet: whoever connects is refused, and goes to another process
/// instead of waiting until this one has opened its adapters.
pub(crate) struct Port(TcpSocket);

impl Port {
    /// Takes the configured port; the configuration then knows its address.
    pub(crate) fn take(config: Config) -> Result<(Self, Config)> {
        let address = SocketAddr::new(config.listen, config.port);
        let socket = bind(address).with_context(|| format!("cannot listen at {address}"))?;
        let mut bound = socket.local_addr()?;
        if bound.ip().is_unspecified() {
            // Nobody can browse to 0.0.0.0.
            bound.set_ip(IpAddr::from([127, 0, 0, 1]));
        }
        Ok((Self(socket), config.bound(bound)?))
    }

    /// From now on connections are taken.
    pub(crate) fn open(self) -> Result<TcpListener> {
        let address = self.0.local_addr()?;
        self.0
            .listen(BACKLOG)
            .with_context(|| format!("cannot listen at {address}"))
    }
}

fn bind(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A process that follows one that was killed must not wait for the connections of that one.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Serves until SIGTERM or Ctrl-C, then drains.
pub(crate) async fn serve(process: Process, service: Service, listener: TcpListener) -> Result<()> {
    let drained = process.serve(service, listener, asked_to_end()?).await?;
    if drained.cut_off > 0 {
        tracing::warn!(cut_off = drained.cut_off, "some work had to be cut off");
    }
    Ok(())
}

fn asked_to_end() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// The clock of the program.
pub(crate) fn clock() -> SharedClock {
    SystemClock::shared()
}

/// What a library calls an error and is none: RabbitMQ's adapter asks by declarations that may be refused whether a queue
/// is there and who holds a lock. What is a fault it says itself.
const NO_FAULTS: &str = "lapin::channel=off";

/// Logs, metrics and traces under a role's name.
pub(crate) fn telemetry(config: &Config, role: &str, clock: &SharedClock) -> Result<Telemetry> {
    let mut telemetry = config.telemetry.clone();
    telemetry.log_level = without_no_faults(&telemetry.log_level);
    Ok(Telemetry::install(&telemetry, role, clock)?)
}

/// In front, so that a configured `lapin::channel` holds. An empty list means errors, and one with an entry only that.
fn without_no_faults(log_level: &str) -> String {
    let log_level = if log_level.is_empty() {
        "error"
    } else {
        log_level
    };
    format!("{NO_FAULTS},{log_level}")
}

/// A process for the configured listener.
pub(crate) fn process(config: &Config, clock: &SharedClock, metrics: &MetricsHandle) -> Process {
    Process::new(clock.clone(), config.server.clone(), metrics.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_of_the_log_holds() {
        assert_eq!(without_no_faults("info"), "lapin::channel=off,info");
        assert_eq!(without_no_faults(""), "lapin::channel=off,error");
    }
}
