//! One release of the chart.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use riwaq_integration_tests::{School, World};
use riwaq_test_kit::ChaosProxy;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::cluster::{Namespace, first_answer};
use crate::main_job;

/// The release, and with it the prefix of every name.
const NAME: &str = "riwaq";
/// For a whole installation on a machine that does much else.
const TIMEOUT: &str = "10m";
const ANSWERED_WITHIN: Duration = Duration::from_secs(600);

/// With values of its own beside those that every test needs.
pub(crate) struct Release<'a> {
    pub(crate) namespace: &'a Namespace<'a>,
    values: NamedTempFile,
    chart: String,
    /// In clear text only a loopback address is a public one: people reach the node's port over it.
    front: ChaosProxy,
}

impl<'a> Release<'a> {
    /// The gateway is at `port` of the node.
    pub(crate) fn new(namespace: &'a Namespace<'a>, port: u16, own: &Value) -> Result<Self> {
        let cluster = namespace.cluster;
        let node = format!("{}:{port}", cluster.node).parse()?;
        let front = ChaosProxy::start([node], 0)?;
        let mut values = json!({
            "publicUrl": format!("http://{}", front.address()),
            "image": {"repository": cluster.repository, "pullPolicy": "Never"},
            "service": {"type": "NodePort", "nodePort": port},
            "tests": {"image": cluster.tools},
        });
        merge(&mut values, own);
        let file = tempfile::Builder::new().suffix(".json").tempfile()?;
        std::fs::write(&file, values.to_string())?;
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/riwaq");
        Ok(Self {
            namespace,
            values: file,
            chart: chart.display().to_string(),
            front,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.front.address())
    }

    /// Installs the first image and waits until everything is ready; gives how long the first answer took.
    pub(crate) async fn install(&self) -> Result<Duration> {
        let url = self.url();
        let answered = first_answer(&url, ANSWERED_WITHIN);
        let ((), answered) = tokio::try_join!(self.bring("install", 0), answered)?;
        Ok(answered)
    }

    /// To the second image, which is the same program by another name; gives how long it took.
    pub(crate) async fn upgrade(&self) -> Result<Duration> {
        let began = Instant::now();
        self.bring("upgrade", 1).await?;
        Ok(began.elapsed())
    }

    async fn bring(&self, how: &str, tag: usize) -> Result<()> {
        let tag = format!("image.tag={}", self.namespace.cluster.tags[tag]);
        let values = self.values.path().display().to_string();
        let flags = [
            "--values",
            &values,
            "--set",
            &tag,
            "--wait",
            "--timeout",
            TIMEOUT,
        ];
        let args = [&[how, NAME, &self.chart], &flags[..]].concat();
        self.namespace.helm(&args).await.map(|_| ())
    }

    /// Back to the one before.
    pub(crate) async fn roll_back(&self) -> Result<Duration> {
        let began = Instant::now();
        let args = ["rollback", NAME, "--wait", "--timeout", TIMEOUT];
        self.namespace.helm(&args).await?;
        Ok(began.elapsed())
    }

    /// What `helm test` says.
    pub(crate) async fn test(&self) -> Result<String> {
        let args = ["test", NAME, "--timeout", TIMEOUT];
        self.namespace.helm(&args).await
    }

    /// Uninstalls it and looks for what is left.
    pub(crate) async fn uninstall(&self) -> Result<()> {
        let args = ["uninstall", NAME, "--wait", "--timeout", TIMEOUT];
        self.namespace.helm(&args).await?;
        self.namespace.holds_nothing_of(NAME).await
    }

    pub(crate) async fn world(&self, admin: &str, password: &str) -> Result<World> {
        World::installed(&self.url(), admin, password).await
    }
}

/// A course of a teacher who comes back for it.
pub(crate) struct Kept {
    email: String,
    password: String,
    course: String,
}

impl Kept {
    /// After the main job.
    pub(crate) async fn make(world: &mut World) -> Result<Self> {
        main_job::the_main_job(world)
            .await
            .context("the main job")?;
        let school = School::open(world).await?;
        Ok(Self {
            course: school.course("Kept").await?.id,
            email: school.teacher_account.email,
            password: school.teacher_account.password,
        })
    }

    /// The teacher signs in and has it.
    pub(crate) async fn is_there(&self, world: &World) -> Result<()> {
        let teacher = world.sign_in(&self.email, &self.password).await?;
        let course = teacher
            .get(&format!("/api/courses/{}", self.course))
            .await?;
        course.expect(200).map(|_| ())
    }
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}
