//! Clients keep their addresses on their way in, and whoever shows or judges the certificate has it.

use serde_json::Value;

use super::pods;
use crate::chart::render::Document;

/// Where the configuration says that the certificate lies.
const CERTIFICATE: &str = "/etc/riwaq/tls";

pub(super) fn findings(documents: &[Document]) -> Vec<String> {
    let mut findings = masked(documents);
    findings.extend(unknown_proxies(documents));
    findings.extend(without_certificate(documents));
    findings
}

/// The program's configuration, as the chart writes it.
pub(super) fn config(documents: &[Document]) -> &str {
    let maps = documents.iter().filter(|one| one.kind() == "ConfigMap");
    let texts = maps.filter_map(|one| one.value["data"]["riwaq.toml"].as_str());
    // That of the migration is a part of it.
    texts.max_by_key(|text| text.len()).unwrap_or_default()
}

/// Sign-in is limited by address: a node's, shown for everybody's, is soon shut out.
fn masked(documents: &[Document]) -> Vec<String> {
    let services = documents.iter().filter(|one| one.kind() == "Service");
    let outside = services.filter(|one| {
        let kind = one.value["spec"]["type"].as_str();
        matches!(kind, Some("NodePort" | "LoadBalancer"))
    });
    outside
        .filter(|one| one.value["spec"]["externalTrafficPolicy"] != "Local")
        .map(|one| format!("Service {}: clients lose their addresses", one.name()))
        .collect()
}

/// The same with what stands in front.
fn unknown_proxies(documents: &[Document]) -> Option<String> {
    let is_front = |one: &&Document| matches!(one.kind(), "Ingress" | "HTTPRoute");
    let front = documents.iter().find(is_front)?;
    let mut settings = config(documents).lines().map(str::trim);
    let known = settings.any(|line| line.starts_with("trusted_proxies = [\""));
    (!known).then(|| {
        let kind = front.kind();
        format!("{kind}: gateway.trusted_proxies is empty, so everybody has the proxy's address")
    })
}

fn without_certificate(documents: &[Document]) -> Vec<String> {
    if !config(documents).contains(CERTIFICATE) {
        return Vec::new();
    }
    let pods = documents
        .iter()
        .filter_map(|one| Some((one, pods::pod(one)?)));
    let reading = pods.filter(|(_, spec)| containers(spec).any(|one| reads(one) && !has(one)));
    reading
        .map(|(one, _)| format!("{} {}: it has no {CERTIFICATE}", one.kind(), one.name()))
        .collect()
}

fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    spec["containers"].as_array().into_iter().flatten()
}

/// The public listener does, and the doctor.
fn reads(container: &Value) -> bool {
    let args = container["args"].as_array().into_iter().flatten();
    let args: Vec<&str> = args.filter_map(Value::as_str).collect();
    matches!(
        args.as_slice(),
        ["dev" | "doctor", ..] | ["serve", "gateway", ..]
    )
}

fn has(container: &Value) -> bool {
    let mut mounts = container["volumeMounts"].as_array().into_iter().flatten();
    mounts.any(|mount| mount["mountPath"] == CERTIFICATE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::render::Rendered;

    fn found(text: &str) -> Vec<String> {
        findings(&Rendered::parse(text).unwrap().documents)
    }

    #[test]
    fn a_service_that_hides_who_asks_is_found() {
        let service = |spec: &str| format!("kind: Service\nmetadata: {{name: x}}\nspec: {spec}\n");
        assert_eq!(found(&service("{type: ClusterIP}")), Vec::<String>::new());
        let local = service("{type: NodePort, externalTrafficPolicy: Local}");
        assert_eq!(found(&local), Vec::<String>::new());
        for hiding in [
            "{type: NodePort}",
            "{type: LoadBalancer, externalTrafficPolicy: Cluster}",
        ] {
            assert_eq!(found(&service(hiding)).len(), 1, "{hiding}");
        }
    }

    #[test]
    fn a_proxy_that_the_configuration_does_not_know_is_found() {
        let config = |line: &str| {
            format!("kind: ConfigMap\ndata:\n  riwaq.toml: |\n    [gateway]\n    {line}\n---\n")
        };
        for front in ["Ingress", "HTTPRoute"] {
            let front = format!("kind: {front}\n");
            let known = config("trusted_proxies = [\"10.244.7.0/28\"]") + &front;
            assert_eq!(found(&known), Vec::<String>::new());
            let none = config("trusted_proxies = []") + &front;
            assert_eq!(found(&none).len(), 1);
            assert_eq!(found(&front).len(), 1);
        }
    }

    #[test]
    fn who_reads_the_certificate_has_it() {
        let config = "kind: ConfigMap\ndata:\n  riwaq.toml: |\n    key_file = \"/etc/riwaq/tls/tls.key\"\n---\n";
        let pod = |args: &str, path: &str| {
            let mounts = format!("[{{mountPath: {path}}}]");
            let spec = format!("{{containers: [{{args: {args}, volumeMounts: {mounts}}}]}}");
            format!("kind: Pod\nmetadata: {{name: x}}\nspec: {spec}\n")
        };
        for args in ["[dev]", "[serve, gateway]", "[doctor, --config, x]"] {
            let with = config.to_owned() + &pod(args, CERTIFICATE);
            assert_eq!(found(&with), Vec::<String>::new());
            let without = pod(args, "/tmp");
            assert_eq!(found(&(config.to_owned() + &without)).len(), 1, "{args}");
            assert_eq!(found(&without), Vec::<String>::new());
        }
        let behind = config.to_owned() + &pod("[serve, auth]", "/tmp");
        assert_eq!(found(&behind), Vec::<String>::new());
    }
}
