//! Who is who in the cluster: one authority, a certificate for each part, and how each reaches the API server.

use std::fs;
use std::path::Path;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use serde_json::json;

use super::place::{API, FIRST_SERVICE, NODE, NODE_NAME, Place};

/// Certificates that show somebody to the API server: file, common name, organisation. The names are those that the
/// rights of Kubernetes are given to.
const CLIENTS: &[(&str, &str, &str)] = &[
    ("admin", "admin", "system:masters"),
    ("apiserver-kubelet", "apiserver-kubelet", "system:masters"),
    ("controller-manager", "system:kube-controller-manager", ""),
    ("scheduler", "system:kube-scheduler", ""),
    ("proxy", "system:kube-proxy", ""),
];

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Makes all of it; the authority's key is thrown away.
pub(super) fn make(place: &Place) -> Result<()> {
    let folder = place.pki();
    let authority = CertifiedIssuer::self_signed(authority()?, KeyPair::generate()?)?;
    fs::write(folder.join("ca.crt"), authority.pem())?;
    server(&folder, &authority)?;
    for (file, name, organisation) in CLIENTS {
        client(&folder, &authority, file, name, organisation)?;
    }
    let node = format!("system:node:{NODE_NAME}");
    client(&folder, &authority, "kubelet", &node, "system:nodes")?;
    for who in [
        "admin",
        "controller-manager",
        "scheduler",
        "proxy",
        "kubelet",
    ] {
        kubeconfig(place, who)?;
    }
    let accounts = KeyPair::generate()?;
    fs::write(folder.join("accounts.key"), accounts.serialize_pem())?;
    fs::write(folder.join("accounts.pub"), accounts.public_key_pem())?;
    Ok(())
}

fn authority() -> Result<CertificateParams> {
    let mut params = params("riwaq-cluster", "", &[])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn params(name: &str, organisation: &str, names: &[&str]) -> Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, name);
    if !organisation.is_empty() {
        params
            .distinguished_name
            .push(DnType::OrganizationName, organisation);
    }
    // The authority's key is gone with this run: nobody can make another certificate of it.
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    Ok(params)
}

fn server(folder: &Path, authority: &Authority) -> Result<()> {
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        FIRST_SERVICE,
        NODE,
        "127.0.0.1",
    ];
    let mut params = params("kube-apiserver", "", &names)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    write(folder, "apiserver", &params, authority)
}

fn client(
    folder: &Path,
    authority: &Authority,
    file: &str,
    name: &str,
    organisation: &str,
) -> Result<()> {
    let mut params = params(name, organisation, &[])?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    write(folder, file, &params, authority)
}

fn write(
    folder: &Path,
    file: &str,
    params: &CertificateParams,
    authority: &Authority,
) -> Result<()> {
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    fs::write(folder.join(format!("{file}.crt")), certificate.pem())?;
    fs::write(folder.join(format!("{file}.key")), key.serialize_pem())?;
    Ok(())
}

fn kubeconfig(place: &Place, who: &str) -> Result<()> {
    let folder = place.pki();
    let encoded =
        |file: String| -> Result<String> { Ok(STANDARD.encode(fs::read(folder.join(file))?)) };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "riwaq",
        "contexts": [{"name": "riwaq", "context": {"cluster": "riwaq", "user": who}}],
        "clusters": [{"name": "riwaq", "cluster": {
            "server": format!("https://{NODE}:{API}"),
            "certificate-authority-data": encoded("ca.crt".into())?,
        }}],
        "users": [{"name": who, "user": {
            "client-certificate-data": encoded(format!("{who}.crt"))?,
            "client-key-data": encoded(format!("{who}.key"))?,
        }}],
    });
    fs::write(place.kubeconfig(who), config.to_string())?;
    Ok(())
}
