//! The cluster, by `kubectl` and `helm`, as an operator has it.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use riwaq_integration_tests::NotRun;
use riwaq_test_kit::{Backend, Client};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::sleep;

/// What `cargo xtask cluster` says of it.
#[derive(Deserialize)]
pub(crate) struct Cluster {
    bin: PathBuf,
    kubeconfig: PathBuf,
    /// The node's address: Services of the type `NodePort` are there.
    pub(crate) node: String,
    /// The machine's loopback, as pods reach it.
    pub(crate) host: String,
    /// Riwaq's image without its tag, and two tags of it.
    pub(crate) repository: String,
    pub(crate) tags: [String; 2],
    /// With `sh` and `curl`.
    pub(crate) tools: String,
}

impl Cluster {
    pub(crate) fn find() -> Result<Self> {
        let Backend::Ready(file) = riwaq_test_kit::cluster() else {
            return Err(NotRun.into());
        };
        let text = std::fs::read(&file).with_context(|| format!("{}", file.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::null());
        command
    }
}

/// A namespace of a test's own, which lets nothing in that the restricted pod security standard would not.
pub(crate) struct Namespace<'a> {
    pub(crate) cluster: &'a Cluster,
    name: &'static str,
}

impl<'a> Namespace<'a> {
    pub(crate) async fn make(cluster: &'a Cluster, name: &'static str) -> Result<Self> {
        let namespace = Self { cluster, name };
        namespace.kubectl(&["create", "namespace", name]).await?;
        let restricted = "pod-security.kubernetes.io/enforce=restricted";
        namespace
            .kubectl(&["label", "namespace", name, restricted])
            .await?;
        Ok(namespace)
    }

    pub(crate) async fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.run("kubectl", args, "").await
    }

    /// With something to read.
    pub(crate) async fn kubectl_with(&self, args: &[&str], input: &str) -> Result<String> {
        self.run("kubectl", args, input).await
    }

    pub(crate) async fn helm(&self, args: &[&str]) -> Result<String> {
        self.run("helm", args, "").await
    }

    async fn run(&self, program: &str, args: &[&str], input: &str) -> Result<String> {
        let mut command = self.cluster.command(program);
        command.args(["--namespace", self.name]).args(args);
        let output = with_input(command, input.to_owned()).await?;
        ensure!(
            output.status.success(),
            "{program} {}: {}{}",
            args.join(" "),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// What a query of `kubectl get` gives.
    pub(crate) async fn get(&self, what: &[&str]) -> Result<Value> {
        let args = [&["get"], what, &["--output", "json"]].concat();
        Ok(serde_json::from_str(&self.kubectl(&args).await?)?)
    }

    /// Nothing of a release is there any more, but for the claim of its data.
    pub(crate) async fn holds_nothing_of(&self, release: &str) -> Result<()> {
        let kinds =
            "all,configmaps,secrets,serviceaccounts,ingresses,networkpolicies,poddisruptionbudgets";
        let of_release = format!("app.kubernetes.io/instance={release}");
        let began = Instant::now();
        loop {
            let left = self.get(&[kinds, "--selector", &of_release]).await?;
            let left = left["items"].as_array().context("items")?;
            if left.is_empty() {
                return Ok(());
            }
            // Pods end after `helm uninstall` has.
            if began.elapsed() > Duration::from_secs(90) {
                let named = left
                    .iter()
                    .map(|one| format!("{} {}", one["kind"], one["metadata"]["name"]));
                bail!("left over: {}", named.collect::<Vec<_>>().join(", "));
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// What pods say, for a failure.
    pub(crate) async fn what_happened(&self) -> String {
        let mut told = String::new();
        let logs = [
            "logs",
            "--selector",
            "app.kubernetes.io/name=riwaq",
            "--tail",
            "15",
            "--prefix",
            "--all-containers",
        ];
        for args in [
            &["get", "pods", "--output", "wide"][..],
            &["get", "events", "--sort-by=.lastTimestamp"],
            &logs,
        ] {
            let said = self.kubectl(args).await;
            told.push_str(&said.unwrap_or_else(|error| format!("{error:#}")));
        }
        told
    }

    pub(crate) async fn remove(&self) -> Result<()> {
        self.kubectl(&["delete", "namespace", self.name, "--timeout=120s"])
            .await?;
        Ok(())
    }
}

async fn with_input(mut command: Command, input: String) -> Result<Output> {
    use std::io::Write;
    tokio::task::spawn_blocking(move || {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if !input.is_empty() {
            command.stdin(Stdio::piped());
        }
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(input.as_bytes())?;
        }
        Ok(child.wait_with_output()?)
    })
    .await?
}

/// Waits until a request is answered; gives how long it took.
pub(crate) async fn first_answer(url: &str, limit: Duration) -> Result<Duration> {
    let client = Client::unpooled(url);
    let began = Instant::now();
    loop {
        let answer =
            tokio::time::timeout(Duration::from_secs(3), client.get("/api/auth/config")).await;
        if matches!(&answer, Ok(Ok(answer)) if answer.status == 200) {
            return Ok(began.elapsed());
        }
        if began.elapsed() > limit {
            bail!("no answer from {url} in {} s: {answer:?}", limit.as_secs());
        }
        sleep(Duration::from_millis(100)).await;
    }
}
