//! A TCP proxy that makes a network bad on command.

mod connection;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ports::ReservedPort;

/// What a network does to those who talk over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: bytes pass.
    None,
    /// Every piece is late by `delay`, more or less by up to `jitter`; order is kept. Connecting is late as well.
    Latency {
        /// By how much at least, less the jitter.
        delay: Duration,
        /// How far each piece differs from that.
        jitter: Duration,
    },
    /// No more than this passes in each direction of each connection.
    Throttle {
        /// In bytes.
        bytes_per_second: u64,
    },
    /// Connections are reset, and new ones refused.
    Cut,
    /// Connections stay and new ones are accepted; nothing that is sent arrives, and no answer comes. Whoever
    /// lived through it is reset when it ends, as a firewall does that has forgotten them.
    HalfOpen,
}

/// What applies now. A connection that is older than `epoch` is reset.
#[derive(Debug, Clone, Copy)]
struct Weather {
    fault: Fault,
    epoch: u64,
    /// How often it changed so far.
    change: u64,
}

impl Weather {
    /// An error where a connection of the epoch `born` is to be reset.
    fn still(self, born: u64) -> std::io::Result<()> {
        if self.epoch > born {
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

/// What the acceptor and the connections share.
#[derive(Debug)]
struct Shared {
    weather: watch::Sender<Weather>,
    upstreams: RwLock<Vec<SocketAddr>>,
    turn: AtomicUsize,
    open: watch::Sender<usize>,
    accepted: AtomicU64,
    bytes: AtomicU64,
    seed: u64,
}

/// A TCP proxy on loopback in front of one or more servers, which take turns; one that refuses is passed
/// over. So it is a small load balancer too. It ends when dropped.
#[derive(Debug)]
pub struct ChaosProxy {
    shared: Arc<Shared>,
    /// The change of weather that the acceptor has taken note of.
    applied: watch::Receiver<u64>,
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl ChaosProxy {
    /// Starts it at a free port. The same seed gives the same jitter.
    ///
    /// # Errors
    /// When it cannot listen, or there is no upstream.
    pub fn start(upstreams: impl Into<Vec<SocketAddr>>, seed: u64) -> Result<Self> {
        Self::start_at(ReservedPort::new()?, upstreams, seed)
    }

    /// The same at a port that was reserved before.
    ///
    /// # Errors
    /// When it cannot listen, or there is no upstream.
    pub fn start_at(
        port: ReservedPort,
        upstreams: impl Into<Vec<SocketAddr>>,
        seed: u64,
    ) -> Result<Self> {
        let upstreams = upstreams.into();
        ensure!(!upstreams.is_empty(), "a proxy needs an upstream");
        let address = port.address();
        let listener = port.listen()?;
        let weather = Weather {
            fault: Fault::None,
            epoch: 0,
            change: 0,
        };
        let shared = Arc::new(Shared {
            weather: watch::Sender::new(weather),
            upstreams: RwLock::new(upstreams),
            turn: AtomicUsize::new(0),
            open: watch::Sender::new(0),
            accepted: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            seed,
        });
        let (applied_to, applied) = watch::channel(0);
        let mut serving = JoinSet::new();
        serving.spawn(accept(Arc::clone(&shared), port, listener, applied_to));
        Ok(Self {
            shared,
            applied,
            address,
            _serving: serving,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather. When this returns, new connections meet it, and a cut has reset the old ones.
    pub async fn set(&self, fault: Fault) {
        let mut change = 0;
        self.shared.weather.send_modify(|weather| {
            let resets = fault == Fault::Cut || weather.fault == Fault::HalfOpen;
            weather.fault = fault;
            weather.epoch += u64::from(resets);
            weather.change += 1;
            change = weather.change;
        });
        // It fails only when the acceptor is gone, and with it every connection.
        let mut applied = self.applied.clone();
        let _ = applied.wait_for(|applied| *applied >= change).await;
        if fault == Fault::Cut {
            let _ = self
                .shared
                .open
                .subscribe()
                .wait_for(|open| *open == 0)
                .await;
        }
    }

    /// From now on new connections go to these.
    ///
    /// # Errors
    /// When there is none.
    pub fn set_upstreams(&self, upstreams: impl Into<Vec<SocketAddr>>) -> Result<()> {
        let upstreams = upstreams.into();
        ensure!(!upstreams.is_empty(), "a proxy needs an upstream");
        *self
            .shared
            .upstreams
            .write()
            .unwrap_or_else(PoisonError::into_inner) = upstreams;
        Ok(())
    }

    /// How many connections were accepted so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// How many bytes passed so far, both ways.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// The upstreams, beginning with the one whose turn it is.
    fn in_turn(&self) -> Vec<SocketAddr> {
        let mut upstreams = self
            .upstreams
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % upstreams.len().max(1);
        upstreams.rotate_left(turn);
        upstreams
    }
}

/// Accepts as long as the weather lets it. A cut closes the listener: the port stays ours and refuses.
async fn accept(
    shared: Arc<Shared>,
    port: ReservedPort,
    listener: TcpListener,
    applied: watch::Sender<u64>,
) {
    let mut weather = shared.weather.subscribe();
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let now = *weather.borrow_and_update();
        if now.fault == Fault::Cut {
            listener = None;
        } else if listener.is_none() {
            listener = port.listen().ok();
        }
        applied.send_replace(now.change);
        tokio::select! {
            changed = weather.changed() => if changed.is_err() { return },
            Some(client) = next(listener.as_ref()) => {
                let number = shared.accepted.fetch_add(1, Ordering::Relaxed);
                connections.spawn(connection::serve(client, Arc::clone(&shared), number));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn next(listener: Option<&TcpListener>) -> Option<tokio::net::TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.ok().map(|(client, _)| client),
        None => std::future::pending().await,
    }
}
