//! Addresses that can be written into a header and an envelope without harm.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{MailError, Result};

const MAX_LOCAL_BYTES: usize = 64;
const MAX_ADDRESS_BYTES: usize = 254;
const MAX_NAME_BYTES: usize = 200;

/// An e-mail address: `dot-atom@domain` of RFC 5321 section 4.1.2, ASCII only, without quoted
/// local parts, comments or address literals. International domains are written in punycode.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(String);

impl Address {
    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl FromStr for Address {
    type Err = MailError;

    fn from_str(text: &str) -> Result<Self> {
        let refused = |message: &str| Err(MailError::invalid("address", message));
        if text.len() > MAX_ADDRESS_BYTES {
            return refused("has more than 254 bytes");
        }
        let Some((local, domain)) = text.rsplit_once('@') else {
            return refused("has no @");
        };
        if local.len() > MAX_LOCAL_BYTES || !local.split('.').all(is_atom) {
            return refused("has a local part that is not a dot-atom");
        }
        if !domain.split('.').all(is_label) {
            return refused("has a domain that is not a host name");
        }
        Ok(Self(text.to_owned()))
    }
}

/// RFC 5322 section 3.2.3.
fn is_atom(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

fn is_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

impl TryFrom<String> for Address {
    type Error = MailError;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An address with the name of who reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mailbox {
    /// The name that mail programs show, at most 200 bytes, without control characters.
    #[serde(default)]
    pub name: Option<String>,
    /// The address.
    pub address: Address,
}

impl Mailbox {
    /// A mailbox with a name.
    #[must_use]
    pub fn named(name: impl Into<String>, address: Address) -> Self {
        Self {
            name: Some(name.into()),
            address,
        }
    }

    pub(crate) fn validate(&self, field: &'static str) -> Result<()> {
        let Some(name) = &self.name else {
            return Ok(());
        };
        if name.len() > MAX_NAME_BYTES {
            return Err(MailError::invalid(
                field,
                format!("the name has more than {MAX_NAME_BYTES} bytes"),
            ));
        }
        if name.chars().any(char::is_control) {
            return Err(MailError::invalid(
                field,
                "the name has a control character",
            ));
        }
        Ok(())
    }
}

impl From<Address> for Mailbox {
    fn from(address: Address) -> Self {
        Self {
            name: None,
            address,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_addresses_are_taken() {
        for good in [
            "a@b",
            "first.last+tag@mail.example.ma",
            "x_y-z@xn--mgbc0a9azcg.example",
            "o'neil@example.org",
        ] {
            assert_eq!(good.parse::<Address>().unwrap().as_str(), good);
        }
        assert_eq!(
            "a@mail.example".parse::<Address>().unwrap().domain(),
            "mail.example"
        );
    }

    #[test]
    fn whatever_could_break_out_of_a_header_or_envelope_is_refused() {
        let long = format!("{}@example.org", "a".repeat(65));
        for bad in [
            "",
            "@",
            "a@",
            "@b",
            "a",
            "a@b@c d",
            "a b@c",
            "a@b\r\nBcc: x@y",
            "a\0@b",
            "<a@b>",
            "a@b,c@d",
            "a@b;c@d",
            "\"a b\"@c",
            "a@[127.0.0.1]",
            "a@-b",
            "a..b@c",
            ".a@c",
            "a@b..c",
            "é@b",
            "a@é",
            &long,
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad:?} was taken");
        }
    }
}
