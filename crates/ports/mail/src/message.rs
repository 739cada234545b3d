//! A message and its checks.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::address::Mailbox;
use crate::error::{MailError, Result};

/// Limits, the same on every adapter.
pub mod limits {
    /// The longest id, in bytes.
    pub const MAX_ID_BYTES: usize = 256;
    /// The longest subject, in bytes.
    pub const MAX_SUBJECT_BYTES: usize = 500;
    /// The longest body, plain or HTML, in bytes each (256 KiB).
    pub const MAX_BODY_BYTES: usize = 256 * 1024;
}

/// The namespace of `Message-ID`s: a version 5 UUID of the message's id within it.
const NAMESPACE: Uuid = Uuid::from_u128(0x8a0f_33d2_5c1b_4b63_9d57_1c9b_70b8_54ee);

/// A mail to one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Names the message for ever: the id of the event that asks for it, and what it is for
    /// where one event asks for several. At most 256 bytes.
    pub id: String,
    /// Who sends it.
    pub from: Mailbox,
    /// Who gets it.
    pub to: Mailbox,
    /// One line.
    pub subject: String,
    /// The plain text; lines end in `\n`.
    pub text: String,
    /// The same as HTML.
    pub html: Option<String>,
    /// The language of the text as a BCP 47 tag (`fr`, `ar-MA`): `Content-Language`.
    pub locale: String,
}

impl Message {
    /// Checks every field. Adapters call it before they send.
    ///
    /// # Errors
    /// [`MailError::Invalid`] names the field.
    pub fn validate(&self) -> Result<()> {
        line("id", &self.id, limits::MAX_ID_BYTES)?;
        self.from.validate("from")?;
        self.to.validate("to")?;
        line("subject", &self.subject, limits::MAX_SUBJECT_BYTES)?;
        body("text", &self.text)?;
        self.html
            .as_deref()
            .map_or(Ok(()), |html| body("html", html))?;
        let tag = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if !(2..=35).contains(&self.locale.len()) || !self.locale.bytes().all(tag) {
            return Err(MailError::invalid("locale", "is not a language tag"));
        }
        Ok(())
    }

    /// The `Message-ID` (RFC 5322 section 3.6.4) without its angle brackets: the same for the
    /// same [`Message::id`] and sender's domain.
    #[must_use]
    pub fn message_id(&self) -> String {
        let local = Uuid::new_v5(&NAMESPACE, self.id.as_bytes()).simple();
        format!("{local}@{}", self.from.address.domain())
    }
}

fn line(field: &'static str, text: &str, max_bytes: usize) -> Result<()> {
    if text.trim().is_empty() {
        return Err(MailError::invalid(field, "must not be empty"));
    }
    if text.len() > max_bytes {
        return Err(MailError::invalid(
            field,
            format!("has more than {max_bytes} bytes"),
        ));
    }
    // A line break here would begin another header: that is how headers are injected.
    if text
        .chars()
        .any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
    {
        return Err(MailError::invalid(
            field,
            "has a control character or a line break",
        ));
    }
    Ok(())
}

fn body(field: &'static str, text: &str) -> Result<()> {
    if text.trim().is_empty() {
        return Err(MailError::invalid(field, "must not be empty"));
    }
    if text.len() > limits::MAX_BODY_BYTES {
        return Err(MailError::invalid(
            field,
            format!("has more than {} bytes", limits::MAX_BODY_BYTES),
        ));
    }
    if text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
    {
        return Err(MailError::invalid(field, "has a control character"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message {
            id: "activation/7".into(),
            from: Mailbox::named("Riwaq", "no-reply@riwaq.example".parse().unwrap()),
            to: "amina@example.org"
                .parse::<crate::Address>()
                .unwrap()
                .into(),
            subject: "Validez votre compte".into(),
            text: "Bonjour".into(),
            html: None,
            locale: "fr".into(),
        }
    }

    #[test]
    fn the_message_id_follows_the_id_alone() {
        let other = Message {
            subject: "Rappel".into(),
            ..message()
        };
        assert_eq!(message().message_id(), other.message_id());
        let next = Message {
            id: "activation/8".into(),
            ..message()
        };
        assert_ne!(message().message_id(), next.message_id());
        assert!(message().message_id().ends_with("@riwaq.example"));
    }

    #[test]
    fn bad_fields_are_refused_by_name() {
        let refused = |change: fn(&mut Message)| {
            let mut message = message();
            change(&mut message);
            match message.validate() {
                Err(MailError::Invalid { field, .. }) => field,
                other => panic!("not refused: {other:?}"),
            }
        };
        message().validate().unwrap();
        assert_eq!(refused(|m| m.id.clear()), "id");
        assert_eq!(refused(|m| m.id = "x\ny".into()), "id");
        assert_eq!(
            refused(|m| m.subject = "Hello\r\nBcc: all@example.org".into()),
            "subject"
        );
        assert_eq!(refused(|m| m.subject = "a\u{2028}b".into()), "subject");
        assert_eq!(refused(|m| m.subject = "s".repeat(501)), "subject");
        assert_eq!(refused(|m| m.to.name = Some("A\nB".into())), "to");
        assert_eq!(refused(|m| m.from.name = Some("n".repeat(201))), "from");
        assert_eq!(refused(|m| m.text = " \n".into()), "text");
        assert_eq!(refused(|m| m.text = "a\0b".into()), "text");
        assert_eq!(
            refused(|m| m.html = Some("h".repeat(limits::MAX_BODY_BYTES + 1))),
            "html"
        );
        assert_eq!(refused(|m| m.locale = "fr\r\nX: y".into()), "locale");
    }
}
