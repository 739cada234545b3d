//! The cluster's network: a namespace of its own with one line to the machine, and no way further.

use std::fs;
use std::process::Command;

use anyhow::Result;

use super::parts::Part;
use super::place::{HOST, NODE, PODS, PODS_GATEWAY, SERVICES};
use super::programs::Programs;
use crate::process;

const NAMESPACE: &str = "riwaq-cluster";
/// The two ends of the line: names of devices have fifteen characters at most.
const HERE: &str = "riwaq-here";
const THERE: &str = "riwaq-there";
/// Where containers are plugged in.
pub(super) const BRIDGE: &str = "cni0";
/// Ports of this machine's loopback that pods reach at [`HOST`]: those of `cargo xtask backends`, and the ones that tests
/// take below the system's own.
const LENT_PORTS: &str = "1024:31999";

/// Makes it.
pub(super) fn up(programs: &Programs) -> Result<()> {
    let (host, node) = (format!("{HOST}/30"), format!("{NODE}/30"));
    let gateway = format!("{PODS_GATEWAY}/24");
    ip(&["netns", "add", NAMESPACE])?;
    ip(&["link", "add", HERE, "type", "veth", "peer", "name", THERE])?;
    ip(&["link", "set", THERE, "netns", NAMESPACE])?;
    ip(&["addr", "add", &host, "dev", HERE])?;
    ip(&["link", "set", HERE, "up"])?;
    for inner in [
        &["link", "set", "lo", "up"][..],
        &["addr", "add", &node, "dev", THERE],
        &["link", "set", THERE, "up"],
        // Kubernetes wants a way out to be there. This machine passes nothing on.
        &["route", "add", "default", "via", HOST],
        &["link", "add", BRIDGE, "type", "bridge"],
        &["addr", "add", &gateway, "dev", BRIDGE],
        &["link", "set", BRIDGE, "up"],
    ] {
        ip(&[&["-n", NAMESPACE], inner].concat())?;
    }
    let forwarding = "echo 1 > /proc/sys/net/ipv4/ip_forward";
    process::run_quietly(entered().args(["sh", "-c", forwarding]))?;
    for range in [SERVICES, PODS] {
        ip(&["route", "add", range, "via", NODE])?;
    }
    lend(programs)
}

/// The loopback of this machine, for pods: what is asked of [`HOST`] is answered by 127.0.0.1.
fn lend(programs: &Programs) -> Result<()> {
    fs::write(
        format!("/proc/sys/net/ipv4/conf/{HERE}/route_localnet"),
        "1",
    )?;
    process::run_quietly(&mut lending(programs, "-A"))
}

fn lending(programs: &Programs, action: &str) -> Command {
    let mut iptables = programs.command("iptables");
    iptables
        .args([
            "--wait",
            "-t",
            "nat",
            action,
            "PREROUTING",
            "-i",
            HERE,
            "-d",
            HOST,
        ])
        .args(["-p", "tcp", "--dport", LENT_PORTS])
        .args(["-j", "DNAT", "--to-destination", "127.0.0.1"]);
    iptables
}

/// Removes what there is of it.
pub(super) fn down(programs: &Programs) {
    // Each may be missing after a start that failed.
    let _ = process::run_quietly(&mut lending(programs, "-D"));
    let _ = ip(&["link", "del", HERE]);
    let _ = ip(&["netns", "del", NAMESPACE]);
}

/// A part, started in it.
pub(super) fn inside(programs: &Programs, part: &Part) -> Command {
    let mut command = entered();
    command
        .arg(programs.path_of(part.program))
        .args(&part.args)
        .envs(programs.environment());
    command
}

/// `ip netns exec` would hide the cgroups.
fn entered() -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{NAMESPACE}"));
    command
}

fn ip(args: &[&str]) -> Result<()> {
    process::run_quietly(Command::new("ip").args(args))
}
