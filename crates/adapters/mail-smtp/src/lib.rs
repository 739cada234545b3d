//! Mail over SMTP, to the school's own server or a relay.
//!
//! Owns the connections to one server. Must not know what the messages say. Encryption that was
//! asked for is never given up: a server that does not offer STARTTLS gets nothing from us.
//!
//! Metrics: those of `riwaq-calls`, with `backend="smtp"`.
#![warn(missing_docs)]

mod config;
mod error;
mod pool;
mod transport;

pub use config::{Encryption, SetupError, SmtpConfig};
pub use transport::SmtpMail;
