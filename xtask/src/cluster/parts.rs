//! The parts of the cluster in the order in which they start, as data.

use std::process::Command;

use super::place::{API, NODE, NODE_NAME, PODS, PODS_GATEWAY, Place, SERVICES};
use super::programs::Programs;
use super::{containers, kubelet, manifests};

/// One process of it.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) program: &'static str,
    pub(super) args: Vec<String>,
    ready: Ready,
}

/// How it is known to be ready.
enum Ready {
    /// By the API server's own word; etcd before it, which it waits for.
    Api,
    /// It runs: whoever needs it tries again.
    Started,
    Containerd,
    Node,
}

impl Part {
    fn new(name: &'static str, program: &'static str, ready: Ready, args: &[&str]) -> Self {
        Self {
            name,
            program,
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            ready,
        }
    }

    /// One of the programs that are one.
    fn of_kubernetes(name: &'static str, ready: Ready, args: &[&str]) -> Self {
        Self::new(name, "hyperkube", ready, &[&[name], args].concat())
    }

    pub(super) fn is_ready(&self, place: &Place, programs: &Programs) -> bool {
        let succeeds = |command: &mut Command| {
            let output = command.output();
            output.is_ok_and(|output| output.status.success())
        };
        match self.ready {
            Ready::Started => true,
            Ready::Api => succeeds(manifests::kubectl(place).args(["get", "--raw", "/readyz"])),
            Ready::Containerd => succeeds(containers::ctr(place, programs).arg("version")),
            Ready::Node => succeeds(manifests::kubectl(place).args([
                "wait",
                "--for=condition=Ready",
                &format!("node/{NODE_NAME}"),
                "--timeout=1s",
            ])),
        }
    }
}

/// All of them.
pub(super) fn all(place: &Place) -> Vec<Part> {
    let mut parts = control_plane(place);
    parts.extend(node(place));
    parts
}

/// The flag for what a part keeps.
fn folder(place: &Place, flag: &str, name: &str) -> String {
    format!("--{flag}={}", place.data().join(name).display())
}

/// The flag for how a part reaches the API server.
fn as_whom(place: &Place, who: &str) -> String {
    format!("--kubeconfig={}", place.kubeconfig(who).display())
}

fn control_plane(place: &Place) -> Vec<Part> {
    let file = |name: &str| place.pki().join(name).display().to_string();
    let folder = |flag: &str, name: &str| folder(place, flag, name);
    let as_whom = |who: &str| as_whom(place, who);
    let etcd = "http://127.0.0.1:2379";
    vec![
        Part::of_kubernetes(
            "etcd",
            Ready::Started,
            &[
                &folder("data-dir", "etcd"),
                &format!("--listen-client-urls={etcd}"),
                &format!("--advertise-client-urls={etcd}"),
                "--listen-peer-urls=http://127.0.0.1:2380",
                // It lives no longer than the machine.
                "--unsafe-no-fsync",
                "--log-level=warn",
            ],
        ),
        Part::of_kubernetes(
            "kube-apiserver",
            Ready::Api,
            &[
                &format!("--etcd-servers={etcd}"),
                &format!("--bind-address={NODE}"),
                &format!("--advertise-address={NODE}"),
                &format!("--secure-port={API}"),
                &format!("--service-cluster-ip-range={SERVICES}"),
                "--service-account-issuer=https://kubernetes.default.svc",
                &format!("--service-account-key-file={}", file("accounts.pub")),
                &format!(
                    "--service-account-signing-key-file={}",
                    file("accounts.key")
                ),
                &format!("--client-ca-file={}", file("ca.crt")),
                &format!("--tls-cert-file={}", file("apiserver.crt")),
                &format!("--tls-private-key-file={}", file("apiserver.key")),
                &format!(
                    "--kubelet-client-certificate={}",
                    file("apiserver-kubelet.crt")
                ),
                &format!("--kubelet-client-key={}", file("apiserver-kubelet.key")),
                &folder("cert-dir", "apiserver"),
                "--authorization-mode=Node,RBAC",
                "--enable-admission-plugins=NodeRestriction",
                // The node's name is known to nobody.
                "--kubelet-preferred-address-types=InternalIP",
            ],
        ),
        Part::of_kubernetes(
            "kube-controller-manager",
            Ready::Started,
            &[
                &as_whom("controller-manager"),
                &format!(
                    "--service-account-private-key-file={}",
                    file("accounts.key")
                ),
                &format!("--root-ca-file={}", file("ca.crt")),
                &folder("cert-dir", "controller-manager"),
                "--use-service-account-credentials=true",
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
            ],
        ),
        Part::of_kubernetes(
            "kube-scheduler",
            Ready::Started,
            &[
                &as_whom("scheduler"),
                &folder("cert-dir", "scheduler"),
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
            ],
        ),
    ]
}

fn node(place: &Place) -> Vec<Part> {
    let folder = |flag: &str, name: &str| folder(place, flag, name);
    let as_whom = |who: &str| as_whom(place, who);
    let host_name = format!("--hostname-override={NODE_NAME}");
    vec![
        Part::new(
            "containerd",
            "containerd",
            Ready::Containerd,
            &[
                "--config",
                &containers::config_file(place).display().to_string(),
            ],
        ),
        Part::of_kubernetes(
            "kube-proxy",
            Ready::Started,
            &[
                &as_whom("proxy"),
                &host_name,
                "--proxy-mode=iptables",
                &format!("--cluster-cidr={PODS}"),
                // What a namespace may not set.
                "--conntrack-max-per-core=0",
                "--conntrack-tcp-timeout-established=0",
                "--conntrack-tcp-timeout-close-wait=0",
                "--healthz-bind-address=127.0.0.1:10256",
                "--metrics-bind-address=127.0.0.1:10249",
            ],
        ),
        Part::new(
            "dns",
            "dns",
            Ready::Started,
            &[
                "-kubeconfig",
                &place.kubeconfig("admin").display().to_string(),
                "-listen",
                &format!("{PODS_GATEWAY}:53"),
            ],
        ),
        Part::of_kubernetes(
            "kubelet",
            Ready::Node,
            &[
                &format!("--config={}", kubelet::config_file(place).display()),
                &as_whom("kubelet"),
                &host_name,
                &format!("--node-ip={NODE}"),
                &folder("root-dir", "kubelet"),
                &folder("cert-dir", "kubelet-certs"),
            ],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_a_name_of_its_own_and_listens_nowhere_else() {
        let parts = all(&Place::usual());
        let mut names: Vec<_> = parts.iter().map(|part| part.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), parts.len());
        for part in &parts {
            assert!(
                !part.args.iter().any(|arg| arg.contains("0.0.0.0")),
                "{}",
                part.name
            );
        }
    }
}
