//! What went wrong on the way to the broker, and what it means to the caller.

use std::future::Future;
use std::time::Duration;

use lapin::ErrorKind;
use riwaq_events::EventsError;

/// AMQP reply codes that mean something here (AMQP 0-9-1, 1.2 "AMQP-defined reply codes").
pub(crate) const NOT_FOUND: u16 = 404;
pub(crate) const RESOURCE_LOCKED: u16 = 405;
pub(crate) const INTERNAL_ERROR: u16 = 541;
const ACCESS_REFUSED: u16 = 403;
const NOT_ALLOWED: u16 = 530;

/// A call that did not succeed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// No answer in time; the outcome is unknown.
    Late(&'static str),
    /// The driver or the broker said why.
    Driver(lapin::Error),
}

impl Fault {
    /// The broker's reply code, where it gave one.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Driver(error) => match error.kind() {
                ErrorKind::ProtocolError(said) => Some(said.get_id()),
                _ => None,
            },
            Self::Late(_) => None,
        }
    }

    /// Whether the same call can never succeed: wrong password, no such virtual host, no permission,
    /// a certificate that is not trusted.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Late(_) => false,
            Self::Driver(error) => match error.kind() {
                ErrorKind::ProtocolError(said) => {
                    matches!(said.get_id(), ACCESS_REFUSED | NOT_ALLOWED)
                }
                ErrorKind::AuthProviderError(_) => true,
                // rustls reports what it thinks of a certificate as invalid data.
                ErrorKind::IOError(io) => io.kind() == std::io::ErrorKind::InvalidData,
                _ => false,
            },
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Late(what) => write!(f, "no answer to {what} in time"),
            Self::Driver(error) => write!(f, "{error}"),
        }
    }
}

impl From<lapin::Error> for Fault {
    fn from(error: lapin::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<Fault> for EventsError {
    fn from(fault: Fault) -> Self {
        Self::Unavailable(fault.to_string())
    }
}

/// The answer, or [`Fault::Late`].
pub(crate) async fn within<T>(
    limit: Duration,
    what: &'static str,
    call: impl Future<Output = lapin::Result<T>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Fault::Late(what)),
    }
}
