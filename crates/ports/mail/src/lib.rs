//! The mail port: one message to one person.
//!
//! Owns the message and its checks ([`Message`]), its form on the wire ([`mime`]), the promise of
//! sending ([`Mail`]), a memory version ([`MemoryMail`]) and the conformance suite
//! ([`conformance`]). Must not know why a mail is sent, nor its wording.
//!
//! Sending is at least once: a message that is sent again (its outcome was unknown, its event
//! came twice) bears the same `Message-ID`, which is derived from [`Message::id`], so mail
//! programs can tell that it is the same one.
#![warn(missing_docs)]

mod address;
pub mod conformance;
mod error;
mod memory;
mod message;
pub mod mime;

use std::fmt;

use async_trait::async_trait;

pub use address::{Address, Mailbox};
pub use error::{MailError, Result};
pub use memory::MemoryMail;
pub use message::{Message, limits};

/// A way to send mail.
#[async_trait]
pub trait Mail: Send + Sync + fmt::Debug + 'static {
    /// Sends. `Ok`: the next hop has taken responsibility for it (RFC 5321 section 4.2.5), or
    /// it is durably where the adapter keeps it.
    ///
    /// # Errors
    /// [`MailError::Invalid`] before anything is sent; [`MailError::Temporary`] may be tried
    /// again with the same message and may have been sent; [`MailError::Permanent`] is final.
    async fn send(&self, message: &Message) -> Result<()>;

    /// Whether the next hop can be reached now.
    ///
    /// # Errors
    /// [`MailError::Temporary`] or [`MailError::Permanent`] with the reason.
    async fn ping(&self) -> Result<()>;
}
