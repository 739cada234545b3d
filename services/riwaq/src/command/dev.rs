//! `riwaq dev`: every role in this one process.

use anyhow::Result;

use super::demo;
use crate::cli::Dev;
use crate::config::Config;
use crate::host::{self, Host, Port};
use crate::role;
use crate::roles::ROLES;

pub(crate) async fn run(dev: Dev) -> Result<()> {
    let config = Config::load_for_development(&dev.sources, &dev.listen)?;
    let clock = host::clock();
    let telemetry = host::telemetry(&config, "riwaq", &clock)?;
    let (port, config) = Port::take(config)?;
    let here: Vec<_> = ROLES.iter().collect();
    let mut host = Host::open(config, clock.clone(), &here).await?;
    host.migrate().await?;
    host.declare_groups().await?;
    let mut process = host::process(&host.parts.config, &clock, telemetry.metrics());
    let gateway = host.build(&mut process)?;
    let auth = role::auth::auth(&host.parts)?;
    auth.prepare().await.map_err(demo::problem)?;
    if !dev.no_demo {
        demo::accounts(&auth, dev.demo_password.as_deref()).await?;
    }
    let listener = port.open()?;
    crate::print(&format!(
        "Riwaq is ready at {}",
        host.parts.config.public_url
    ));
    let gateway = follow_identity(&host, gateway);
    host::serve(process, gateway, listener).await?;
    drop(host);
    telemetry.shutdown();
    Ok(())
}

/// The process's identity follows revocations and roles as long as the process runs.
pub(crate) fn follow_identity(host: &Host, service: riwaq_kit::Service) -> riwaq_kit::Service {
    let identity = host.parts.identity.clone();
    let events = host.parts.adapters.events.clone();
    let replica = host.parts.replica(service.name());
    service.background("identity", move |closing| {
        identity.follow(events, replica, closing)
    })
}
