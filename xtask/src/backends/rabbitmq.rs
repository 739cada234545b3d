//! RabbitMQ with its management and its metrics, in clear text and over TLS, from Debian's packages.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::authority::Authority;
use super::daemon::Daemon;
use super::place::Place;
use super::server::Server;
use super::versions::RABBITMQ;
use super::{debian, install, probe};

const USER: &str = "riwaq-tests";
const PASSWORD: &str = "riwaq-tests";
const AMQP: u16 = 60;
const AMQPS: u16 = 61;
const MANAGEMENT: u16 = 62;
const METRICS: u16 = 63;
const DISTRIBUTION: u16 = 64;
const NAMES: u16 = 65;

/// Erlang's names of ports, and the broker.
pub(crate) struct RabbitMq {
    ports: Ports,
    program: PathBuf,
    authority: Authority,
    daemons: [Daemon; 2],
}

struct Ports {
    amqp: u16,
    amqps: u16,
    management: u16,
    metrics: u16,
    distribution: u16,
    names: u16,
}

impl RabbitMq {
    pub(crate) fn new(place: &Place) -> Self {
        Self {
            ports: Ports {
                amqp: place.port(AMQP),
                amqps: place.port(AMQPS),
                management: place.port(MANAGEMENT),
                metrics: place.port(METRICS),
                distribution: place.port(DISTRIBUTION),
                names: place.port(NAMES),
            },
            program: place.program("rabbitmq-server", &debian::release()),
            authority: place.authority().clone(),
            daemons: [
                Daemon::new(&place.run(), "rabbitmq/names"),
                Daemon::new(&place.run(), "rabbitmq/broker"),
            ],
        }
    }

    fn root(&self) -> PathBuf {
        self.program.join("root")
    }

    /// Programs that find each other wherever the packages lie.
    fn bin(&self) -> PathBuf {
        self.program.join("bin")
    }

    fn configuration(&self) -> String {
        let Ports {
            amqp,
            amqps,
            management,
            metrics,
            ..
        } = self.ports;
        let (ca, certificate, key) = (
            self.authority.ca(),
            self.authority.certificate(),
            self.authority.key(),
        );
        format!(
            "listeners.tcp.1 = 127.0.0.1:{amqp}\n\
             listeners.ssl.1 = 127.0.0.1:{amqps}\n\
             ssl_options.cacertfile = {}\n\
             ssl_options.certfile = {}\n\
             ssl_options.keyfile = {}\n\
             ssl_options.verify = verify_none\n\
             ssl_options.fail_if_no_peer_cert = false\n\
             management.tcp.ip = 127.0.0.1\n\
             management.tcp.port = {management}\n\
             prometheus.tcp.ip = 127.0.0.1\n\
             prometheus.tcp.port = {metrics}\n\
             distribution.listener.interface = 127.0.0.1\n\
             default_user = {USER}\n\
             default_pass = {PASSWORD}\n\
             vm_memory_high_watermark.absolute = 512MiB\n\
             disk_free_limit.absolute = 50MB\n",
            ca.display(),
            certificate.display(),
            key.display(),
        )
    }

    fn start_names(&self, daemon: &Daemon) -> Result<()> {
        daemon.start(
            Command::new(self.bin().join("epmd"))
                .args(["-address", "127.0.0.1", "-port"])
                .arg(self.ports.names.to_string()),
        )
    }

    fn start_broker(&self, daemon: &Daemon) -> Result<()> {
        let folder = daemon.folder();
        for needed in ["generated", "mnesia", "log"] {
            fs::create_dir_all(folder.join(needed))?;
        }
        let (configuration, plugins) = (folder.join("rabbitmq.conf"), folder.join("plugins"));
        fs::write(&configuration, self.configuration())?;
        fs::write(&plugins, "[rabbitmq_management,rabbitmq_prometheus].\n")?;
        fs::write(folder.join("advanced.config"), "[].\n")?;
        daemon.start(
            Command::new(self.bin().join("rabbitmq-server"))
                // Erlang's cookie is made here.
                .env("HOME", folder)
                .env("LC_ALL", "C.UTF-8")
                .env("ERL_EPMD_ADDRESS", "127.0.0.1")
                .env("ERL_EPMD_PORT", self.ports.names.to_string())
                // The script then becomes the virtual machine: its pid is the broker's.
                .env("RUNNING_UNDER_SYSTEMD", "true")
                .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
                .env(
                    "RABBITMQ_NODENAME",
                    format!("riwaq-{}@localhost", self.ports.amqp),
                )
                .env("RABBITMQ_DIST_PORT", self.ports.distribution.to_string())
                .env("RABBITMQ_CONFIG_FILE", configuration)
                .env(
                    "RABBITMQ_ADVANCED_CONFIG_FILE",
                    folder.join("advanced.config"),
                )
                .env("RABBITMQ_GENERATED_CONFIG_DIR", folder.join("generated"))
                .env("RABBITMQ_ENABLED_PLUGINS_FILE", plugins)
                .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
                .env("RABBITMQ_LOG_BASE", folder.join("log"))
                // Not ours: the broker removes it long before the virtual machine ends.
                .env("RABBITMQ_PID_FILE", folder.join("broker.pid")),
        )
    }
}

impl Server for RabbitMq {
    fn name(&self) -> &'static str {
        "rabbitmq"
    }

    /// The distribution's; known once it is installed.
    fn version(&self) -> String {
        let library = self.root().join("usr/lib/rabbitmq/lib");
        let folder = find(&library, "rabbitmq_server-").ok();
        let name = folder
            .as_deref()
            .and_then(Path::file_name)
            .map(|name| name.to_string_lossy());
        name.and_then(|name| name.rsplit_once('-').map(|(_, version)| version.to_owned()))
            .unwrap_or_else(|| format!("of {}", debian::release()))
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.amqp)
    }

    fn daemons(&self) -> &[Daemon] {
        &self.daemons
    }

    fn install(&self) -> Result<()> {
        install::once(&self.program, || {
            let root = debian::unpack(RABBITMQ, &self.program)?;
            let erlang = root.join("usr/lib/erlang");
            relocate(&erlang)?;
            fs::create_dir(self.bin())?;
            symlink(erlang.join("bin/epmd"), self.bin().join("epmd"))?;
            for program in ["rabbitmq-server", "rabbitmqctl"] {
                let target = root.join("usr/lib/rabbitmq/bin").join(program);
                let text = wrapper(&erlang.join("bin"), &target);
                write_program(&self.bin().join(program), &text)?;
            }
            Ok(())
        })
    }

    fn launch(&self, index: usize) -> Result<()> {
        let daemon = &self.daemons[index];
        match index {
            0 => self.start_names(daemon),
            _ => self.start_broker(daemon),
        }
    }

    fn is_ready(&self, index: usize) -> bool {
        let listens = |port: u16| probe::listens(&format!("127.0.0.1:{port}"));
        match index {
            0 => listens(self.ports.names),
            // The metrics come with the last plugin, after the listeners.
            _ => {
                listens(self.ports.amqp)
                    && listens(self.ports.amqps)
                    && probe::answers(&format!("127.0.0.1:{}", self.ports.metrics), "/metrics")
            }
        }
    }

    fn first_alone(&self) -> bool {
        true
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let Ports {
            amqp,
            amqps,
            management,
            ..
        } = self.ports;
        let (clear, tls) = (format!("127.0.0.1:{amqp}"), format!("localhost:{amqps}"));
        vec![
            (
                "RIWAQ_TEST_RABBITMQ",
                format!("amqp://{USER}:{PASSWORD}@{clear}/%2f"),
            ),
            (
                "RIWAQ_TEST_RABBITMQ_TLS",
                format!("amqps://{USER}:{PASSWORD}@{tls}/%2f"),
            ),
            (
                "RIWAQ_TEST_RABBITMQ_MANAGEMENT",
                format!("http://{USER}:{PASSWORD}@127.0.0.1:{management}"),
            ),
            // For tests that kill a broker of their own.
            (
                "RIWAQ_TEST_RABBITMQ_HOME",
                self.program.display().to_string(),
            ),
        ]
    }
}

/// Erlang's start script names the folder that the package is meant for.
fn relocate(erlang: &Path) -> Result<()> {
    let script = erlang.join("bin/erl");
    let text = fs::read_to_string(&script)?;
    let here = format!("ROOTDIR={}", erlang.display());
    // In place of a link into the system, where it is one.
    fs::remove_file(&script)?;
    write_program(&script, &text.replace("ROOTDIR=/usr/lib/erlang", &here))
}

/// RabbitMQ's scripts look for Erlang on the path.
fn wrapper(erlang: &Path, target: &Path) -> String {
    format!(
        "#!/bin/sh\nPATH='{}':$PATH\nexport PATH\nexec '{}' \"$@\"\n",
        erlang.display(),
        target.display()
    )
}

fn write_program(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    Ok(fs::set_permissions(
        path,
        fs::Permissions::from_mode(0o755),
    )?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_script_names_the_folder_it_lies_in() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        let script = folder.path().join("bin/erl");
        fs::write(
            &script,
            "#!/bin/sh\nROOTDIR=/usr/lib/erlang\nexec $ROOTDIR/x\n",
        )
        .unwrap();
        relocate(folder.path()).unwrap();
        let text = fs::read_to_string(&script).unwrap();
        assert!(
            text.contains(&format!("ROOTDIR={}\n", folder.path().display())),
            "{text}"
        );
        assert_eq!(
            fs::metadata(&script).unwrap().permissions().mode() & 0o777,
            0o755
        );
    }
}
