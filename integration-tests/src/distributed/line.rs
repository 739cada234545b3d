//! The line to one backend.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use riwaq_test_kit::{ChaosProxy, Fault};

/// The line to one backend: a proxy in front of each of its servers.
#[derive(Debug)]
pub struct Line {
    name: &'static str,
    proxies: Vec<(SocketAddr, ChaosProxy)>,
}

impl Line {
    /// A line to these servers, `host:port` each.
    pub(super) async fn new(name: &'static str, servers: &[&str], seed: u64) -> Result<Self> {
        let mut proxies = Vec::new();
        for (seed, server) in (seed..).zip(servers) {
            let address = resolve(server).await?;
            proxies.push((address, ChaosProxy::start([address], seed)?));
        }
        Ok(Self { name, proxies })
    }

    /// What stands at its end.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Changes what it does to those who talk over it.
    pub async fn set(&self, fault: Fault) {
        for (_, proxy) in &self.proxies {
            proxy.set(fault).await;
        }
    }

    /// How many connections were made over it.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.proxies.iter().map(|(_, proxy)| proxy.accepted()).sum()
    }

    /// Each server's address, and that of the proxy in front of it.
    pub(super) fn ends(&self) -> impl Iterator<Item = (SocketAddr, SocketAddr)> {
        self.proxies
            .iter()
            .map(|(server, proxy)| (*server, proxy.address()))
    }

    /// The address of the first proxy.
    pub(super) fn near(&self) -> Result<SocketAddr> {
        self.ends()
            .next()
            .map(|(_, near)| near)
            .context("no server")
    }
}

async fn resolve(server: &str) -> Result<SocketAddr> {
    let mut found = tokio::net::lookup_host(server)
        .await
        .with_context(|| format!("{server} is not host:port"))?;
    found
        .find(SocketAddr::is_ipv4)
        .with_context(|| format!("{server} has no address"))
}
