//! The connections to the server.
//!
//! lettre's own pool keeps a connection whose exchange was cancelled in the middle, and its time
//! limit ends with the connect; then a late answer would be taken for the next message's. Here a
//! connection goes back only after an exchange that ended well, and every exchange has a limit.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use riwaq_clock::SharedClock;
use riwaq_mail::Result;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::config::Encryption;
use crate::error::{explained, temporary};

/// How to open a connection.
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) encryption: Encryption,
    pub(crate) tls: Option<TlsParameters>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) hello: ClientId,
    pub(crate) timeout: Duration,
}

pub(crate) struct Pool {
    target: Target,
    clock: SharedClock,
    idle_timeout: Duration,
    /// With the time since when each is idle; the last one used is the first to be used again.
    idle: Mutex<Vec<(AsyncSmtpConnection, Duration)>>,
    permits: Semaphore,
}

/// A connection in use. Dropped without [`Lent::give_back`], it is closed.
pub(crate) struct Lent<'p> {
    connection: AsyncSmtpConnection,
    pool: &'p Pool,
    _permit: SemaphorePermit<'p>,
}

impl Pool {
    pub(crate) fn new(
        target: Target,
        clock: SharedClock,
        idle_timeout: Duration,
        max_connections: usize,
    ) -> Self {
        Self {
            target,
            clock,
            idle_timeout,
            idle: Mutex::default(),
            permits: Semaphore::new(max_connections),
        }
    }

    /// A connection that has just answered, old or new.
    pub(crate) async fn lend(&self) -> Result<Lent<'_>> {
        let permit = self
            .permits
            .acquire()
            .await
            .map_err(|error| temporary(error.to_string()))?;
        while let Some(mut connection) = self.take_idle() {
            // The server may have closed it meanwhile.
            if self.limited(connection.test_connected()).await? {
                return Ok(Lent {
                    connection,
                    pool: self,
                    _permit: permit,
                });
            }
        }
        let connection = self
            .limited(self.connect())
            .await?
            .map_err(|error| explained(&error))?;
        Ok(Lent {
            connection,
            pool: self,
            _permit: permit,
        })
    }

    fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        let oldest = self.clock.monotonic().saturating_sub(self.idle_timeout);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| *since >= oldest);
        idle.pop().map(|(connection, _)| connection)
    }

    async fn connect(&self) -> std::result::Result<AsyncSmtpConnection, Error> {
        let Target {
            host,
            port,
            encryption,
            tls,
            credentials,
            hello,
            timeout,
        } = &self.target;
        let from_the_start = tls.clone().filter(|_| *encryption == Encryption::Tls);
        let address = (host.as_str(), *port);
        let mut connection = AsyncSmtpConnection::connect_tokio1(
            address,
            Some(*timeout),
            hello,
            from_the_start,
            None,
        )
        .await?;
        if let Some(tls) = tls.clone().filter(|_| *encryption == Encryption::Starttls) {
            // Fails where the server does not offer it.
            connection.starttls(tls, hello).await?;
        }
        if let Some(credentials) = credentials {
            connection
                .auth(&[Mechanism::Plain, Mechanism::Login], credentials)
                .await?;
        }
        Ok(connection)
    }

    async fn limited<T>(&self, exchange: impl Future<Output = T>) -> Result<T> {
        let limit = self.target.timeout;
        let late = |_| temporary(format!("no answer within {} s", limit.as_secs()));
        tokio::time::timeout(limit, exchange).await.map_err(late)
    }
}

impl Lent<'_> {
    /// One exchange, within the time limit.
    pub(crate) async fn exchange<T>(
        &mut self,
        exchange: impl AsyncFnOnce(&mut AsyncSmtpConnection) -> std::result::Result<T, Error>,
    ) -> Result<T> {
        let pool = self.pool;
        pool.limited(exchange(&mut self.connection))
            .await?
            .map_err(|error| explained(&error))
    }

    /// The exchange ended well: the connection may be used again.
    pub(crate) fn give_back(self) {
        if self.connection.has_broken() {
            return;
        }
        let now = self.pool.clock.monotonic();
        self.pool
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((self.connection, now));
    }
}
