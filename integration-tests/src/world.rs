//! A running program, in whichever shape.

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use riwaq_test_kit::{Backend, Browser, Client, Installation, Program, ProgramBuilder, cassandra};
use tokio::sync::Mutex as AsyncMutex;
use uuid::Uuid;

use crate::distributed::{self, Backends, Remover};
use crate::{Collector, NotRun};

/// Which shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Every role in one process, everything in its data folder.
    Embedded,
    /// The same with the records in a real Cassandra.
    CassandraRecords,
    /// The same with the files' content in a real object storage.
    S3Blobs,
    /// Two processes a role, on Cassandra, MinIO, RabbitMQ, OpenSearch and Keycloak.
    Distributed,
    /// Installed by somebody else, known by its address.
    Installed,
}

impl Mode {
    /// What it is called in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::CassandraRecords => "embedded-cassandra",
            Self::S3Blobs => "embedded-s3",
            Self::Distributed => "distributed",
            Self::Installed => "installed",
        }
    }
}

/// A running program, in whichever shape, and what a scenario may ask of any.
#[derive(Debug)]
pub struct World {
    mode: Mode,
    host: Host,
    collector: Collector,
}

#[derive(Debug)]
enum Host {
    Program(Box<Program>),
    Installation(Box<Distributed>),
    Elsewhere(Elsewhere),
}

/// What is known of an installation that somebody else made.
#[derive(Debug)]
struct Elsewhere {
    url: String,
    admin: String,
    password: String,
}

impl Elsewhere {
    /// Its processes are out of reach.
    fn refuse<T>(&self) -> Result<T> {
        bail!("the processes of {} are not this test's", self.url)
    }
}

/// Fields are dropped in this order: first the processes, then what they wrote.
#[derive(Debug)]
struct Distributed {
    installation: Arc<Installation>,
    backends: Backends,
    remover: Remover,
    /// Everybody's own, by login name: who is signed in at the issuer is not asked again, as in real life.
    browsers: Mutex<BTreeMap<String, Arc<AsyncMutex<Browser>>>>,
}

impl Distributed {
    fn browser_of(&self, login: &str) -> Arc<AsyncMutex<Browser>> {
        let mut browsers = self.browsers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(browsers.entry(login.to_owned()).or_default())
    }
}

impl World {
    /// Every role in one process, on embedded adapters.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn embedded() -> Result<Self> {
        Self::program(Mode::Embedded, ProgramBuilder::new()?).await
    }

    /// Every role in one process, with the records in the real Cassandra, in a keyspace of their own.
    ///
    /// # Errors
    /// [`NotRun`] where Cassandra is missing; when it does not start.
    pub async fn with_records_in_cassandra() -> Result<Self> {
        let Backend::Ready(address) = cassandra() else {
            return Err(NotRun.into());
        };
        let keyspace = format!("it_{}", Uuid::new_v4().simple());
        Self::with_records_at(&[
            ("RECORDS_CASSANDRA_CONTACT_POINTS", &address),
            ("RECORDS_CASSANDRA_USER", "cassandra"),
            ("RECORDS_CASSANDRA_PASSWORD", "cassandra"),
            ("RECORDS_CASSANDRA_KEYSPACE", &keyspace),
            ("RECORDS_CASSANDRA_REQUEST_TIMEOUT_MS", "20000"),
        ])
        .await
    }

    /// The same in a Cassandra of the test's own choice: variables without their `RIWAQ_`.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn with_records_at(settings: &[(&str, &str)]) -> Result<Self> {
        let mut builder = ProgramBuilder::new()?.variable("RIWAQ_RECORDS_ENGINE", "cassandra");
        for (name, value) in settings {
            builder = builder.variable(&format!("RIWAQ_{name}"), value);
        }
        Self::program(Mode::CassandraRecords, builder).await
    }

    /// Every role in one process, with the content of files in an object storage of the test's own choice, given as
    /// `http://access:secret@host:port`.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn with_blobs_at(url: &str) -> Result<Self> {
        let url = reqwest::Url::parse(url)?;
        let port = url.port_or_known_default().unwrap_or_default();
        let host = url.host_str().unwrap_or_default();
        let endpoint = format!("{}://{host}:{port}", url.scheme());
        let builder = ProgramBuilder::new()?
            .variable("RIWAQ_BLOBS_ENGINE", "s3")
            .variable("RIWAQ_BLOBS_S3_ENDPOINT", &endpoint)
            .variable("RIWAQ_BLOBS_S3_ACCESS_KEY", url.username())
            .variable(
                "RIWAQ_BLOBS_S3_SECRET_KEY",
                url.password().unwrap_or_default(),
            );
        Self::program(Mode::S3Blobs, builder).await
    }

    async fn program(mode: Mode, builder: ProgramBuilder) -> Result<Self> {
        let collector = Collector::start().await?;
        let program = builder
            .variable("RIWAQ_TELEMETRY_OTLP_ENDPOINT", &collector.endpoint())
            .variable("RIWAQ_TELEMETRY_TRACE_SAMPLE_RATIO", "0")
            .start()
            .await?;
        Ok(Self {
            mode,
            host: Host::Program(Box::new(program)),
            collector,
        })
    }

    /// Two processes a role, on the real backends. [`Self::end`] removes what it wrote there, with `remover` for
    /// what needs drivers.
    ///
    /// # Errors
    /// [`NotRun`] where a backend is missing; when it does not start.
    pub async fn distributed(remover: Remover) -> Result<Self> {
        let collector = Collector::start().await?;
        let backends = Backends::find().await?;
        let installation = match distributed::start(&backends, &collector.endpoint()).await {
            Ok(installation) => Arc::new(installation),
            Err(error) => {
                // What could not be started may not have written anything either.
                if let Err(left) = backends.remove(remover).await {
                    println!("left over: {left:#}");
                }
                return Err(error);
            }
        };
        let host = Distributed {
            installation,
            backends,
            remover,
            browsers: Mutex::default(),
        };
        Ok(Self {
            mode: Mode::Distributed,
            host: Host::Installation(Box::new(host)),
            collector,
        })
    }

    /// An installation that somebody else made, with accounts of its own, by its address and an administrator of it.
    ///
    /// # Errors
    /// When the collector of traces does not start.
    pub async fn installed(url: &str, admin: &str, password: &str) -> Result<Self> {
        Ok(Self {
            mode: Mode::Installed,
            host: Host::Elsewhere(Elsewhere {
                url: url.to_owned(),
                admin: admin.to_owned(),
                password: password.to_owned(),
            }),
            collector: Collector::start().await?,
        })
    }

    /// Ends every process and removes what the world wrote into backends.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub async fn end(self) -> Result<()> {
        match self.host {
            Host::Program(_) | Host::Elsewhere(_) => Ok(()),
            Host::Installation(host) => {
                drop(host.installation);
                host.backends.remove(host.remover).await
            }
        }
    }

    /// Its shape.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The address that people reach it by, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.host {
            Host::Program(program) => program.url(),
            Host::Installation(host) => host.installation.url(),
            Host::Elsewhere(host) => host.url.clone(),
        }
    }

    /// Where the traces go that a client decided to have.
    #[must_use]
    pub fn collector(&self) -> &Collector {
        &self.collector
    }

    /// An anonymous client.
    #[must_use]
    pub fn client(&self) -> Client {
        match &self.host {
            Host::Program(program) => program.client(),
            Host::Installation(host) => host.installation.client(),
            Host::Elsewhere(host) => Client::new(&host.url),
        }
    }

    /// The issuer of this world's tokens, as it tells everybody.
    ///
    /// # Errors
    /// When it does not tell.
    pub async fn issuer(&self) -> Result<String> {
        let config = self.client().get("/api/auth/config").await?.expect(200)?;
        let issuer = config["issuer"].as_str().context("no issuer")?;
        Ok(issuer.to_owned())
    }

    /// Signs in the way that this world's issuer wants: with name and password at the API, or at the issuer's own page.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn sign_in(&self, login: &str, password: &str) -> Result<Client> {
        let Host::Installation(host) = &self.host else {
            return self.client().sign_in(login, password).await;
        };
        let browser = host.browser_of(login);
        let mut browser = browser.lock().await;
        let tokens = browser
            .sign_in(&self.issuer().await?, login, password)
            .await?;
        let token = tokens["access_token"].as_str().context("no access token")?;
        Ok(self.client().with_token(token))
    }

    /// An administrator, signed in.
    ///
    /// # Errors
    /// When signing in fails.
    pub async fn admin(&self) -> Result<Client> {
        match &self.host {
            Host::Program(program) => program.signed_in("admin").await,
            Host::Installation(_) => {
                self.sign_in(distributed::ADMIN, distributed::ADMIN_PASSWORD)
                    .await
            }
            Host::Elsewhere(host) => self.sign_in(&host.admin, &host.password).await,
        }
    }

    /// The program with this world's configuration, for its other commands.
    ///
    /// # Errors
    /// When the program was not built.
    pub fn command(&self, args: &[&str]) -> Result<Command> {
        match &self.host {
            Host::Program(program) => program.command(args),
            Host::Installation(host) => host.installation.command(args),
            Host::Elsewhere(host) => host.refuse(),
        }
    }

    /// Runs an operator's command to its end. An embedded data folder is one process's: the program is
    /// stopped for it and started again.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn operate(&mut self, args: &[&str]) -> Result<Output> {
        let mut command = tokio::process::Command::from(self.command(args)?);
        command.kill_on_drop(true);
        if let Host::Program(program) = &mut self.host {
            program.terminate().await?;
            let output = command.output().await?;
            program.start().await?;
            return Ok(output);
        }
        Ok(command.output().await?)
    }

    /// Ends every process by SIGTERM and starts it again: at once, or in two halves where there are two of each.
    ///
    /// # Errors
    /// When one does not drain or does not come back.
    pub async fn restart(&mut self) -> Result<()> {
        match &mut self.host {
            Host::Program(program) => {
                program.terminate().await?;
                program.start().await
            }
            Host::Installation(host) => host.installation.roll().await,
            Host::Elsewhere(host) => host.refuse(),
        }
    }

    /// The one process.
    ///
    /// # Errors
    /// In the distributed mode.
    pub fn one_process(&mut self) -> Result<&mut Program> {
        match &mut self.host {
            Host::Program(program) => Ok(program),
            Host::Installation(_) => bail!("this world has many processes"),
            Host::Elsewhere(host) => host.refuse(),
        }
    }

    /// The many processes.
    ///
    /// # Errors
    /// In the other modes.
    pub fn processes(&self) -> Result<Arc<Installation>> {
        match &self.host {
            Host::Program(_) => bail!("this world is one process"),
            Host::Elsewhere(host) => host.refuse(),
            Host::Installation(host) => Ok(Arc::clone(&host.installation)),
        }
    }

    /// The backends and the lines to them.
    ///
    /// # Errors
    /// In the other modes.
    pub fn backends(&self) -> Result<&Backends> {
        match &self.host {
            Host::Program(_) => bail!("this world has no backends"),
            Host::Elsewhere(host) => host.refuse(),
            Host::Installation(host) => Ok(&host.backends),
        }
    }

    /// The ends of its logs.
    #[must_use]
    pub fn log_ends(&self) -> String {
        match &self.host {
            Host::Program(program) => program.log_end(),
            Host::Installation(host) => host.installation.log_ends(),
            // Whoever made it shows them.
            Host::Elsewhere(_) => String::new(),
        }
    }
}
