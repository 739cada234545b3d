//! What operators' commands have in common: a part of the program built, and nothing listening.

use anyhow::{Context, Result};
use riwaq_auth::Auth;

use crate::cli::{Listen, Sources};
use crate::config::Config;
use crate::host::{self, Host};
use crate::role;
use crate::roles::Role;

/// Builds the roles that `here` chooses: no backend is asked for that they do not stand on. They answer each other; nobody
/// else is listened to. An embedded data folder must not be in use: stop `riwaq dev` first.
pub(crate) async fn build(
    sources: &Sources,
    here: fn(&Config) -> Vec<&'static Role>,
) -> Result<Box<Host>> {
    let config = Config::load_for_development(sources, &Listen::default())?.quiet();
    let clock = host::clock();
    let telemetry = host::telemetry(&config, "riwaq", &clock)?;
    let address = std::net::SocketAddr::new(config.listen, config.port);
    let config = config.bound(address)?;
    let here = here(&config);
    let mut host = Box::pin(Host::open(config, clock.clone(), &here))
        .await
        .context("an operator's command opens the data itself; if `riwaq dev` runs on it, stop that first")?;
    host.migrate().await?;
    host.declare_groups().await?;
    let mut process = host::process(&host.parts.config, &clock, telemetry.metrics());
    let _listening = host.build(&mut process)?;
    Ok(Box::new(host))
}

/// What commands about accounts need.
pub(crate) struct Operator {
    pub(crate) host: Box<Host>,
    pub(crate) auth: Box<Auth>,
}

impl Operator {
    /// Opens the roles that keep accounts.
    pub(crate) async fn open(sources: &Sources) -> Result<Self> {
        let host = build(sources, |_| vec![&role::auth::ROLE, &role::users::ROLE]).await?;
        let auth = Box::new(role::auth::auth(&host.parts)?);
        auth.prepare().await.map_err(super::demo::problem)?;
        Ok(Self { host, auth })
    }
}
