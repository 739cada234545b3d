//! Nodes of a cluster of three are killed with -9 while people work.
//!
//! The cluster is this test's own. With one node away nobody notices more than a second try; with two away every
//! answer is an honest 503 within 5 s, and what was acknowledged before and during is there when they are back.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use rand::{RngExt, rngs::StdRng};
use reqwest::{Method, RequestBuilder};
use riwaq_integration_tests::{Load, LoadKind, School, World, random, rounds};
use riwaq_test_kit::{CassandraNodes, Client, Patience, multipart, retry_after};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::statement::{Consistency, Statement};
use serde_json::json;
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::faults_roles::Totals as Done;

/// Rounds of each kind where nothing else is said.
const ROUNDS: u64 = 3;
const NODES: usize = 3;
const KEYSPACE: &str = "riwaq";
const ROLE: &str = "riwaq";
const PASSWORD: &str = "the-password-of-the-role-riwaq";
const KINDS: [LoadKind; 5] = [
    LoadKind::Upload,
    LoadKind::Edit,
    LoadKind::Section,
    LoadKind::Account,
    LoadKind::Read,
];
/// Operations that end before the next thing is broken, and before it is mended.
const BETWEEN: u64 = 15;
/// Three tries altogether.
const LONGEST: Duration = Duration::from_secs(20);
/// For an answer while two nodes are away.
const REFUSED_WITHIN: Duration = Duration::from_secs(5);
/// From the return of both nodes until everything succeeds again.
const RECOVERED_WITHIN: Duration = Duration::from_secs(30);
/// How long two nodes stay away at least: longer than the third takes to notice it, so that both its answers are
/// seen, the time-out before and the refusal after.
const AWAY: Duration = Duration::from_secs(20);
/// Between two askings of all probes, of which each takes as long as a refusal takes, which later is next to nothing.
const PAUSE: Duration = Duration::from_millis(500);
/// For the nodes to see each other again.
const WHOLE_WITHIN: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_three_are_killed_under_load() -> Result<()> {
    let _machine = crate::machine::alone().await;
    let Some(nodes) = CassandraNodes::start(NODES).await? else {
        return Ok(());
    };
    let mut faults = Faults::start(nodes).await?;
    let mut one = Totals::default();
    let mut two = Totals::default();
    for round in 0..rounds(ROUNDS) {
        let killed = faults.one_node(&mut one).await;
        killed.with_context(|| format!("round {round}, one node\n{}", faults.world.log_ends()))?;
        let killed = faults.two_nodes(&mut two).await;
        killed.with_context(|| format!("round {round}, two nodes\n{}", faults.world.log_ends()))?;
        println!("{} rounds with one of three nodes killed: {one}", round + 1);
        println!("{} rounds with two of three nodes killed: {two}", round + 1);
    }
    Ok(())
}

struct Faults {
    nodes: CassandraNodes,
    plain: Session,
    world: World,
    school: School,
    random: StdRng,
}

impl Faults {
    async fn start(nodes: CassandraNodes) -> Result<Self> {
        let contact_points = nodes.contact_points();
        let plain = SessionBuilder::new()
            .known_nodes(contact_points.split(','))
            .user("cassandra", "cassandra")
            .build()
            .await?;
        // What docs/operations/cassandra.md tells an operator to do, and no more.
        for cql in [
            format!(
                "CREATE KEYSPACE {KEYSPACE} WITH replication = \
                 {{'class': 'NetworkTopologyStrategy', 'datacenter1': 3}}"
            ),
            format!("CREATE ROLE {ROLE} WITH LOGIN = true AND PASSWORD = '{PASSWORD}'"),
            format!("GRANT SELECT ON KEYSPACE {KEYSPACE} TO {ROLE}"),
            format!("GRANT MODIFY ON KEYSPACE {KEYSPACE} TO {ROLE}"),
            format!("GRANT CREATE ON KEYSPACE {KEYSPACE} TO {ROLE}"),
            format!("GRANT ALTER ON KEYSPACE {KEYSPACE} TO {ROLE}"),
            format!("GRANT DROP ON KEYSPACE {KEYSPACE} TO {ROLE}"),
        ] {
            let mut statement = Statement::new(cql);
            statement.set_request_timeout(Some(Duration::from_secs(60)));
            plain.query_unpaged(statement, ()).await?;
        }
        // Every time-out is the one that comes with the program.
        let world = World::with_records_at(&[
            ("RECORDS_CASSANDRA_CONTACT_POINTS", &contact_points),
            ("RECORDS_CASSANDRA_USER", ROLE),
            ("RECORDS_CASSANDRA_PASSWORD", PASSWORD),
            ("RECORDS_CASSANDRA_KEYSPACE", KEYSPACE),
            ("RECORDS_CASSANDRA_CREATE_KEYSPACE", "false"),
            ("RECORDS_CASSANDRA_REPLICATION_FACTOR", "3"),
        ])
        .await?;
        let school = School::open(&world).await?;
        Ok(Self {
            nodes,
            plain,
            world,
            school,
            random: random(),
        })
    }

    /// One is killed, and comes back, while everybody goes on.
    async fn one_node(&mut self, totals: &mut Totals) -> Result<()> {
        self.school.sign_in_again(&self.world).await?;
        let load = Load::on_a_new_course(&self.school, Patience::default()).await?;
        let working = load.start(&self.school, &KINDS);
        working.progress(BETWEEN).await?;
        let node = self.random.random_range(0..NODES);
        self.nodes.kill(node)?;
        started(self.starting()?).await?;
        working.progress(2 * BETWEEN).await?;
        self.nodes.launch(node)?;
        self.nodes.wait(node).await?;
        working.progress(BETWEEN).await?;
        working.stop().await?;
        self.whole().await?;
        load.every_request_succeeded()?;
        let (_, longest) = load.worst();
        ensure!(longest < LONGEST, "a request took {longest:?}");
        totals.done.add(&load, &load.holds(&self.school).await?);
        Ok(())
    }

    /// A program that starts now, by contact points of which not all answer.
    fn starting(&self) -> Result<Child> {
        let mut migrate = Command::from(self.world.command(&["migrate"])?);
        migrate
            .kill_on_drop(true)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(migrate.spawn()?)
    }

    /// Two are killed at once, and come back; nobody touches the program.
    async fn two_nodes(&mut self, totals: &mut Totals) -> Result<()> {
        self.school.sign_in_again(&self.world).await?;
        // Somebody who never gives up: what is acknowledged in the end must be there, once.
        let stubborn = Patience {
            tries: 1_000,
            ..Patience::default()
        };
        let load = Load::on_a_new_course(&self.school, stubborn).await?;
        let probes = Probes::of(&self.school).await?;
        let working = load.start(&self.school, &KINDS);
        working.progress(BETWEEN).await?;
        let left = self.random.random_range(0..NODES);
        let away: Vec<_> = (0..NODES).filter(|node| *node != left).collect();
        for node in &away {
            self.nodes.kill(*node)?;
        }
        let mut starting = self.starting()?;
        let since = Instant::now();
        while since.elapsed() < AWAY {
            probes.all_refused(totals).await?;
        }
        let gone = starting.try_wait()?;
        ensure!(gone.is_none(), "a program that starts does not wait");
        for node in &away {
            self.nodes.launch(*node)?;
        }
        for node in &away {
            self.nodes.wait(*node).await?;
        }
        let back = Instant::now();
        probes.until_all_succeed(back).await?;
        totals.slowest_recovery = totals.slowest_recovery.max(back.elapsed());
        started(starting).await?;
        ensure!(back.elapsed() < RECOVERED_WITHIN, "a program starts late");
        working.progress(BETWEEN).await?;
        working.stop().await?;
        self.whole().await?;
        load.every_request_succeeded()?;
        totals.done.add(&load, &load.holds(&self.school).await?);
        Ok(())
    }

    /// Waits until each node, asked itself, reaches all of the others.
    async fn whole(&self) -> Result<()> {
        let began = Instant::now();
        loop {
            let Err(missing) = self.each_reaches_all().await else {
                return Ok(());
            };
            ensure!(
                began.elapsed() < WHOLE_WITHIN,
                "the cluster does not become whole: {missing:#}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn each_reaches_all(&self) -> Result<()> {
        let state = self.plain.get_cluster_state();
        let nodes = state.get_nodes_info();
        ensure!(nodes.len() == NODES, "{} nodes are known", nodes.len());
        for node in nodes {
            let select = format!("SELECT number FROM {KEYSPACE}.riwaq_schema WHERE id = 'schema'");
            let mut select = Statement::new(select);
            select.set_consistency(Consistency::All);
            select.set_request_timeout(Some(Duration::from_secs(5)));
            let itself = NodeIdentifier::Node(Arc::clone(node));
            let itself = SingleTargetLoadBalancingPolicy::new(itself, None);
            select.set_load_balancing_policy(Some(itself));
            self.plain.query_unpaged(select, ()).await?;
        }
        Ok(())
    }
}

/// Waits until the program has found the records as they are.
async fn started(program: Child) -> Result<()> {
    let output = program.wait_with_output().await?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && said.contains("already"),
        "a program that starts while nodes are away: {}: {said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// One request of each sort that comes to the records first, or after another.
struct Probes {
    teacher: Client,
    student: Client,
    course: String,
    login: (String, String),
}

const PROBES: [&str; 8] = [
    "list", "read", "profile", "create", "edit", "section", "upload", "login",
];

impl Probes {
    async fn of(school: &School) -> Result<Self> {
        let person = &school.student_account;
        Ok(Self {
            teacher: school.teacher.clone(),
            student: school.student.clone(),
            course: school.course("Probed").await?.id,
            login: (person.email.clone(), person.password.clone()),
        })
    }

    fn request(&self, probe: &str) -> Result<(&Client, RequestBuilder)> {
        let course = format!("/api/courses/{}", self.course);
        let (client, method, path, body) = match probe {
            "list" => (&self.student, Method::GET, "/api/courses".into(), None),
            "read" => (&self.teacher, Method::GET, course, None),
            "profile" => (&self.student, Method::GET, "/api/users/me".into(), None),
            "create" => {
                let body = json!({"title": "Made while away", "description": ""});
                (
                    &self.teacher,
                    Method::POST,
                    "/api/courses".into(),
                    Some(body),
                )
            }
            "edit" => (
                &self.teacher,
                Method::PATCH,
                course,
                Some(json!({"title": "Probed again"})),
            ),
            "section" => {
                let body = json!({"title": "Probed"});
                let path = format!("{course}/sections");
                (&self.teacher, Method::POST, path, Some(body))
            }
            "upload" => {
                let form = multipart("probe.txt", "text/plain", b"a probe")?;
                let request = self
                    .teacher
                    .request(Method::POST, &format!("{course}/files"));
                return Ok((&self.teacher, request.multipart(form)));
            }
            _ => {
                let body = json!({"email": self.login.0, "password": self.login.1});
                let path = "/api/auth/login".into();
                (&self.student, Method::POST, path, Some(body))
            }
        };
        let mut request = client.request(method, &path);
        if let Some(body) = body {
            request = request
                .header("idempotency-key", Uuid::new_v4().to_string())
                .json(&body);
        }
        Ok((client, request))
    }

    /// Asked at once, each is answered 503 with `Retry-After`, soon.
    async fn all_refused(&self, totals: &mut Totals) -> Result<()> {
        for took in try_join_all(PROBES.map(|probe| self.refused(probe))).await? {
            totals.slowest_refusal = totals.slowest_refusal.max(took);
            totals.refusals += 1;
        }
        // As people do who were told to come again.
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    async fn refused(&self, probe: &str) -> Result<Duration> {
        let (client, request) = self.request(probe)?;
        let began = Instant::now();
        let answer = client
            .send(request)
            .await
            .with_context(|| probe.to_owned())?;
        let took = began.elapsed();
        ensure!(
            answer.status == 503 && took < REFUSED_WITHIN,
            "{probe} was answered {} after {took:?} with two nodes away: {}",
            answer.status,
            answer.text()
        );
        let told = answer.expect_problem(503, "unavailable");
        told.with_context(|| probe.to_owned())?;
        ensure!(retry_after(&answer).is_some(), "{probe}: no Retry-After");
        Ok(took)
    }

    /// Each succeeds again, one after the other, before it is too late.
    async fn until_all_succeed(&self, back: Instant) -> Result<()> {
        for probe in PROBES {
            loop {
                let (client, request) = self.request(probe)?;
                let answer = client.send(request).await.context(probe)?;
                if answer.status < 300 {
                    break;
                }
                ensure!(
                    back.elapsed() < RECOVERED_WITHIN,
                    "{probe} is still answered {} {:?} after the nodes came back: {}",
                    answer.status,
                    back.elapsed(),
                    answer.text()
                );
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }
}

/// What many rounds came to.
#[derive(Default)]
struct Totals {
    done: Done,
    refusals: u64,
    slowest_refusal: Duration,
    slowest_recovery: Duration,
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.done.fmt(f)?;
        if self.refusals > 0 {
            write!(
                f,
                "; {} requests refused with 503 within {} ms, all well again {} ms after the return",
                self.refusals,
                self.slowest_refusal.as_millis(),
                self.slowest_recovery.as_millis()
            )?;
        }
        Ok(())
    }
}
