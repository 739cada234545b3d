//! A real Kubernetes of one node, for tests and trials of the chart: no container engine and no image registry is needed.
//!
//! Everything runs in a network of its own that has no way out. The machine reaches Services and pods; pods reach the
//! servers of `cargo xtask backends` at [`place::HOST`], by the ports that these have.

mod containers;
mod images;
mod kubelet;
mod manifests;
mod network;
mod parts;
mod pki;
mod place;
mod programs;
mod sweep;
mod tests;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};

use crate::backends::daemon::Daemon;
use crate::backends::install;
use parts::Part;
use place::Place;
use programs::Programs;

/// For each part of it to be ready; a busy machine takes its time.
const READY: Duration = Duration::from_secs(240);

/// What to do with the cluster.
#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Only install what is missing: minutes, the first time
    Install,
    /// Start it, empty; one that runs is left as it is
    Up,
    /// Put an archive of `cargo xtask image` into it
    Load { archive: PathBuf },
    /// End it, and remove everything of it but the programs and the logs
    Down,
    /// Say which parts run, and in how much memory
    Status,
    /// KUBECONFIG and PATH for a shell: `eval "$(cargo xtask cluster env)"`
    Env,
}

/// Carries out one action.
pub(crate) fn run(options: &Options) -> Result<()> {
    let cluster = Cluster::new();
    match &options.action {
        Action::Install => Programs::install().map(|_| ()),
        Action::Up => cluster.up(),
        Action::Load { archive } => cluster.load(archive),
        Action::Down => cluster.down(),
        Action::Status => {
            cluster.status();
            Ok(())
        }
        Action::Env => {
            for (name, value) in cluster.variables() {
                println!("export {name}=\"{value}\"");
            }
            Ok(())
        }
    }
}

/// Installs what is missing while something else is done, with what that leaves of the processors. Whoever needs it waits for
/// it, and is told when it failed.
pub(crate) fn install_meanwhile() {
    std::thread::spawn(Programs::install);
}

/// Fails for anybody else.
pub(crate) fn ensure_root() -> Result<()> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "a cluster needs the rights of root: networks, mounts and cgroups are made for it"
    );
    Ok(())
}

/// The one cluster of this machine: the kubelet's folder for plugins has a fixed name.
pub(crate) struct Cluster {
    place: Place,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self {
            place: Place::usual(),
        }
    }

    /// Installs what is missing and starts it, unless it runs.
    pub(crate) fn up(&self) -> Result<()> {
        ensure_root()?;
        let programs = Programs::install()?;
        let _held = install::hold(self.place.run())?;
        if self.is_up() {
            println!("the cluster runs already");
            return Ok(());
        }
        let began = Instant::now();
        // What an earlier one left, also one that was killed.
        self.end(&programs)?;
        self.place.clear()?;
        if let Err(error) = self.start(&programs) {
            self.end(&programs)?;
            return Err(error);
        }
        println!("the cluster is ready after {} s", began.elapsed().as_secs());
        Ok(())
    }

    fn start(&self, programs: &Programs) -> Result<()> {
        let place = &self.place;
        sweep::save_settings(place)?;
        network::up(programs)?;
        pki::make(place)?;
        kubelet::configure(place)?;
        containers::configure(place, programs)?;
        programs.link(&place.bin())?;
        for part in parts::all(place) {
            self.launch(programs, &part)?;
            if part.name == "containerd" {
                images::import_own(place, programs)?;
            }
        }
        manifests::apply(place, READY)
    }

    fn launch(&self, programs: &Programs, part: &Part) -> Result<()> {
        let daemon = self.daemon(part.name);
        let mut command = network::inside(programs, part);
        daemon.start(&mut command)?;
        daemon.wait(READY, || part.is_ready(&self.place, programs))
    }

    /// Ends it and removes its data.
    pub(crate) fn down(&self) -> Result<()> {
        let programs = Programs::installed().context("no cluster was ever started here")?;
        let _held = install::hold(self.place.run())?;
        self.end(&programs)?;
        println!(
            "the cluster is gone; its logs are in {}",
            self.place.run().display()
        );
        Ok(())
    }

    /// In the order in which nothing waits for what is gone already.
    fn end(&self, programs: &Programs) -> Result<()> {
        let parts = parts::all(&self.place);
        // Nobody starts containers any more, and then there are none.
        for part in parts.iter().rev().filter(|part| part.name != "containerd") {
            self.daemon(part.name).stop()?;
        }
        containers::remove_all(&self.place, programs);
        self.daemon("containerd").stop()?;
        sweep::everything(&self.place)?;
        network::down(programs);
        self.place.remove_data()
    }

    /// Puts an image into it.
    pub(crate) fn load(&self, archive: &std::path::Path) -> Result<()> {
        if !self.is_up() {
            bail!("the cluster does not run: cargo xtask cluster up");
        }
        let programs = Programs::installed().context("no cluster was ever started here")?;
        containers::import(&self.place, &programs, archive)
    }

    /// Whether every part runs.
    pub(crate) fn is_up(&self) -> bool {
        let parts = parts::all(&self.place);
        parts
            .iter()
            .all(|part| self.daemon(part.name).pid().is_some())
    }

    fn status(&self) {
        for part in parts::all(&self.place) {
            let daemon = self.daemon(part.name);
            match (daemon.pid(), daemon.resident_mib()) {
                (Some(pid), Some(mib)) => println!("{}: pid {pid}, {mib} MiB", part.name),
                _ => println!("{}: not running", part.name),
            }
        }
    }

    fn variables(&self) -> [(&'static str, String); 2] {
        [
            (
                "KUBECONFIG",
                self.place.kubeconfig("admin").display().to_string(),
            ),
            ("PATH", format!("{}:$PATH", self.place.bin().display())),
        ]
    }

    fn daemon(&self, part: &str) -> Daemon {
        Daemon::new(self.place.run(), part)
    }
}
