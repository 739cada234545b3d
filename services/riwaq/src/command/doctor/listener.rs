//! Our own listener: its certificate, and whether it is for the address that people use.

use anyhow::{Result, bail};
use riwaq_kit::service::{TlsConfig, inspect_certificate};
use url::{Host, Url};

use super::Finding;
use super::certificates::lasting;
use crate::config::Config;

const OF_FILES: &str = "name the certificate with its chain (`server.tls.certificate_file`) and the key that belongs \
                        to it (`server.tls.key_file`), in PEM and readable by this user, and renew them in time";
const OF_ACME: &str = "mend the setting that is named; otherwise see the gateway's log for what the authority says, and \
                       whether each name of `server.tls.acme` leads to this listener on port 443";
const OF_ADDRESS: &str =
    "set `public_url` to https:// and a name in the certificate: links, cookies and sign-in use it";

pub(super) async fn findings(config: &Config) -> Vec<Finding> {
    let Some(tls) = &config.server.tls else {
        return Vec::new();
    };
    let remedy = if tls.acme.is_some() {
        OF_ACME
    } else {
        OF_FILES
    };
    let (names, result) = match certificate(tls).await {
        Ok((names, found)) => (Some(names), Ok(found)),
        Err(error) => (None, Err(error)),
    };
    let mut findings = vec![Finding::new("certificate of this listener", result, remedy)];
    if !config.public_url.is_empty() {
        let result = address(&config.public_url, names.as_deref());
        findings.push(Finding::new("public address", result, OF_ADDRESS));
    }
    findings
}

/// The names in it, or that will be in it, and how long it lasts.
async fn certificate(tls: &TlsConfig) -> Result<(Vec<String>, String)> {
    let Some(facts) = inspect_certificate(tls).await? else {
        let acme = tls.acme.clone().unwrap_or_default();
        let found = format!(
            "none yet: the gateway orders one from {}",
            acme.directory_url
        );
        return Ok((acme.domains, found));
    };
    let lasting = lasting(facts.from, facts.until)?;
    let found = format!("{lasting}, for {}", facts.names.join(", "));
    Ok((facts.names, found))
}

/// Without names only the scheme can be judged.
fn address(public_url: &str, names: Option<&[String]>) -> Result<String> {
    let url = Url::parse(public_url)?;
    if url.scheme() != "https" {
        bail!("public_url is {public_url}, and the listener speaks TLS only");
    }
    if let (Some(Host::Domain(host)), Some(names)) = (url.host(), names)
        && !names.iter().any(|name| covers(name, host))
    {
        bail!(
            "browsers will refuse the certificate: it is for {}, and public_url is {public_url}",
            names.join(", ")
        );
    }
    Ok(public_url.to_owned())
}

/// Whether a name of a certificate, in which `*` stands for one label, is that of `host`.
fn covers(name: &str, host: &str) -> bool {
    let (name, host) = (name.to_ascii_lowercase(), host.to_ascii_lowercase());
    match name.strip_prefix("*.") {
        Some(parent) => host
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
        None => name == host,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use chrono::TimeDelta;
    use rcgen::{CertificateParams, KeyPair};
    use riwaq_kit::service::AcmeConfig;

    use super::*;
    use crate::host;

    /// Certificate and key of a name, in two files of a folder.
    fn write(folder: &Path, days: i64) -> TlsConfig {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec!["ent.school.example".into()]).unwrap();
        let end = host::clock().now() + TimeDelta::days(days);
        parameters.not_after = std::time::SystemTime::from(end).into();
        let certificate = parameters.self_signed(&key).unwrap();
        let tls = TlsConfig {
            certificate_file: folder.join("cert.pem"),
            key_file: folder.join("key.pem"),
            ..TlsConfig::default()
        };
        std::fs::write(&tls.certificate_file, certificate.pem()).unwrap();
        std::fs::write(&tls.key_file, key.serialize_pem()).unwrap();
        tls
    }

    async fn found(tls: &TlsConfig, public_url: &str) -> Vec<Result<String, String>> {
        let mut config = Config {
            public_url: public_url.into(),
            ..Config::default()
        };
        config.server.tls = Some(tls.clone());
        let found = findings(&config).await.into_iter();
        let text = |finding: Finding| finding.result.map_err(|error| format!("{error:#}"));
        found.map(text).collect()
    }

    #[tokio::test]
    async fn a_certificate_for_the_public_address_is_good() {
        let folder = tempfile::tempdir().unwrap();
        let tls = write(folder.path(), 60);
        let good = found(&tls, "https://ent.school.example").await;
        let certificate = good[0].as_ref().unwrap();
        assert!(
            certificate.contains("for ent.school.example"),
            "{certificate}"
        );
        assert!(good[1].is_ok(), "{good:?}");
        for (other, why) in [
            ("https://other.example", "it is for ent.school.example"),
            ("http://ent.school.example", "speaks TLS only"),
        ] {
            let bad = found(&tls, other).await.remove(1).unwrap_err();
            assert!(bad.contains(why), "{bad}");
        }
        assert!(findings(&Config::default()).await.is_empty());
    }

    #[tokio::test]
    async fn what_is_wrong_with_the_files_is_said_with_the_setting() {
        let folder = tempfile::tempdir().unwrap();
        let said = async |tls: &TlsConfig| found(tls, "").await.remove(0).unwrap_err();
        let expired = said(&write(folder.path(), -3)).await;
        assert!(expired.contains("it has expired on"), "{expired}");
        let tls = write(folder.path(), 60);
        let missing = TlsConfig {
            certificate_file: folder.path().join("missing.pem"),
            ..tls.clone()
        };
        let unreadable = said(&missing).await;
        assert!(
            unreadable.contains("missing.pem: No such file"),
            "{unreadable}"
        );
        std::fs::write(&tls.certificate_file, "").unwrap();
        let empty = said(&tls).await;
        assert!(
            empty.contains("server.tls.certificate_file") && empty.contains("it is empty"),
            "{empty}"
        );
        let unset = said(&TlsConfig::default()).await;
        assert!(unset.contains("is not set"), "{unset}");
        let tls = write(folder.path(), 60);
        let key = std::fs::read(&tls.key_file).unwrap();
        let tls = write(folder.path(), 60);
        std::fs::write(&tls.key_file, key).unwrap();
        let mismatch = said(&tls).await;
        assert!(
            mismatch.contains("server.tls.key_file") && mismatch.contains("does not belong"),
            "{mismatch}"
        );
    }

    #[tokio::test]
    async fn by_acme_there_may_be_none_yet_and_settings_are_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let by = |accept_terms| TlsConfig {
            acme: Some(AcmeConfig {
                domains: vec!["ent.school.example".into()],
                accept_terms,
                folder: folder.path().into(),
                ..AcmeConfig::default()
            }),
            ..TlsConfig::default()
        };
        let good = found(&by(true), "https://ent.school.example").await;
        assert!(good[0].as_ref().unwrap().contains("none yet"), "{good:?}");
        assert!(good[1].is_ok(), "{good:?}");
        let refused = found(&by(false), "").await.remove(0).unwrap_err();
        assert!(refused.contains("acme.accept_terms"), "{refused}");
    }

    #[test]
    fn a_star_stands_for_one_label() {
        assert!(covers("*.school.example", "ENT.school.example"));
        assert!(!covers("*.school.example", "school.example"));
        assert!(!covers("*.school.example", "a.b.school.example"));
        assert!(covers("school.example", "school.example"));
    }
}
