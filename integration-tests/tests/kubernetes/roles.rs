//! `mode: roles`: a Deployment for each role, two pods each, on the real backends.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use riwaq_integration_tests::{
    ADMIN, ADMIN_PASSWORD, ConstantRate, Load, LoadKind, MAKE_ADMIN, Person, ROLES, School, Share,
    World, rounds,
};
use riwaq_test_kit::Patience;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Namespace};
use crate::leftovers;
use crate::mail::MailServer;
use crate::pods;
use crate::release::{Kept, Release};

/// Operations that end before the next thing is broken.
const BETWEEN: u64 = 12;
/// For the figures of a cluster to which nothing happens.
const AT_REST: Duration = Duration::from_secs(5);
/// One student reads at the rate of many.
const A_CROWD: u32 = 100_000;
/// Between two requests of a worker: pods start beside them, seven at once, on a machine that also is all of the cluster
/// and its backends. With less of a pause a rollout tells how a machine is that has too much to do.
pub(crate) const ROOM: Duration = Duration::from_millis(600);
/// Pods of each role.
const REPLICAS: usize = 2;
const PORT: u16 = 30_081;

pub(crate) async fn from_installation_to_reinstallation() -> Result<()> {
    let cluster = Cluster::find()?;
    let share = Share::make(&riwaq_test_kit::cassandra()).await?;
    let namespace = Namespace::make(&cluster, "riwaq-roles").await?;
    let done = steps(&namespace, &share).await;
    if done.is_err() {
        println!("{}", namespace.what_happened().await);
    }
    namespace.remove().await?;
    share.remove(leftovers::remove).await?;
    done
}

async fn steps(namespace: &Namespace<'_>, share: &Share) -> Result<()> {
    secret(namespace, share).await?;
    let mail = MailServer::start().await?;
    let values = values(&namespace.cluster.host, share, mail.address.port())?;
    let release = Release::new(namespace, PORT, &values)?;
    println!(
        "mode roles: the first answer {:?} after helm install",
        release.install().await?
    );
    first_account(namespace).await?;
    let mut world = release.world(ADMIN, ADMIN_PASSWORD).await?;
    let kept = Kept::make(&mut world).await?;
    helm_test(&release, &world).await?;
    pods::tell_memory(namespace).await?;
    let _machine = crate::MACHINE.lock().await;
    at_rest(&world, share).await?;
    rollouts(&release, &world).await?;
    pods::each_is_killed(namespace, &world, REPLICAS, BETWEEN).await?;
    release.uninstall().await?;
    release.install().await?;
    kept.is_there(&world).await?;
    release.uninstall().await
}

/// What a request takes while nothing else happens; the same asked of one process outside the cluster, with its records in the
/// same Cassandra: what lies between is what the roles and the cluster's network add.
async fn at_rest(world: &World, share: &Share) -> Result<()> {
    let node = share.cassandra().first().context("no Cassandra")?;
    let keyspace = format!("{}_one", share.tag());
    let one = World::with_records_at(&[
        ("RECORDS_CASSANDRA_CONTACT_POINTS", node),
        ("RECORDS_CASSANDRA_USER", "cassandra"),
        ("RECORDS_CASSANDRA_PASSWORD", "cassandra"),
        ("RECORDS_CASSANDRA_KEYSPACE", &keyspace),
        ("GATEWAY_LIMITS_USER_PER_MINUTE", &A_CROWD.to_string()),
    ])
    .await?;
    for (what, world) in [("mode roles", world), ("one process beside it", &one)] {
        let school = School::open(world).await?;
        let rate = ConstantRate::start(&school.student);
        tokio::time::sleep(AT_REST).await;
        let reads = rate.stop();
        println!("{what}: at rest {reads}");
        ensure!(reads.failed.is_empty(), "{what}: {reads}");
    }
    one.end().await
}

/// Addresses as pods see them.
fn values(host: &str, share: &Share, mail: u16) -> Result<Value> {
    let lent =
        |url: &Url| Ok::<_, anyhow::Error>(format!("{host}:{}", url.port().context("no port")?));
    let node = share.cassandra().first().context("no Cassandra")?;
    let (_, cassandra) = node.rsplit_once(':').context("no port")?;
    let roles = ROLES.map(|role| (role.to_owned(), json!({"replicas": REPLICAS})));
    Ok(json!({
        "mode": "roles",
        "existingSecret": "riwaq",
        "roles": serde_json::Map::from_iter(roles),
        "config": {
            "records": {"engine": "cassandra", "cassandra": {
                "contact_points": [format!("{host}:{cassandra}")],
                // The node tells everybody its own address, which is this machine's loopback.
                "address_map": {"127.0.0.1": format!("{host}:{cassandra}")},
                "user": "cassandra",
                "keyspace": share.tag(),
                "replication_factor": 1,
                // Everything shares one machine with whatever else is being tested there.
                "request_timeout_ms": 20_000,
            }},
            "events": {"engine": "rabbitmq", "rabbitmq": {
                "addresses": [lent(share.rabbitmq())?],
                "virtual_host": share.tag(),
                "user": share.rabbitmq().username(),
            }},
            "blobs": {"engine": "s3", "s3": {
                "endpoint": format!("http://{}", lent(share.s3())?),
                "bucket": share.tag(),
                "access_key": share.s3().username(),
            }},
            "index": {"engine": "opensearch", "opensearch": {
                "urls": [format!("http://{}", lent(share.opensearch())?)],
                "prefix": share.tag(),
            }},
            "mail": {"engine": "smtp", "smtp": {"host": host, "port": mail, "encryption": "none"}},
            "calls": {"deadline_ms": 20_000},
            "gateway": {"limits": {"user_per_minute": A_CROWD}},
            "telemetry": {"trace_sample_ratio": 0.0},
        },
        "tests": {"accountsSecret": "accounts"},
    }))
}

async fn secret(namespace: &Namespace<'_>, share: &Share) -> Result<()> {
    let password = |url: &Url| url.password().unwrap_or_default().to_owned();
    let master = STANDARD.encode([7; 32]);
    create_secret(
        namespace,
        "riwaq",
        &[
            ("master-key", &master),
            ("cassandra-password", "cassandra"),
            ("rabbitmq-password", &password(share.rabbitmq())),
            ("s3-secret-key", &password(share.s3())),
        ],
    )
    .await
}

async fn create_secret(
    namespace: &Namespace<'_>,
    name: &str,
    entries: &[(&str, &str)],
) -> Result<()> {
    let entries = entries.iter();
    let literals = entries.map(|(key, value)| format!("--from-literal={key}={value}"));
    let literals: Vec<String> = literals.collect();
    let args = ["create", "secret", "generic", name];
    let args: Vec<&str> = args
        .into_iter()
        .chain(literals.iter().map(String::as_str))
        .collect();
    namespace.kubectl(&args).await.map(|_| ())
}

/// As the guide says it.
async fn first_account(namespace: &Namespace<'_>) -> Result<()> {
    let inside = ["exec", "--stdin", "deployment/riwaq-auth", "--", "/riwaq"];
    let config = ["--config", "/etc/riwaq/config/riwaq.toml"];
    let args = [&inside[..], &MAKE_ADMIN, &config].concat();
    let made = namespace.kubectl_with(&args, ADMIN_PASSWORD).await;
    made.context("the first account").map(|_| ())
}

/// The doctor in the cluster, and the main job by a script of the chart's.
async fn helm_test(release: &Release<'_>, world: &World) -> Result<()> {
    let admin = world.admin().await?;
    let teacher = Person::make(&admin, "teacher").await?;
    let student = Person::make(&admin, "student").await?;
    create_secret(
        release.namespace,
        "accounts",
        &[
            ("teacher-email", &teacher.email),
            ("teacher-password", &teacher.password),
            ("student-email", &student.email),
            ("student-password", &student.password),
        ],
    )
    .await?;
    let said = release.test().await.context("helm test")?;
    for test in ["test-doctor", "test-main-job"] {
        ensure!(said.contains(test), "{test} did not run: {said}");
    }
    Ok(())
}

/// To another image and back, under load, as often as wanted: nobody notices.
async fn rollouts(release: &Release<'_>, world: &World) -> Result<()> {
    let mut school = School::open(world).await?;
    for what in (0..rounds(1)).flat_map(|_| ["upgrade", "rollback"]) {
        // Tokens live for minutes, and many of these take longer.
        school.sign_in_again(world).await?;
        let load = Load::on_a_new_course(&school, Patience::default()).await?;
        let load = load.with_pauses_of(ROOM);
        let rate = ConstantRate::start(&school.student);
        let working = load.start(&school, &LoadKind::ALL);
        working.progress(BETWEEN).await?;
        let took = if what == "upgrade" {
            release.upgrade().await?
        } else {
            release.roll_back().await?
        };
        working.progress(BETWEEN).await?;
        working.stop().await?;
        let reads = rate.stop();
        let (tries, slowest) = load.worst();
        println!(
            "mode roles: {what} in {took:?}: {reads}; at most {tries} tries and {slowest:?} of a change"
        );
        load.every_request_succeeded()?;
        load.holds(&school).await?;
        ensure!(reads.failed.is_empty(), "during the {what}: {reads}");
        ensure!(took < Duration::from_secs(600));
    }
    Ok(())
}
