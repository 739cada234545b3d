//! Whether the servers that speak HTTP take connections from here. What takes none is one finding: its certificate and its
//! clock are nobody's trouble yet.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Finding;
use super::endpoints::Endpoint;

const CONNECTED: Duration = Duration::from_secs(5);
const REMEDY: &str =
    "its name has to be known here (DNS), and its port open from here (firewall, NetworkPolicy)";

/// Those that take connections, and a finding for each of the others.
pub(super) async fn reached(endpoints: Vec<Endpoint>) -> (Vec<Endpoint>, Vec<Finding>) {
    let (mut reached, mut findings) = (Vec::new(), Vec::new());
    for endpoint in endpoints {
        match connect(&endpoint).await {
            Ok(()) => reached.push(endpoint),
            Err(error) => {
                let what = format!("way to {}", endpoint.what);
                findings.push(Finding::new(what, Err(error), REMEDY));
            }
        }
    }
    (reached, findings)
}

async fn connect(endpoint: &Endpoint) -> Result<()> {
    let (host, port) = endpoint.address()?;
    let connected = timeout(CONNECTED, TcpStream::connect((host, port))).await;
    let connected = connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
    connected
        .map(drop)
        .with_context(|| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn endpoint(address: &str) -> Endpoint {
        Endpoint {
            what: address.to_owned(),
            url: format!("http://{address}").parse().unwrap(),
            ca_file: None,
        }
    }

    #[tokio::test]
    async fn only_what_takes_connections_is_looked_at_further() {
        let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = open.local_addr().unwrap().to_string();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed_at = closed.local_addr().unwrap().to_string();
        drop(closed);
        let unknown = "no-such-host.invalid:80";
        let endpoints = [&*open, &*closed_at, unknown].map(endpoint);
        let (reached, findings) = reached(endpoints.into()).await;
        let reached: Vec<_> = reached.into_iter().map(|endpoint| endpoint.what).collect();
        assert_eq!(reached, [open]);
        let told: Vec<_> = findings.iter().map(|finding| &*finding.what).collect();
        assert_eq!(
            told,
            [format!("way to {closed_at}"), format!("way to {unknown}")]
        );
        let why = findings[0].result.as_ref().unwrap_err();
        assert!(format!("{why:#}").contains("refused"), "{why:#}");
    }
}
