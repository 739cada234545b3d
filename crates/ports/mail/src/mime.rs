//! A message as bytes: RFC 5322 headers, RFC 2047 encoded words, RFC 2045/2046 bodies.
//!
//! Everything leaves as 7-bit ASCII in short lines: bodies and names in base64 of UTF-8. No
//! relay on the way has a reason to change a byte.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};

use crate::address::Mailbox;
use crate::message::Message;

/// The header that carries [`Message::id`] as it is (encoded as a word where it is not ASCII).
pub const ID_HEADER: &str = "X-Riwaq-Id";

const BASE64_LINE: usize = 76;
/// Bytes of text in one encoded word: RFC 2047 section 2 allows 75 characters with the frame.
const WORD_BYTES: usize = 42;

/// The message as it is handed to a server or written to a file; lines end in CRLF.
///
/// The message must have been validated; the same message and date give the same bytes.
#[must_use]
pub fn encode(message: &Message, date: DateTime<Utc>) -> Vec<u8> {
    let mut out = String::with_capacity(1024 + 2 * message.text.len());
    header(
        &mut out,
        "Message-ID",
        &format!("<{}>", message.message_id()),
    );
    header(
        &mut out,
        "Date",
        &date.format("%a, %d %b %Y %H:%M:%S +0000").to_string(),
    );
    header(&mut out, "From", &mailbox(&message.from));
    header(&mut out, "To", &mailbox(&message.to));
    header(&mut out, "Subject", &words(&message.subject));
    header(&mut out, ID_HEADER, &words(&message.id));
    header(&mut out, "Content-Language", &message.locale);
    // RFC 3834: vacation programs do not answer a machine.
    header(&mut out, "Auto-Submitted", "auto-generated");
    header(&mut out, "MIME-Version", "1.0");
    match &message.html {
        None => part(&mut out, "text/plain", &message.text),
        Some(html) => alternative(&mut out, message, html),
    }
    out.into_bytes()
}

fn alternative(out: &mut String, message: &Message, html: &str) {
    // No base64 line has an underscore: the boundary cannot occur in a part.
    let boundary = format!(
        "_riwaq_{}",
        message.message_id().split('@').next().unwrap_or_default()
    );
    header(
        out,
        "Content-Type",
        &format!("multipart/alternative;\r\n boundary=\"{boundary}\""),
    );
    for (media_type, body) in [("text/plain", message.text.as_str()), ("text/html", html)] {
        out.push_str(&format!("\r\n--{boundary}\r\n"));
        part(out, media_type, body);
    }
    out.push_str(&format!("\r\n--{boundary}--\r\n"));
}

fn part(out: &mut String, media_type: &str, body: &str) {
    header(out, "Content-Type", &format!("{media_type}; charset=utf-8"));
    header(out, "Content-Transfer-Encoding", "base64");
    out.push_str("\r\n");
    // RFC 2045 section 6.8: text is put into its canonical form, with CRLF, before it is encoded.
    let canonical = body
        .replace("\r\n", "\n")
        .replace('\r', "\n")
        .replace('\n', "\r\n");
    let encoded = STANDARD.encode(canonical);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, later) = rest.split_at(rest.len().min(BASE64_LINE));
        out.push_str(line);
        out.push_str("\r\n");
        rest = later;
    }
}

fn header(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str(": ");
    out.push_str(value);
    out.push_str("\r\n");
}

fn mailbox(mailbox: &Mailbox) -> String {
    match mailbox
        .name
        .as_deref()
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        None => mailbox.address.to_string(),
        Some(name) => format!("{}\r\n <{}>", words(name), mailbox.address),
    }
}

/// Plain where every reader takes it as it is, encoded words otherwise. Specials of a phrase
/// (comma, quote, parenthesis) are encoded too: then there is nothing to quote.
fn words(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" !'*+-/_.?:".contains(&byte);
    let tidy = !text.starts_with(' ') && !text.ends_with(' ') && !text.contains("=?");
    if text.len() <= 60 && tidy && text.bytes().all(plain) {
        return text.to_owned();
    }
    let mut encoded = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        // A character is never cut over two words (RFC 2047 section 5).
        let (word, later) = rest.split_at(rest.floor_char_boundary(WORD_BYTES));
        encoded.push(format!("=?utf-8?B?{}?=", STANDARD.encode(word)));
        rest = later;
    }
    encoded.join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(subject: &str, html: Option<&str>) -> String {
        let message = Message {
            id: "activation/7".into(),
            from: Mailbox::named(
                "Riwaq, l'espace \"numérique\"",
                "no-reply@riwaq.example".parse().unwrap(),
            ),
            to: Mailbox::named("Amina", "amina@example.org".parse().unwrap()),
            subject: subject.into(),
            text: ".\nA line\r\n".into(),
            html: html.map(Into::into),
            locale: "fr".into(),
        };
        message.validate().unwrap();
        String::from_utf8(encode(&message, DateTime::UNIX_EPOCH)).unwrap()
    }

    #[test]
    fn everything_is_short_lines_of_ascii() {
        let text = encoded(&"تفعيل الحساب ".repeat(19), Some("<p>é</p>"));
        assert!(text.is_ascii());
        assert!(
            text.split("\r\n")
                .all(|line| line.len() <= 78 && !line.contains('\n')),
            "{text}"
        );
    }

    #[test]
    fn headers_are_written_as_the_rfcs_have_them() {
        let text = encoded("Validez votre compte", None);
        assert!(text.contains("\r\nDate: Thu, 01 Jan 1970 00:00:00 +0000\r\n"));
        assert!(text.contains("\r\nTo: Amina\r\n <amina@example.org>\r\n"));
        assert!(text.contains("\r\nSubject: Validez votre compte\r\n"));
        assert!(text.contains("\r\nX-Riwaq-Id: activation/7\r\n"));
        // "é" and the quotes: the whole name is encoded, nothing is left to quote.
        assert!(text.contains("\r\nFrom: =?utf-8?B?"));
        assert!(text.ends_with("\r\n\r\nLg0KQSBsaW5lDQo=\r\n"));
    }

    #[test]
    fn what_looks_like_an_encoded_word_is_encoded() {
        assert!(encoded("=?utf-8?B?eA==?=", None).contains("Subject: =?utf-8?B?PT91dGY"));
    }
}
