//! TLS with a given authority, on nodes that take it and plain text on one port.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use riwaq_records::{Records, RecordsError};
use riwaq_records_cassandra::Config;
use riwaq_test_kit::{Backend, authority, cassandra_cluster};

use crate::keyspace::{Keyspaces, connect};

/// An authority that has signed nothing here: made for this test, valid until 2126, its key thrown away.
const STRANGER: &str = include_str!("stranger.pem");

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_reached_over_tls_when_their_authority_is_given() {
    let (Backend::Ready(addresses), Backend::Ready(ca)) = (cassandra_cluster(), authority()) else {
        return;
    };
    let keyspaces = Keyspaces::at(&addresses);
    let config = Config {
        tls: true,
        ca_file: Some(PathBuf::from(ca)),
        ..keyspaces.fresh()
    };
    let records = connect(config).await.unwrap();
    records.ping().await.unwrap();
    keyspaces.drop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_authority_is_refused_at_once() {
    let Backend::Ready(addresses) = cassandra_cluster() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let stranger = folder.path().join("stranger.pem");
    std::fs::write(&stranger, STRANGER).unwrap();
    let started = Instant::now();
    for ca_file in [Some(stranger), None] {
        let config = Config {
            tls: true,
            ca_file: ca_file.clone(),
            ..Keyspaces::at(&addresses).fresh()
        };
        let error = connect(config).await.unwrap_err();
        assert!(
            matches!(&error, RecordsError::InvalidInput { field, .. } if field == "ca_file"),
            "{ca_file:?}: {error:?}"
        );
    }
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_without_tls_is_named_so() {
    let Backend::Ready(ca) = authority() else {
        return;
    };
    // Says something that is no TLS to whoever comes.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            use tokio::io::AsyncWriteExt;
            let _ = stream.write_all(b"220 this is no TLS at all\r\n").await;
        }
    });
    let config = Config {
        contact_points: vec![address.to_string()],
        tls: true,
        ca_file: Some(PathBuf::from(ca)),
        ..Config::default()
    };
    let error = connect(config).await.unwrap_err();
    assert!(
        matches!(&error, RecordsError::InvalidInput { field, .. } if field == "tls"),
        "{error:?}"
    );
}
