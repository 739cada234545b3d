//! Every pod passes the restricted pod security standard, holds no token, and has bounds.

use serde_json::{Value, json};

use crate::chart::render::Document;

/// Of silence, before a process counts as one that hangs.
const BUSY_SECONDS: u64 = 60;

pub(super) fn findings(documents: &[Document], is_ours: bool) -> Vec<String> {
    let drain = documents.iter().map(drain_seconds).max().unwrap_or(0);
    let pods: Vec<(&Document, &Value)> = documents
        .iter()
        .filter_map(|one| Some((one, pod(one)?)))
        .collect();
    let each = pods.iter();
    let mut findings: Vec<String> = each
        .flat_map(|(one, spec)| of_pod(one, spec, is_ours, drain))
        .collect();
    if is_ours {
        findings.extend(elsewhere(&pods));
    }
    findings
}

/// Nodes, policies and meshes that ask for something of every pod ask it of a migration and of a test as well.
fn elsewhere(pods: &[(&Document, &Value)]) -> Vec<String> {
    let Some((first, wanted)) = pods.first().map(|(one, spec)| (one, place(one, spec))) else {
        return Vec::new();
    };
    let others = pods[1..]
        .iter()
        .filter(|(one, spec)| place(one, spec) != wanted);
    others
        .map(|(one, _)| {
            let (kind, name) = (one.kind(), one.name());
            format!(
                "{kind} {name}: its nodes, secrets or labels are not those of {}",
                first.name()
            )
        })
        .collect()
}

/// What says where a pod may run, and the labels that are not the chart's own.
fn place(document: &Document, spec: &Value) -> Value {
    let labels = labels(document).as_object().into_iter().flatten();
    let own = ["app.kubernetes.io/", "helm.sh/"];
    let others: serde_json::Map<String, Value> = labels
        .filter(|(key, _)| !own.iter().any(|prefix| key.starts_with(prefix)))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let keys = [
        "imagePullSecrets",
        "nodeSelector",
        "priorityClassName",
        "tolerations",
    ];
    let said = keys.map(|key| spec[key].clone());
    json!([others, said])
}

/// How long the configuration lets a process drain.
fn drain_seconds(document: &Document) -> u64 {
    let config = document.value["data"]["riwaq.toml"]
        .as_str()
        .unwrap_or_default();
    let settings = config.lines().filter_map(|line| line.split_once(" = "));
    let drains =
        settings.filter(|(key, _)| matches!(*key, "drain_delay_seconds" | "drain_seconds"));
    drains
        .filter_map(|(_, value)| value.parse::<u64>().ok())
        .sum()
}

/// The specification of a document's pods.
pub(super) fn pod(document: &Document) -> Option<&Value> {
    match document.kind() {
        "Pod" => Some(&document.value["spec"]),
        "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => {
            Some(&document.value["spec"]["template"]["spec"])
        }
        _ => None,
    }
}

/// The labels of a document's pods.
pub(super) fn labels(document: &Document) -> &Value {
    match document.kind() {
        "Pod" => &document.value["metadata"]["labels"],
        _ => &document.value["spec"]["template"]["metadata"]["labels"],
    }
}

fn of_pod(document: &Document, spec: &Value, is_ours: bool, drain: u64) -> Vec<String> {
    let mut findings = Vec::new();
    let mut ask = |holds: bool, what: &str| {
        if !holds {
            findings.push(format!("{} {}: {what}", document.kind(), document.name()));
        }
    };
    ask(
        spec["automountServiceAccountToken"] == false,
        "it is given a token",
    );
    // Kubernetes would set RIWAQ_PORT and the like.
    ask(
        spec["enableServiceLinks"] == false,
        "it is given variables of Services",
    );
    ask(
        spec["securityContext"]["runAsNonRoot"] == true,
        "it may run as root",
    );
    ask(
        spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault",
        "any system call is allowed",
    );
    for host in ["hostNetwork", "hostPID", "hostIPC"] {
        ask(spec[host].is_null(), "it shares something of the node");
    }
    let volumes = spec["volumes"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    ask(
        volumes.iter().all(|volume| volume["hostPath"].is_null()),
        "it sees the node's files",
    );
    let serves = matches!(document.kind(), "Deployment" | "StatefulSet" | "DaemonSet");
    let containers = ["containers", "initContainers"];
    for container in containers
        .iter()
        .flat_map(|kind| spec[*kind].as_array().into_iter().flatten())
    {
        for what in of_container(container, serves, is_ours) {
            ask(false, what);
        }
    }
    let annotations = &document.value["metadata"]["annotations"];
    let is_test = annotations["helm.sh/hook"] == "test";
    let policy = annotations["helm.sh/hook-delete-policy"].as_str();
    ask(
        !is_test || policy.is_some_and(|policy| policy.contains("hook-succeeded")),
        "it stays when the release is uninstalled",
    );
    if serves {
        let grace = spec["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
        ask(grace > drain, "it is killed before it has drained");
    }
    findings
}

/// How long a process may say nothing before a probe has failed for good; one that says no number has the usual ones.
fn silence(probe: &Value) -> u64 {
    let number = |name: &str, usual| probe[name].as_u64().unwrap_or(usual);
    number("periodSeconds", 10) * number("failureThreshold", 3)
}

fn of_container(container: &Value, serves: bool, is_ours: bool) -> Vec<&'static str> {
    let security = &container["securityContext"];
    let mut rules = vec![
        (
            security["allowPrivilegeEscalation"] == false,
            "a container may gain rights",
        ),
        (
            !is_ours || security["readOnlyRootFilesystem"] == true,
            "a container may write to its image",
        ),
        (
            security["capabilities"]["drop"] == json!(["ALL"]),
            "a container keeps capabilities",
        ),
        (
            security["capabilities"]["add"].is_null(),
            "a container gains capabilities",
        ),
        (
            security["privileged"].is_null(),
            "a container is privileged",
        ),
        (
            !container["args"].to_string().contains("$("),
            "a variable is an argument, which whoever lists processes sees",
        ),
        (
            !container["resources"]["limits"]["memory"].is_null(),
            "a container may take all memory",
        ),
        (
            !container["resources"]["requests"]["cpu"].is_null(),
            "a container asks for no processor time",
        ),
    ];
    if serves {
        rules.extend(
            ["startupProbe", "livenessProbe", "readinessProbe"]
                .map(|probe| (!container[probe].is_null(), "a container lacks a probe")),
        );
        rules.push((
            !is_ours || silence(&container["livenessProbe"]) >= BUSY_SECONDS,
            "a container that has too much to do is killed as if it hung, and its work goes to the others",
        ));
    }
    rules
        .into_iter()
        .filter(|(holds, _)| !holds)
        .map(|(_, what)| what)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::render::Rendered;

    const POD: &str = "
kind: Pod
metadata: {name: test}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
    - securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
      resources: {requests: {cpu: 1m}, limits: {memory: 1Mi}}
";

    fn found(text: &str) -> Vec<String> {
        findings(&Rendered::parse(text).unwrap().documents, true)
    }

    #[test]
    fn a_restricted_pod_is_fine_and_each_loosening_is_found() {
        assert_eq!(found(POD), Vec::<String>::new());
        for (tight, loose) in [
            (
                "automountServiceAccountToken: false",
                "automountServiceAccountToken: true",
            ),
            ("enableServiceLinks: false", "enableServiceLinks: true"),
            ("runAsNonRoot: true", "runAsNonRoot: false"),
            ("type: RuntimeDefault", "type: Unconfined"),
            (
                "allowPrivilegeEscalation: false",
                "allowPrivilegeEscalation: true",
            ),
            (
                "readOnlyRootFilesystem: true",
                "readOnlyRootFilesystem: false",
            ),
            ("drop: [ALL]", "drop: [CHOWN]"),
            (
                "    - securityContext:",
                "    - args: [--password, $(PASSWORD)]\n      securityContext:",
            ),
            (
                "{name: test}",
                "{name: test, annotations: {helm.sh/hook: test, helm.sh/hook-delete-policy: before-hook-creation}}",
            ),
            ("drop: [ALL]", "drop: [ALL], add: [NET_RAW]"),
            ("limits: {memory: 1Mi}", "limits: {}"),
            ("requests: {cpu: 1m}", "requests: {}"),
            ("  containers:", "  hostNetwork: true\n  containers:"),
            (
                "  containers:",
                "  volumes: [{name: x, hostPath: {path: /}}]\n  containers:",
            ),
        ] {
            let text = POD.replacen(tight, loose, 1);
            assert_ne!(text, POD, "{tight}");
            assert_eq!(found(&text).len(), 1, "{loose}");
        }
    }

    #[test]
    fn a_pod_that_may_run_elsewhere_or_lacks_a_label_is_found() {
        let labelled = POD.replace("{name: test}", "{name: test, labels: {team: it}}");
        let placed = POD.replace("spec:\n", "spec:\n  nodeSelector: {disk: fast}\n");
        for other in [labelled, placed] {
            assert_eq!(found(&format!("{other}---{other}")), Vec::<String>::new());
            assert_eq!(found(&format!("{other}---{POD}")).len(), 1, "{other}");
        }
    }

    #[test]
    fn what_serves_has_probes() {
        let spec = POD
            .split_once("spec:\n")
            .unwrap()
            .1
            .replace("\n  ", "\n      ");
        let text = format!(
            "kind: Deployment\nmetadata: {{name: test}}\nspec:\n  template:\n    spec:\n    {spec}"
        );
        assert_eq!(found(&text).len(), 4);
        let probed = |liveness: &str| {
            let probes = format!(
                "- livenessProbe: {liveness}\n          startupProbe: {{}}\n          readinessProbe: {{}}\n          "
            );
            found(&text.replace(
                "- securityContext: {allow",
                &format!("{probes}securityContext: {{allow"),
            ))
            .join("\n")
        };
        assert!(probed("{periodSeconds: 10, failureThreshold: 5}").contains("as if it hung"));
        assert_eq!(probed("{periodSeconds: 10, failureThreshold: 6}"), "");
    }

    #[test]
    fn a_pod_has_the_time_that_its_configuration_drains_for() {
        let config = "kind: ConfigMap\ndata:\n  riwaq.toml: |\n    drain_delay_seconds = 5\n    drain_seconds = 25\n---\n";
        let pod = |seconds: u32| {
            let spec =
                format!("{{template: {{spec: {{terminationGracePeriodSeconds: {seconds}}}}}}}");
            found(&format!(
                "{config}kind: Deployment\nmetadata: {{name: test}}\nspec: {spec}\n"
            ))
            .join("\n")
        };
        assert!(pod(30).contains("killed before"));
        assert!(!pod(31).contains("killed before"));
    }

    #[test]
    fn a_server_of_somebody_elses_may_write_beside_its_data() {
        let text = POD.replacen(
            "readOnlyRootFilesystem: true",
            "readOnlyRootFilesystem: false",
            1,
        );
        let documents = Rendered::parse(&text).unwrap().documents;
        assert_eq!(findings(&documents, false), Vec::<String>::new());
    }
}
