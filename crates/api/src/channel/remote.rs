//! Addresses of a service in other processes.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Uri;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use super::ChannelError;
use super::policy::ChannelPolicy;

/// Looks host names up.
#[async_trait]
pub trait Resolver: Send + Sync + fmt::Debug {
    /// Every address of `host`; a headless Kubernetes service has one for each ready replica.
    ///
    /// # Errors
    /// When the name is unknown or the name service does not answer.
    async fn resolve(&self, host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>>;
}

/// The machine's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// Where the replicas of a service are.
#[derive(Debug, Clone)]
pub struct Remote {
    /// `http://host:port` or `https://host:port`, one or several.
    pub endpoints: Vec<String>,
    /// How names become addresses.
    pub resolver: Arc<dyn Resolver>,
    /// The certificate authority of `https` endpoints, PEM.
    pub ca_pem: Option<String>,
}

impl Remote {
    /// Endpoints without TLS, resolved by the machine.
    #[must_use]
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            resolver: Arc::new(SystemResolver),
            ca_pem: None,
        }
    }
}

/// One configured endpoint, checked.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) port: u16,
    ca: Option<Certificate>,
}

impl Host {
    pub(crate) fn parse(endpoint: &str, ca_pem: Option<&str>) -> Result<Self, ChannelError> {
        let refuse = |reason: &str| ChannelError::Endpoint {
            endpoint: endpoint.to_owned(),
            reason: reason.to_owned(),
        };
        let uri: Uri = endpoint.parse().map_err(|_| refuse("not an address"))?;
        let name = uri.host().ok_or_else(|| refuse("no host"))?;
        if uri
            .path_and_query()
            .is_some_and(|path| path.as_str() != "/")
        {
            return Err(refuse("it has a path"));
        }
        let (default_port, ca) = match (uri.scheme_str(), ca_pem) {
            (Some("http"), _) => (80, None),
            (Some("https"), Some(pem)) => (443, Some(Certificate::from_pem(pem))),
            (Some("https"), None) => return Err(refuse("https needs a certificate authority")),
            _ => return Err(refuse("neither http nor https")),
        };
        let name = name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        Ok(Self {
            name,
            port: uri.port_u16().unwrap_or(default_port),
            ca,
        })
    }

    /// A lazy connection to one address of this host.
    pub(crate) fn connect(
        &self,
        address: SocketAddr,
        policy: &ChannelPolicy,
    ) -> Result<tonic::transport::Channel, ChannelError> {
        let scheme = if self.ca.is_some() { "https" } else { "http" };
        let refuse = |error: tonic::transport::Error| ChannelError::Endpoint {
            endpoint: format!("{scheme}://{address}"),
            reason: error.to_string(),
        };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))
            .map_err(refuse)?
            .connect_timeout(Duration::from_millis(policy.connect_timeout_ms))
            .tcp_nodelay(true)
            // A peer that vanished without a word is noticed.
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(5))
            .http2_adaptive_window(true);
        if let Some(ca) = &self.ca {
            let tls = ClientTlsConfig::new()
                .domain_name(self.name.as_str())
                .ca_certificate(ca.clone());
            endpoint = endpoint.tls_config(tls).map_err(refuse)?;
        }
        Ok(endpoint.connect_lazy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_checked() {
        for bad in [
            "",
            "users:80x",
            "ftp://users",
            "http://",
            "http://users/path",
            "https://users",
        ] {
            assert!(Host::parse(bad, None).is_err(), "{bad:?}");
        }
        let host = Host::parse("http://[::1]:81", None).unwrap();
        assert_eq!((host.name.as_str(), host.port), ("::1", 81));
        assert_eq!(Host::parse("http://users", None).unwrap().port, 80);
    }
}
