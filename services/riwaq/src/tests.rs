//! Each role alone, over memory adapters, with every other role away.

use std::sync::Arc;

use riwaq_blobs::MemoryBlobs;
use riwaq_directory::MemoryDirectory;
use riwaq_events::{MemoryEvents, RetryPolicy};
use riwaq_index::MemoryIndex;
use riwaq_mail::MemoryMail;
use riwaq_records::{Memory, Records};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::adapters::{Adapters, Need, embedded};
use crate::config::{Config, PeersConfig, RecordsEngine};
use crate::host;
use crate::roles::{self, ROLES, Role};
use crate::secrets::Secrets;
use crate::wiring::Parts;

/// Where nobody answers.
const AWAY: &str = "http://127.0.0.1:9";

fn config() -> Config {
    let away = || AWAY.to_owned();
    let peers = PeersConfig {
        auth: away(),
        users: away(),
        courses: away(),
        files: away(),
        search: away(),
        chatbot: away(),
    };
    let address = "127.0.0.1:8080".parse().unwrap();
    Config {
        peers,
        ..Config::default()
    }
    .bound(address)
    .unwrap()
}

/// Those that the role names, and no others.
async fn adapters(role: &Role) -> Adapters {
    let clock = host::clock();
    let records = Memory::new();
    records
        .migrate(&roles::migration_plan().unwrap())
        .await
        .unwrap();
    let needs = |need| role.needs.contains(&need);
    Adapters {
        records: Arc::new(records),
        events: Arc::new(MemoryEvents::new(clock.clone(), RetryPolicy::default()).unwrap()),
        blobs: needs(Need::Blobs).then(|| Arc::new(MemoryBlobs::new(clock.clone())) as _),
        index: needs(Need::Index).then(|| Arc::new(MemoryIndex::new()) as _),
        directory: needs(Need::Directory).then(|| Arc::new(MemoryDirectory::new()) as _),
        mail: needs(Need::Mail).then(|| Arc::new(MemoryMail::default()) as _),
        mail_folder: None,
    }
}

async fn parts(role: &'static Role) -> Parts {
    let folder = tempfile::tempdir().unwrap();
    let secrets = Secrets::load(None, Some(folder.path())).unwrap();
    let (parts, _loose) = Parts::new(
        config(),
        secrets,
        adapters(role).await,
        host::clock(),
        &[role],
    )
    .unwrap();
    parts
}

/// The status of a GET over a plain connection.
async fn status(address: std::net::SocketAddr, path: &str) -> u16 {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::get(format!("http://{address}{path}"))
        .await
        .unwrap()
        .status()
        .as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_starts_alone_lives_and_says_that_it_is_not_ready_without_the_others() {
    let metrics = riwaq_kit::MetricsHandle::install();
    for role in ROLES {
        let parts = parts(role).await;
        let service =
            (role.build)(&parts).unwrap_or_else(|error| panic!("{}: {error:#}", role.name));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let process = host::process(&parts.config, &parts.clock, &metrics);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = process.serve(service, listener, async move {
            stopped.await.unwrap_or_default()
        });
        let asking = async {
            assert_eq!(status(address, "/livez").await, 200, "{}", role.name);
            assert_eq!(status(address, "/readyz").await, 503, "{}", role.name);
            assert_eq!(status(address, "/nothing/here").await, 404, "{}", role.name);
            stop.send(()).unwrap();
        };
        let (served, ()) = tokio::join!(serving, asking);
        served.unwrap();
    }
}

#[tokio::test]
async fn a_role_without_the_address_of_one_that_it_asks_is_refused_with_the_setting() {
    for role in ROLES {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::load(None, Some(folder.path())).unwrap();
        let config = Config {
            peers: PeersConfig::default(),
            ..config()
        };
        let refused = Parts::new(
            config,
            secrets,
            adapters(role).await,
            host::clock(),
            &[role],
        );
        let error = refused
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(error.contains("peers."), "{}: {error}", role.name);
    }
}

#[test]
fn an_embedded_engine_is_named_with_its_setting() {
    let mut config = Config::default();
    assert!(embedded(&config)[0].contains("records.engine"));
    config.records.engine = RecordsEngine::Cassandra;
    assert!(
        !embedded(&config)
            .iter()
            .any(|name| name.contains("records"))
    );
}
