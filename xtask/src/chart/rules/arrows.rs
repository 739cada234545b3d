//! The network policies let through what the program does, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{edge, pods};
use crate::chart::arrows::Arrows;
use crate::chart::render::Document;

const COMPONENT: &str = "app.kubernetes.io/component";
/// The ports of mail servers.
const MAIL: [u64; 3] = [25, 465, 587];

/// Settings of addresses that the doctor does not ask.
const NOT_ASKED: [&str; 3] = ["public_url", "issuer", "otlp_endpoint"];

/// From a component to those beside it.
type Edges = BTreeMap<String, BTreeSet<String>>;

pub(super) fn findings(documents: &[Document], program: &Arrows) -> Vec<String> {
    let policies: Vec<&Document> = documents
        .iter()
        .filter(|one| one.kind() == "NetworkPolicy")
        .collect();
    if policies.is_empty() {
        return vec!["there are no network policies".to_owned()];
    }
    let mut findings = unguarded(documents, &policies);
    let roles: BTreeSet<&String> = program.asks.keys().collect();
    let present: BTreeSet<String> = policies.iter().map(|one| selected(one)).collect();
    // In one pod the roles reach each other without a network.
    if present.iter().any(|component| roles.contains(component)) {
        let asked: Edges = program.asks.clone();
        let out = edges(&policies, "egress", "to", &roles);
        differ("may call", &asked, &out, &mut findings);
        let callers = turned(&asked);
        let within = edges(&policies, "ingress", "from", &roles);
        differ("may be called by", &callers, &within, &mut findings);
        mail(&policies, program, &roles, &mut findings);
        findings.extend(found_early(documents, program));
        findings.extend(unexamined(documents, &policies));
    }
    findings
}

/// Every pod is chosen by a policy that speaks of both directions.
fn unguarded(documents: &[Document], policies: &[&Document]) -> Vec<String> {
    let both = serde_json::json!(["Ingress", "Egress"]);
    let guarded: BTreeSet<String> = policies
        .iter()
        .filter(|policy| policy.value["spec"]["policyTypes"] == both)
        .map(|policy| selected(policy))
        .collect();
    let serving = documents.iter().filter(|one| pods::pod(one).is_some());
    serving
        .map(|one| text(&pods::labels(one)[COMPONENT]))
        .filter(|component| !guarded.contains(component))
        .map(|component| format!("no network policy guards {component}"))
        .collect()
}

fn selected(policy: &Document) -> String {
    text(&policy.value["spec"]["podSelector"]["matchLabels"][COMPONENT])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The roles that each role's policy names in one direction.
fn edges(policies: &[&Document], direction: &str, side: &str, roles: &BTreeSet<&String>) -> Edges {
    let mut edges = Edges::new();
    for policy in policies
        .iter()
        .filter(|policy| roles.contains(&selected(policy)))
    {
        let rules = policy.value["spec"][direction]
            .as_array()
            .into_iter()
            .flatten();
        let peers = rules.flat_map(|rule| rule[side].as_array().into_iter().flatten());
        let named = peers
            .map(|peer| text(&peer["podSelector"]["matchLabels"][COMPONENT]))
            .filter(|component| roles.contains(component));
        edges.entry(selected(policy)).or_default().extend(named);
    }
    edges
}

/// The same arrows from their other end.
fn turned(edges: &Edges) -> Edges {
    let mut turned: Edges = edges
        .keys()
        .map(|role| (role.clone(), BTreeSet::new()))
        .collect();
    for (from, to) in edges {
        for role in to {
            turned.entry(role.clone()).or_default().insert(from.clone());
        }
    }
    turned
}

fn differ(verb: &str, wanted: &Edges, found: &Edges, findings: &mut Vec<String>) {
    for (role, wanted) in wanted {
        let found = found.get(role).cloned().unwrap_or_default();
        if *wanted != found {
            findings.push(format!(
                "by its policy {role} {verb} {found:?}, by the program {wanted:?}"
            ));
        }
    }
}

fn mail(
    policies: &[&Document],
    program: &Arrows,
    roles: &BTreeSet<&String>,
    findings: &mut Vec<String>,
) {
    for policy in policies
        .iter()
        .filter(|policy| roles.contains(&selected(policy)))
    {
        let rules = policy.value["spec"]["egress"]
            .as_array()
            .into_iter()
            .flatten();
        let mut ports = rules.flat_map(|rule| rule["ports"].as_array().into_iter().flatten());
        let may = ports.any(|port| {
            port["port"]
                .as_u64()
                .is_some_and(|port| MAIL.contains(&port))
        });
        let role = selected(policy);
        let mails = program
            .needs
            .get(&role)
            .is_some_and(|needs| needs.contains("mail"));
        if may && !mails {
            findings.push(format!(
                "by its policy {role} may send mail, by the program it does not"
            ));
        }
    }
}

/// The doctor is let through to every address of the configuration.
fn unexamined(documents: &[Document], policies: &[&Document]) -> Vec<String> {
    let doctor = policies.iter().find(|one| selected(one) == "test-doctor");
    let Some(doctor) = doctor else {
        return Vec::new();
    };
    let rules = doctor.value["spec"]["egress"]
        .as_array()
        .into_iter()
        .flatten();
    let ports = rules.flat_map(|rule| rule["ports"].as_array().into_iter().flatten());
    let open: BTreeSet<u64> = ports.filter_map(|port| port["port"].as_u64()).collect();
    let addresses = addresses(edge::config(documents));
    addresses
        .into_iter()
        .filter(|(_, port)| !open.contains(port))
        .map(|(address, _)| format!("by its policy the doctor may not reach {address}"))
        .collect()
}

/// Every address in a configuration that says its port or its scheme, but for those of the program itself.
fn addresses(config: &str) -> Vec<(&str, u64)> {
    let mut found = Vec::new();
    let mut section = "";
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if section != "[peers]" && !NOT_ASKED.contains(&setting(line)) {
            let texts = line.split('"').skip(1).step_by(2);
            found.extend(texts.filter_map(|text| Some((text, port(text)?))));
        }
    }
    found
}

fn setting(line: &str) -> &str {
    line.split(' ').next().unwrap_or(line)
}

fn port(address: &str) -> Option<u64> {
    let Some((scheme, rest)) = address.split_once("://") else {
        return address.rsplit_once(':')?.1.parse().ok();
    };
    let host = rest.split('/').next().unwrap_or(rest);
    let usual = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let said = host
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    Some(said.unwrap_or(usual))
}

/// Whoever is asked is found before it is ready: callers see for themselves which pod answers, and roles that ask each other
/// become ready by it.
fn found_early(documents: &[Document], program: &Arrows) -> Vec<String> {
    let asked: BTreeSet<&String> = program.asks.values().flatten().collect();
    let services = documents.iter().filter(|one| one.kind() == "Service");
    services
        .filter(|one| one.value["spec"]["publishNotReadyAddresses"] != true)
        .map(|one| text(&one.value["spec"]["selector"][COMPONENT]))
        .filter(|role| asked.contains(role))
        .map(|role| format!("{role} is not found before it is ready"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::render::Rendered;

    fn program() -> Arrows {
        let mut program = Arrows::default();
        program
            .asks
            .insert("asking".to_owned(), ["asked".to_owned()].into());
        program.asks.insert("asked".to_owned(), BTreeSet::new());
        program
    }

    fn policy(role: &str, direction: &str, side: &str, other: &str) -> String {
        format!(
            "
---
kind: NetworkPolicy
metadata: {{name: {role}}}
spec:
  podSelector: {{matchLabels: {{{COMPONENT}: {role}}}}}
  policyTypes: [Ingress, Egress]
  {direction}:
    - {side}: [{{podSelector: {{matchLabels: {{{COMPONENT}: {other}}}}}}}]
      ports: [{{port: 8080}}]
"
        )
    }

    fn found(text: &str) -> Vec<String> {
        findings(&Rendered::parse(text).unwrap().documents, &program())
    }

    fn fine() -> String {
        policy("asking", "egress", "to", "asked") + &policy("asked", "ingress", "from", "asking")
    }

    #[test]
    fn the_arrows_of_the_program_are_fine() {
        assert_eq!(found(&fine()), Vec::<String>::new());
    }

    #[test]
    fn a_missing_arrow_and_one_too_many_are_found() {
        let missing = fine().replace("egress:\n    - to", "egress:\n    - too");
        assert_eq!(found(&missing).len(), 1);
        let turned =
            policy("asking", "egress", "to", "asked") + &policy("asked", "egress", "to", "asking");
        assert_eq!(found(&turned).len(), 2);
    }

    #[test]
    fn mail_is_for_roles_that_send_it() {
        let mailing = fine().replacen("port: 8080", "port: 587", 1);
        assert_eq!(found(&mailing).len(), 1);
    }

    #[test]
    fn the_doctor_is_let_through_to_every_address() {
        let config = "\n---\nkind: ConfigMap\ndata:\n  riwaq.toml: |\n    public_url = \"https://school.example:1\"\n    \
                      [records.cassandra]\n    contact_points = [\"db:9042\"]\n    [telemetry]\n    \
                      otlp_endpoint = \"http://traces:4317\"\n    \
                      [blobs.s3]\n    endpoint = \"http://s3:9000\"\n    [index.opensearch]\n    \
                      urls = [\"https://a\", \"https://b:9200/\"]\n    [peers]\n    auth = \"http://auth:2\"\n";
        let doctor = |ports: &str| {
            format!(
                "\n---\nkind: NetworkPolicy\nspec:\n  podSelector: {{matchLabels: {{{COMPONENT}: test-doctor}}}}\n  egress: [{{ports: [{ports}]}}]\n"
            )
        };
        let all = "{port: 9000}, {port: 443}, {port: 9200}, {port: 9042}";
        let of = |ports: &str| found(&(fine() + config + &doctor(ports)));
        assert_eq!(of(all), Vec::<String>::new());
        for (port, address) in [
            ("9000", "http://s3:9000"),
            ("443", "https://a"),
            ("9200", "https://b:9200/"),
            ("9042", "db:9042"),
        ] {
            let missing = of(&all.replace(&format!("port: {port}}}"), "port: 1}"));
            let said = format!("by its policy the doctor may not reach {address}");
            assert_eq!(missing, [said]);
        }
    }

    #[test]
    fn a_role_that_is_asked_is_found_before_it_is_ready() {
        let service = |role: &str, published: bool| {
            let spec = format!(
                "{{publishNotReadyAddresses: {published}, selector: {{{COMPONENT}: {role}}}}}"
            );
            format!("---\nkind: Service\nmetadata: {{name: {role}}}\nspec: {spec}\n")
        };
        let of = |text: &str| found_early(&Rendered::parse(text).unwrap().documents, &program());
        let waiting = service("asked", false) + &service("asking", false);
        assert_eq!(of(&waiting), ["asked is not found before it is ready"]);
        let early = service("asked", true) + &service("asking", false);
        assert_eq!(of(&early), Vec::<String>::new());
    }

    #[test]
    fn a_pod_without_a_policy_of_both_directions_is_found() {
        let pod = format!(
            "\n---\nkind: Pod\nmetadata: {{name: x, labels: {{{COMPONENT}: other}}}}\nspec: {{}}\n"
        );
        assert_eq!(found(&(fine() + &pod)), ["no network policy guards other"]);
        let half = fine().replacen("[Ingress, Egress]", "[Egress]", 1);
        let pod = pod.replace("other", "asking");
        assert_eq!(found(&(half + &pod)), ["no network policy guards asking"]);
    }
}
