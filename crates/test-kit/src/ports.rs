//! Ports that nobody else is given.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context, Result, bail};
use tokio::net::TcpSocket;

/// How many ports are tried.
const TRIES: usize = 100;

/// A free port of loopback. Another process may take it before it is used; that is rare and loud.
///
/// # Errors
/// When the machine has none left.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// A port of loopback that is held as long as this lives: a program that is given the number can listen
/// at it, again and again, and nobody who asks for any free port gets it meanwhile. While nobody
/// listens, connections are refused.
///
/// The socket here is bound and never listens. Linux lets a second one bind beside it when both allow reuse
/// of the address, which every listener of Rust's does.
#[derive(Debug)]
pub struct ReservedPort {
    _sockets: Vec<TcpSocket>,
    port: u16,
}

impl ReservedPort {
    /// Any free one.
    ///
    /// # Errors
    /// When the machine has none left.
    pub fn new() -> Result<Self> {
        Self::on_all(&[Ipv4Addr::LOCALHOST])
    }

    /// Any that is free on every one of these addresses: the nodes of a cluster share their numbers.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn on_all(addresses: &[Ipv4Addr]) -> Result<Self> {
        for _ in 0..TRIES {
            let first = reusable((addresses[0], 0).into())?;
            let port = first.local_addr()?.port();
            let others = addresses[1..].iter();
            let others: Result<Vec<_>> = others
                .map(|address| reusable((*address, port).into()))
                .collect();
            if let Ok(mut sockets) = others {
                sockets.push(first);
                return Ok(Self {
                    _sockets: sockets,
                    port,
                });
            }
        }
        bail!("no port is free on all of {addresses:?}")
    }

    /// Its number.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Listens at it, from this process.
    ///
    /// # Errors
    /// When somebody listens already.
    pub(crate) fn listen(&self) -> Result<tokio::net::TcpListener> {
        reusable(self.address())?
            .listen(1024)
            .with_context(|| format!("cannot listen at {}", self.address()))
    }
}

fn reusable(address: SocketAddr) -> Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket
        .bind(address)
        .with_context(|| format!("cannot bind {address}"))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn a_reserved_port_refuses_until_somebody_listens_and_again_afterwards() {
        let port = ReservedPort::new().unwrap();
        for _ in 0..3 {
            let refused = TcpStream::connect(port.address()).await.unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
            // As another program would.
            let listener = tokio::net::TcpListener::bind(port.address()).await.unwrap();
            let (there, here) = tokio::join!(TcpStream::connect(port.address()), listener.accept());
            there.unwrap();
            here.unwrap();
        }
    }

    #[tokio::test]
    async fn a_reserved_port_is_nobody_else_s() {
        let reserved = ReservedPort::new().unwrap();
        for _ in 0..2000 {
            assert_ne!(free_port().unwrap(), reserved.port());
        }
    }
}
