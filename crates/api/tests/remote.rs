//! Several addresses: balancing, loss of one, new names.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use riwaq_api::server::ServerPolicy;
use riwaq_api::{Channel, ChannelError, ChannelOptions, Remote, Resolver};
use riwaq_clock::{Clock as _, ManualClock, SharedClock};
use support::{Fake, SocketServer, get, quick_policy, soon};
use tokio::sync::Notify;
use tonic::Code;

fn options(clock: &Arc<ManualClock>) -> ChannelOptions {
    let clock: SharedClock = clock.clone();
    ChannelOptions {
        policy: quick_policy(),
        clock,
        ..ChannelOptions::named("users")
    }
}

fn clock() -> Arc<ManualClock> {
    ManualClock::at(chrono::DateTime::UNIX_EPOCH)
}

async fn replica(clock: &Arc<ManualClock>) -> (Fake, SocketServer) {
    let fake = Fake::default();
    let clock: SharedClock = clock.clone();
    let server = SocketServer::start(fake.routes(&clock, &ServerPolicy::default())).await;
    (fake, server)
}

#[tokio::test]
async fn calls_are_spread_and_the_loss_of_one_address_fails_none() {
    let clock = clock();
    let (first, first_server) = replica(&clock).await;
    let (second, second_server) = replica(&clock).await;
    let remote = Remote::new([first_server.url(), second_server.url()]);
    let channel = Channel::remote(remote, options(&clock)).unwrap();
    for _ in 0..60 {
        soon("a call", get(&channel, "a")).await.unwrap();
    }
    assert!(
        first.calls() > 10 && second.calls() > 10,
        "{} {}",
        first.calls(),
        second.calls()
    );

    first_server.stop().await;
    let before = second.calls();
    for _ in 0..30 {
        soon("a call with one address gone", get(&channel, "a"))
            .await
            .unwrap();
    }
    assert_eq!(second.calls() - before, 30);
}

#[tokio::test]
async fn an_address_that_comes_back_is_used_again() {
    let clock = clock();
    let (_, server) = replica(&clock).await;
    let address = server.address;
    let channel = Channel::remote(Remote::new([server.url()]), options(&clock)).unwrap();
    soon("a call", get(&channel, "a")).await.unwrap();
    server.stop().await;
    let status = soon("a call into nothing", get(&channel, "a"))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");

    let fake = Fake::default();
    let shared: SharedClock = clock.clone();
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    let router = fake
        .routes(&shared, &ServerPolicy::default())
        .into_axum_router();
    tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
    clock.advance(Duration::from_secs(10));
    soon("a call after the return", get(&channel, "a"))
        .await
        .unwrap();
}

#[derive(Debug)]
struct Names(Mutex<std::io::Result<Vec<SocketAddr>>>);

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, host: &str, _: u16) -> std::io::Result<Vec<SocketAddr>> {
        assert_eq!(host, "users.riwaq");
        match &*self.0.lock().unwrap() {
            Ok(addresses) => Ok(addresses.clone()),
            Err(error) => Err(std::io::Error::new(error.kind(), error.to_string())),
        }
    }
}

#[tokio::test]
async fn names_are_looked_up_again_and_an_outage_of_the_name_service_changes_nothing() {
    let clock = clock();
    let (first, first_server) = replica(&clock).await;
    let (second, second_server) = replica(&clock).await;
    let names = Arc::new(Names(Mutex::new(Err(std::io::Error::other(
        "no name service",
    )))));
    let remote = Remote {
        resolver: names.clone(),
        ..Remote::new(["http://users.riwaq:8081"])
    };
    let channel = Channel::remote(remote, options(&clock)).unwrap();

    let status = soon("no name", get(&channel, "a")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(
        status.message().contains("no name service"),
        "{}",
        status.message()
    );

    *names.0.lock().unwrap() = Ok(vec![first_server.address]);
    soon("the first", get(&channel, "a")).await.unwrap();
    *names.0.lock().unwrap() = Ok(vec![second_server.address]);
    soon("still the first", get(&channel, "a")).await.unwrap();
    assert_eq!((first.calls(), second.calls()), (2, 0));

    clock.advance(Duration::from_secs(10));
    soon("the second", get(&channel, "a")).await.unwrap();
    *names.0.lock().unwrap() = Err(std::io::Error::other("no name service"));
    clock.advance(Duration::from_secs(10));
    soon("still the second", get(&channel, "a")).await.unwrap();
    assert_eq!((first.calls(), second.calls()), (2, 2));
}

/// Answers once, and never again until it is told to.
#[derive(Debug)]
struct Stuck {
    address: Mutex<SocketAddr>,
    asked: AtomicU32,
    go_on: Notify,
}

#[async_trait]
impl Resolver for Stuck {
    async fn resolve(&self, _: &str, _: u16) -> std::io::Result<Vec<SocketAddr>> {
        if self.asked.fetch_add(1, Ordering::SeqCst) > 0 {
            self.go_on.notified().await;
        }
        Ok(vec![*self.address.lock().unwrap()])
    }
}

#[tokio::test]
async fn a_name_service_that_does_not_answer_holds_no_call_up() {
    let clock = clock();
    let (first, first_server) = replica(&clock).await;
    let (second, second_server) = replica(&clock).await;
    let names = Arc::new(Stuck {
        address: Mutex::new(first_server.address),
        asked: AtomicU32::new(0),
        go_on: Notify::new(),
    });
    let remote = Remote {
        resolver: names.clone(),
        ..Remote::new(["http://users.riwaq:8081"])
    };
    let channel = Channel::remote(remote, options(&clock)).unwrap();
    soon("the first", get(&channel, "a")).await.unwrap();

    // The one that looks waits a moment, and those after it do not.
    clock.advance(Duration::from_secs(10));
    let began = clock.monotonic();
    let looks = soon("while names are looked up", get(&channel, "a"));
    let time_passes = async {
        while clock.monotonic() < began + Duration::from_secs(1) {
            tokio::time::sleep(Duration::from_millis(10)).await;
            clock.advance(Duration::from_millis(50));
        }
    };
    let (looked, ()) = futures::join!(looks, time_passes);
    looked.unwrap();
    clock.advance(Duration::from_secs(10));
    soon("while it does not answer", get(&channel, "a"))
        .await
        .unwrap();
    assert_eq!(names.asked.load(Ordering::SeqCst), 2, "one looks at a time");
    assert_eq!((first.calls(), second.calls()), (3, 0));

    *names.address.lock().unwrap() = second_server.address;
    names.go_on.notify_one();
    soon("it has answered", get(&channel, "a")).await.unwrap();
    assert_eq!((first.calls(), second.calls()), (3, 1));
}

#[test]
fn a_channel_without_a_usable_endpoint_is_refused() {
    let none: [&str; 0] = [];
    let refused = Channel::remote(Remote::new(none), ChannelOptions::named("users"));
    assert!(matches!(refused, Err(ChannelError::NoEndpoint)));
    let refused = Channel::remote(
        Remote::new(["users:8081/x"]),
        ChannelOptions::named("users"),
    );
    assert!(matches!(refused, Err(ChannelError::Endpoint { .. })));
}
