//! The whole configuration: the program's own part, and one section for each crate.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use riwaq_api::ChannelPolicy;
use riwaq_api::server::ServerPolicy;
use riwaq_kit::Secret;
use riwaq_kit::config::{Loader, process_environment, render};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::cli::{DEMO_PASSWORD, Listen, Sources};
use crate::roles;

mod adapters;
mod docs;
#[cfg(test)]
mod tests;

pub(crate) use adapters::*;

/// What `riwaq dev` sets where nothing else is said.
const DEVELOPMENT: &str = "auth.registration = true\nserver.drain_delay_seconds = 0";

/// Long enough for whoever shares requests out among processes to have looked, and to have seen that this one ends.
const DRAIN_DELAY_SECONDS: u64 = 3;

/// The variables that are settings: that of a flag is none, and every command of a pod has it.
fn settings(
    variables: impl Iterator<Item = (String, String)>,
) -> impl Iterator<Item = (String, String)> {
    variables.filter(|(name, _)| name != DEMO_PASSWORD)
}

/// Everything that can be configured.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// The address that browsers and programs use, and the issuer of tokens; empty: the listening address and port, with https where `server.tls` is set.
    pub(crate) public_url: String,
    /// The address to listen at.
    pub(crate) listen: IpAddr,
    /// The port to listen at; 0: any that is free.
    pub(crate) port: u16,
    /// Where the embedded adapters keep everything.
    pub(crate) data_dir: PathBuf,
    pub(crate) secrets: SecretsConfig,
    pub(crate) records: RecordsConfig,
    pub(crate) events: EventsConfig,
    pub(crate) blobs: BlobsConfig,
    pub(crate) index: IndexConfig,
    pub(crate) directory: DirectoryConfig,
    pub(crate) mail: MailConfig,
    pub(crate) peers: PeersConfig,
    pub(crate) calls: CallsConfig,
    pub(crate) server: riwaq_kit::service::ServerConfig,
    pub(crate) telemetry: riwaq_kit::TelemetryConfig,
    pub(crate) identity: riwaq_identity::IdentityConfig,
    pub(crate) gateway: riwaq_gateway::Config,
    pub(crate) auth: riwaq_auth::Config,
    pub(crate) users: riwaq_users::Config,
    pub(crate) courses: riwaq_courses::Config,
    pub(crate) files: riwaq_files::Config,
    pub(crate) search: riwaq_search::Config,
    pub(crate) chatbot: riwaq_chatbot::Config,
}

/// Secrets that all processes of an installation share.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SecretsConfig {
    /// 32 random bytes in base64, from which every other key is derived; `riwaq dev` makes its own.
    pub(crate) master_key: Option<Secret>,
}

/// Where the other roles answer, for a role of its own: `http://host:port`, several with commas between.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PeersConfig {
    /// The auth role.
    pub(crate) auth: String,
    /// The users role.
    pub(crate) users: String,
    /// The courses role.
    pub(crate) courses: String,
    /// The files role.
    pub(crate) files: String,
    /// The search role.
    pub(crate) search: String,
    /// The chatbot role.
    pub(crate) chatbot: String,
}

/// Calls of one role to another.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CallsConfig {
    /// Longest time for one call, tries included, in milliseconds, 100 to 60000; streams have no such limit.
    pub(crate) deadline_ms: u64,
}

impl Default for CallsConfig {
    fn default() -> Self {
        Self {
            deadline_ms: ChannelPolicy::default().deadline_ms,
        }
    }
}

impl CallsConfig {
    fn check(&self) -> Result<()> {
        let accepted = 100..=ServerPolicy::default().max_deadline_ms;
        if accepted.contains(&self.deadline_ms) {
            return Ok(());
        }
        let (least, most) = accepted.into_inner();
        bail!(
            "calls.deadline_ms is {}: it must be {least} to {most} milliseconds",
            self.deadline_ms
        )
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            public_url: String::new(),
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 8080,
            data_dir: "./data".into(),
            secrets: SecretsConfig::default(),
            records: RecordsConfig::default(),
            events: EventsConfig::default(),
            blobs: BlobsConfig::default(),
            index: IndexConfig::default(),
            directory: DirectoryConfig::default(),
            mail: MailConfig::default(),
            peers: PeersConfig::default(),
            calls: CallsConfig::default(),
            server: riwaq_kit::service::ServerConfig {
                drain_delay_seconds: DRAIN_DELAY_SECONDS,
                ..Default::default()
            },
            telemetry: riwaq_kit::TelemetryConfig::default(),
            // Empty: the public address.
            identity: riwaq_identity::IdentityConfig {
                issuer: String::new(),
                ..Default::default()
            },
            gateway: riwaq_gateway::Config::default(),
            auth: riwaq_auth::Config::default(),
            users: riwaq_users::Config::default(),
            courses: riwaq_courses::Config::default(),
            files: riwaq_files::Config::default(),
            search: riwaq_search::Config::default(),
            chatbot: riwaq_chatbot::Config::default(),
        }
    }
}

impl Config {
    /// Lays the sources over one another: defaults, file, environment, flags.
    pub(crate) fn load(sources: &Sources, listen: &Listen) -> Result<Self> {
        Self::load_over("", sources, listen)
    }

    /// As [`Self::load`], over the defaults of `riwaq dev`.
    pub(crate) fn load_for_development(sources: &Sources, listen: &Listen) -> Result<Self> {
        Self::load_over(DEVELOPMENT, sources, listen)
    }

    fn load_over(base: &str, sources: &Sources, listen: &Listen) -> Result<Self> {
        let mut loader = Loader::new().toml(base, "the defaults of riwaq dev")?;
        if let Some(path) = &sources.config {
            loader = loader.file(path)?;
        }
        // Read by the tests of the repository, which start this program.
        loader = loader
            .ignore("RIWAQ_TEST_")
            .ignore("RIWAQ_CACHE")
            .environment(settings(process_environment()));
        if let Some(folder) = &sources.data_dir {
            let folder = folder.to_str().context("--data-dir is not Unicode")?;
            loader = loader.flag("--data-dir", "data_dir", folder);
        }
        if let Some(address) = listen.listen {
            loader = loader.flag("--listen", "listen", address.to_string());
        }
        if let Some(port) = listen.port {
            loader = loader.flag("--port", "port", port.to_string());
        }
        Ok(loader.load::<Self>()?.settled())
    }

    /// The same with what follows from other settings.
    fn settled(mut self) -> Self {
        let acme = self.server.tls.as_mut().and_then(|tls| tls.acme.as_mut());
        if let Some(acme) = acme
            && acme.folder.as_os_str().is_empty()
        {
            acme.folder = self.data_dir.join("acme");
        }
        self
    }

    /// The part of one role: only the public listener speaks TLS, and what is behind it is reached by
    /// addresses of its own.
    pub(crate) fn of_role(mut self, role: &str) -> Self {
        if role != roles::PUBLIC {
            self.server.tls = None;
        }
        self
    }

    /// The same with only warnings in the log: for commands that print their own results.
    pub(crate) fn quiet(mut self) -> Self {
        if self.telemetry.log_level == riwaq_kit::TelemetryConfig::default().log_level {
            "warn".clone_into(&mut self.telemetry.log_level);
        }
        self
    }

    /// The same, found sound, with what depends on the address that was bound.
    pub(crate) fn bound(mut self, address: SocketAddr) -> Result<Self> {
        self.calls.check()?;
        if self.public_url.is_empty() {
            let scheme = if self.server.tls.is_some() {
                "https"
            } else {
                "http"
            };
            self.public_url = format!("{scheme}://{address}");
        }
        let url = Url::parse(&self.public_url).context("public_url")?;
        if !matches!(url.scheme(), "http" | "https")
            || url.query().is_some()
            || url.fragment().is_some()
        {
            bail!("public_url must be an http or https address without query and fragment");
        }
        self.public_url = url.as_str().trim_end_matches('/').to_owned();
        if self.identity.issuer.is_empty() {
            self.identity.issuer = crate::issuer::name(&self);
        }
        Ok(self)
    }

    /// Commented, with every setting; secrets are not shown.
    pub(crate) fn render(&self) -> Result<String> {
        Ok(render(self, &docs::docs(), "riwaq", "Config")?)
    }
}
