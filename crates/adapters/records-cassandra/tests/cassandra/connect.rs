//! Starting: with nodes away, with what cannot work, and with a keyspace that is there already.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use riwaq_records::conformance::tables;
use riwaq_records::{MigrationPlan, Records, RecordsError};
use riwaq_records_cassandra::Config;
use riwaq_test_kit::{Backend, cassandra, cassandra_cluster, free_port};

use crate::keyspace::{Keyspaces, connect};

#[tokio::test]
async fn a_cluster_that_is_away_is_unavailable_and_named() {
    let config = Config {
        contact_points: vec!["127.0.0.1:1".into()],
        connect_timeout_seconds: 0,
        ..Config::default()
    };
    let error = connect(config).await.unwrap_err();
    assert!(matches!(error, RecordsError::Unavailable { .. }));
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn a_configuration_that_cannot_work_names_the_field() {
    let good = Config::default;
    for (config, field) in [
        (
            Config {
                contact_points: vec![],
                ..good()
            },
            "contact_points",
        ),
        (
            Config {
                keyspace: "x; DROP".into(),
                ..good()
            },
            "keyspace",
        ),
        (
            Config {
                datacenter: "a'b".into(),
                ..good()
            },
            "datacenter",
        ),
        (
            Config {
                replication_factor: 0,
                ..good()
            },
            "replication_factor",
        ),
        (
            Config {
                connections_per_node: 0,
                ..good()
            },
            "connections_per_node",
        ),
        (
            Config {
                request_timeout_ms: 0,
                ..good()
            },
            "request_timeout_ms",
        ),
        (
            Config {
                keepalive_seconds: 0,
                ..good()
            },
            "keepalive_seconds",
        ),
        (
            Config {
                schema_timeout_seconds: 0,
                ..good()
            },
            "schema_timeout_seconds",
        ),
        (
            Config {
                ca_file: Some("/ca.pem".into()),
                ..good()
            },
            "ca_file",
        ),
    ] {
        let error = connect(config).await.unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
    }
}

/// The first contact point refuses connections, the second takes them and never answers, the last is a node.
#[tokio::test(flavor = "multi_thread")]
async fn one_contact_point_that_answers_is_enough() {
    let Backend::Ready(addresses) = cassandra_cluster() else {
        return;
    };
    let node = addresses.split(',').next_back().unwrap().to_owned();
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let keyspaces = Keyspaces::at(&addresses);
    let config = Config {
        contact_points: vec![
            format!("127.0.0.1:{}", free_port().unwrap()),
            mute.local_addr().unwrap().to_string(),
            node,
        ],
        connection_timeout_ms: 500,
        ..keyspaces.fresh()
    };
    // Their order is drawn anew by the driver each time.
    for _ in 0..3 {
        let records = connect(config.clone()).await.unwrap();
        records.ping().await.unwrap();
    }
    keyspaces.drop_all().await;
}

/// Nobody is there at first; a node is, once the program has been told so.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_starts_before_the_cluster_waits_for_it() {
    let Backend::Ready(address) = cassandra() else {
        return;
    };
    let keyspaces = Keyspaces::at(&address);
    let port = free_port().unwrap();
    let config = Config {
        contact_points: vec![format!("127.0.0.1:{port}")],
        connection_timeout_ms: 2_000,
        connect_timeout_seconds: 60,
        ..keyspaces.fresh()
    };
    let opening = tokio::spawn(connect(config));
    // It has tried and failed at least once by the time that the port opens.
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(!opening.is_finished());
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        for inward in listener.incoming() {
            let (inward, outward) = (inward.unwrap(), TcpStream::connect(&address).unwrap());
            pipe(&inward, &outward);
            pipe(&outward, &inward);
        }
    });
    let records = opening.await.unwrap().unwrap();
    records.ping().await.unwrap();
    keyspaces.drop_all().await;
}

fn pipe(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_at_once_and_not_repeated_in_the_error() {
    let Backend::Ready(address) = cassandra() else {
        return;
    };
    let started = Instant::now();
    let config = Config {
        password: "not-the-password".into(),
        ..Keyspaces::at(&address).fresh()
    };
    let error = connect(config).await.unwrap_err();
    assert!(
        matches!(&error, RecordsError::InvalidInput { field, .. } if field == "user"),
        "{error:?}"
    );
    assert!(!error.to_string().contains("not-the-password"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(30));
    let config = Config {
        user: String::new(),
        ..Keyspaces::at(&address).fresh()
    };
    let error = connect(config).await.unwrap_err();
    assert!(error.to_string().contains("user"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_centre_without_nodes_is_told_with_those_that_there_are() {
    let Backend::Ready(address) = cassandra() else {
        return;
    };
    let config = Config {
        datacenter: "atlantis".into(),
        ..Keyspaces::at(&address).fresh()
    };
    let error = connect(config).await.unwrap_err().to_string();
    assert!(
        error.contains("atlantis") && error.contains("datacenter1"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn more_copies_than_nodes_are_refused_before_the_keyspace_is_made() {
    let Backend::Ready(address) = cassandra() else {
        return;
    };
    let keyspaces = Keyspaces::at(&address);
    let config = Config {
        replication_factor: 3,
        ..keyspaces.fresh()
    };
    let error = connect(config.clone()).await.unwrap_err().to_string();
    assert!(error.contains("replication_factor"), "{error}");
    let config = Config {
        create_keyspace: false,
        ..config
    };
    let error = connect(config).await.unwrap_err();
    assert!(
        matches!(&error, RecordsError::Schema { reason } if reason.contains("CREATE KEYSPACE")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyspace_with_fewer_copies_than_configured_is_refused_with_the_remedy() {
    let Backend::Ready(addresses) = cassandra_cluster() else {
        return;
    };
    let keyspaces = Keyspaces::at(&addresses);
    let config = keyspaces.fresh();
    let one = Config {
        replication_factor: 1,
        ..config.clone()
    };
    connect(one.clone()).await.unwrap();
    let error = connect(config.clone()).await.unwrap_err();
    assert!(matches!(&error, RecordsError::Schema { .. }), "{error}");
    let error = error.to_string();
    let (_, remedy) = error.split_once("as an administrator: ").unwrap();
    let (remedy, _) = remedy.split_once(", then").unwrap();
    keyspaces
        .plain()
        .await
        .query_unpaged(remedy, ())
        .await
        .unwrap();
    connect(config).await.unwrap();
    // More than configured is only told of.
    connect(one).await.unwrap();
    keyspaces.drop_all().await;
}

/// Two replicas of a program may migrate at once; both wait until every node knows the tables.
#[tokio::test(flavor = "multi_thread")]
async fn two_migrations_at_once_on_three_nodes_end_in_one_schema() {
    let Backend::Ready(addresses) = cassandra_cluster() else {
        return;
    };
    let keyspaces = Keyspaces::at(&addresses);
    let config = keyspaces.fresh();
    let (one, two) = (
        connect(config.clone()).await.unwrap(),
        connect(config).await.unwrap(),
    );
    let plan = MigrationPlan::new(tables().into_iter().take(3)).unwrap();
    let (first, second) = tokio::join!(one.migrate(&plan), two.migrate(&plan));
    assert_eq!((first.unwrap().to, second.unwrap().to), (1, 1));
    assert_eq!(one.schema_number().await.unwrap(), 1);
    assert_eq!(two.schema_number().await.unwrap(), 1);
    keyspaces.drop_all().await;
}
