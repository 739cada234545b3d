//! What operators' commands have in common: the whole program built, and nothing listening.

use anyhow::{Context, Result};
use riwaq_auth::Auth;

use crate::cli::{Listen, Sources};
use crate::config::Config;
use crate::host::{self, Host};
use crate::role;
use crate::roles::ROLES;

/// The built program. Services answer each other; nobody else is listened to.
pub(crate) struct Operator {
    pub(crate) host: Box<Host>,
    pub(crate) auth: Box<Auth>,
}

impl Operator {
    /// Opens everything. An embedded data folder must not be in use: stop `riwaq dev` first.
    pub(crate) async fn open(sources: &Sources) -> Result<Self> {
        let config = Config::load_for_development(sources, &Listen::default())?.quiet();
        let clock = host::clock();
        let telemetry = host::telemetry(&config, "riwaq", &clock)?;
        let address = std::net::SocketAddr::new(config.listen, config.port);
        let config = config.bound(address)?;
        let here: Vec<_> = ROLES.iter().collect();
        let mut host = Box::pin(Host::open(config, clock.clone(), &here))
            .await
            .context("an operator's command opens the data itself; if `riwaq dev` runs on it, stop that first")?;
        host.migrate().await?;
        host.declare_groups().await?;
        let mut process = host::process(&host.parts.config, &clock, telemetry.metrics());
        let _gateway = host.build(&mut process)?;
        let auth = Box::new(role::auth::auth(&host.parts)?);
        auth.prepare().await.map_err(super::demo::problem)?;
        Ok(Self {
            host: Box::new(host),
            auth,
        })
    }
}
