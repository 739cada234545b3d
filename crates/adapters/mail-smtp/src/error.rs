//! What lettre says, in the port's words.

use std::error::Error as _;

use lettre::transport::smtp::Error;
use riwaq_mail::MailError;

/// The longest text of a server that is passed on, in bytes.
const MAX_TEXT_BYTES: usize = 300;

/// RFC 5321 section 4.2.1: 4xx may be tried again, 5xx may not. A connection, TLS or protocol
/// failure says nothing about the message: it may be tried again.
pub(crate) fn explained(error: &Error) -> MailError {
    let code = error.status().map(u16::from);
    let message = text(error);
    if error.is_permanent() || error.is_client() {
        MailError::Permanent { code, message }
    } else {
        MailError::Temporary { code, message }
    }
}

/// Trouble that no server told us of.
pub(crate) fn temporary(message: String) -> MailError {
    MailError::Temporary {
        code: None,
        message,
    }
}

/// With its causes; a server's text could hold anything, and goes to logs.
fn text(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    let mut clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    clean.truncate(clean.floor_char_boundary(MAX_TEXT_BYTES));
    clean
}
