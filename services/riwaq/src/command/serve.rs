//! `riwaq serve ROLE`: one role as a process of its own.

use anyhow::Result;

use super::dev::follow_identity;
use crate::cli::Serve;
use crate::config::Config;
use crate::host::{self, Host, Port};
use crate::roles;

pub(crate) async fn run(serve: Serve) -> Result<()> {
    let role = roles::find(serve.role)?;
    let config = Config::load(&serve.sources, &serve.listen)?.of_role(role.name);
    let clock = host::clock();
    let telemetry = host::telemetry(&config, role.name, &clock)?;
    let (port, config) = Port::take(config)?;
    let mut host = Host::open(config, clock.clone(), &[role]).await?;
    host.check_schema().await?;
    host.declare_groups().await?;
    let mut process = host::process(&host.parts.config, &clock, telemetry.metrics());
    let service = host.build(&mut process)?;
    let service = follow_identity(&host, service);
    host::serve(process, service, port.open()?).await?;
    drop(host);
    telemetry.shutdown();
    Ok(())
}
