//! Pods are killed with -9, each in its turn, under load.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use riwaq_integration_tests::{ConstantRate, Load, LoadKind, RateReport, School, World};
use riwaq_test_kit::{Patience, pss_kib};
use serde_json::Value;
use tokio::time::sleep;

use crate::cluster::Namespace;
use crate::roles::ROOM;

/// For a killed container to be ready again.
const BACK_WITHIN: Duration = Duration::from_secs(180);
/// A node needs a second or two to know that a gateway is gone, longer when it is busy, and sends it requests until then:
/// three tries within one second may all come there. The fourth comes after seven.
const PATIENCE: Patience = Patience {
    tries: 4,
    each: Duration::from_secs(20),
    pause: Duration::from_secs(1),
    under_way: Duration::from_secs(60),
};
const SERVING: &str = "app.kubernetes.io/name=riwaq";

struct Victim {
    name: String,
    container: String,
}

/// The process in each of them, once: what was acknowledged is there, and a request meets nothing that a second try would
/// not mend.
pub(crate) async fn each_is_killed(
    namespace: &Namespace<'_>,
    world: &World,
    replicas: usize,
    between: u64,
) -> Result<()> {
    let mut school = School::open(world).await?;
    for of_one_role in victims(namespace).await?.chunks(replicas) {
        // Tokens live for minutes, and all of it takes longer.
        school.sign_in_again(world).await?;
        let load = Load::on_a_new_course(&school, PATIENCE).await?;
        let load = load.with_pauses_of(ROOM);
        let working = load.start(&school, &LoadKind::ALL);
        for victim in of_one_role {
            let rate = ConstantRate::start(&school.student);
            working.progress(between).await?;
            kill(process_of(&victim.container)?, Signal::SIGKILL)?;
            let back = is_back(namespace, victim).await?;
            working.progress(between).await?;
            victim.was_not_missed(back, &rate.stop(), &load)?;
        }
        working.stop().await?;
        load.every_request_succeeded()?;
        load.holds(&school).await?;
    }
    Ok(())
}

impl Victim {
    fn was_not_missed(&self, back: Duration, reads: &RateReport, load: &Load) -> Result<()> {
        let name = &self.name;
        let (tries, slowest) = load.worst();
        println!(
            "mode roles: {name} killed, back after {back:?}: {reads}; at most {tries} tries and {slowest:?} of a change"
        );
        // What was on its way in a gateway that is killed has lost its connection: nobody can answer it.
        let of_gateway = name.contains("-gateway-");
        ensure!(
            of_gateway || reads.failed.is_empty(),
            "{name} killed: {reads}"
        );
        Ok(())
    }
}

/// Those of one role stand side by side: the list is by name.
async fn victims(namespace: &Namespace<'_>) -> Result<Vec<Victim>> {
    let pods = namespace.get(&["pods", "--selector", SERVING]).await?;
    let pods = pods["items"].as_array().context("items")?;
    // One that ends after a rollout still runs for a while.
    let stays = |pod: &&Value| {
        pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null()
    };
    let running = pods.iter().filter(stays);
    let victims: Option<Vec<_>> = running
        .map(|pod| {
            Some(Victim {
                name: pod["metadata"]["name"].as_str()?.to_owned(),
                container: container_of(pod)?.to_owned(),
            })
        })
        .collect();
    let victims = victims.context("a pod without a container")?;
    ensure!(!victims.is_empty(), "no pods");
    Ok(victims)
}

fn container_of(pod: &Value) -> Option<&str> {
    let id = pod["status"]["containerStatuses"][0]["containerID"].as_str()?;
    id.strip_prefix("containerd://")
}

/// What each takes, once it has worked.
pub(crate) async fn tell_memory(namespace: &Namespace<'_>) -> Result<()> {
    for pod in victims(namespace).await? {
        let mib = pss_kib(process_of(&pod.container)?.as_raw().try_into()?)? / 1024;
        println!("mode roles: {} takes {mib} MiB (PSS)", pod.name);
    }
    Ok(())
}

/// The node is this machine: its processes are to be seen here, with the container's id in their cgroup.
fn process_of(container: &str) -> Result<Pid> {
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let cgroups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        if cgroups.contains(container) {
            return Ok(Pid::from_raw(pid));
        }
    }
    bail!("no process is in the container {container}")
}

async fn is_back(namespace: &Namespace<'_>, victim: &Victim) -> Result<Duration> {
    let began = Instant::now();
    loop {
        let pod = namespace.get(&["pod", &victim.name]).await?;
        let status = &pod["status"]["containerStatuses"][0];
        let another = container_of(&pod).is_some_and(|container| container != victim.container);
        if another && status["ready"] == true {
            return Ok(began.elapsed());
        }
        ensure!(
            began.elapsed() < BACK_WITHIN,
            "{} does not come back: {status}",
            victim.name
        );
        sleep(Duration::from_millis(500)).await;
    }
}
