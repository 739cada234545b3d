//! The servers that are reached over HTTP, as configured.

use std::path::PathBuf;

use anyhow::{Context, Result};
use url::Url;

use crate::config::{BlobsEngine, Config, DirectoryEngine, IndexEngine};

/// One of them.
pub(super) struct Endpoint {
    /// What it is, for people.
    pub(super) what: String,
    /// An address that answers something, whoever asks.
    pub(super) url: Url,
    /// The authorities that its certificate may come from (PEM); none: those of the system.
    pub(super) ca_file: Option<PathBuf>,
}

impl Endpoint {
    /// Name or address, and port, as a socket is opened to them: an IPv6 address stands in brackets in a URL alone.
    pub(super) fn address(&self) -> Result<(&str, u16)> {
        let host = self.url.host_str().context("no host")?;
        let port = self.url.port_or_known_default().context("no port")?;
        Ok((host.trim_matches(['[', ']']), port))
    }
}

/// Every server that the chosen adapters reach over HTTP.
pub(super) fn all(config: &Config) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    if config.blobs.engine == BlobsEngine::S3 {
        let s3 = &config.blobs.s3;
        add(
            &mut endpoints,
            "the object storage",
            &s3.endpoint,
            s3.ca_file.as_ref(),
        );
        if !s3.public_endpoint.is_empty() {
            let what = "the object storage's public address";
            // Browsers go there, with the authorities that they know.
            add(&mut endpoints, what, &s3.public_endpoint, None);
        }
    }
    if config.index.engine == IndexEngine::Opensearch {
        let opensearch = &config.index.opensearch;
        for url in &opensearch.urls {
            add(
                &mut endpoints,
                "the index",
                url,
                opensearch.ca_file.as_ref(),
            );
        }
    }
    if config.directory.engine == DirectoryEngine::Keycloak {
        let keycloak = &config.directory.keycloak;
        add(
            &mut endpoints,
            "the directory",
            &keycloak.server_url,
            keycloak.ca_file.as_ref(),
        );
    }
    endpoints
}

/// An address that is none is found by the check of the backend itself.
fn add(endpoints: &mut Vec<Endpoint>, what: &str, address: &str, ca_file: Option<&PathBuf>) {
    if let Ok(url) = Url::parse(address) {
        endpoints.push(Endpoint {
            what: what.to_owned(),
            url,
            ca_file: ca_file.cloned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_opened_to_an_address_without_brackets_and_to_the_usual_port() {
        let address = |url: &str| {
            let url = Url::parse(url).unwrap();
            let (what, ca_file) = (String::new(), None);
            let endpoint = Endpoint { what, url, ca_file };
            let (host, port) = endpoint.address().unwrap();
            (host.to_owned(), port)
        };
        assert_eq!(address("https://[::1]/"), ("::1".to_owned(), 443));
        assert_eq!(address("http://s3:9000"), ("s3".to_owned(), 9000));
    }
}
