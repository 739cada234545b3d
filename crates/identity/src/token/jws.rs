//! A compact JWS (RFC 7515, section 7.1) taken apart, and nothing beyond what access tokens need.
//!
//! Strict where RFCs leave a choice: three parts, base64url in its one canonical spelling (no padding, no stray bits),
//! no critical extensions. Keys that a header brings along are not even read.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use super::Refused;
use super::claims::present;

/// A signature's algorithm, of those that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518, section 3.3).
    Rs256,
    /// Ed25519 (RFC 8037, section 3.1).
    EdDsa,
}

/// The parts of a token whose header could be read. Nothing about it has been verified.
#[derive(Debug)]
pub(super) struct Jws<'a> {
    pub(super) header: Header,
    /// What was signed: header and payload as they are written.
    pub(super) message: &'a str,
    payload: &'a str,
    signature: &'a str,
}

/// The part of a token's header that is looked at.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    alg: Named,
    pub(super) kid: Option<String>,
    /// Whether extensions must be understood (section 4.1.11): we understand none.
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

/// What `alg` says. Its spelling is exact (section 4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Accepted(Algorithm),
    /// `none`, however it is written.
    None,
    Other,
}

impl<'a> Jws<'a> {
    /// Takes `raw` apart.
    pub(super) fn parse(raw: &'a str) -> Result<Self, Refused> {
        let mut parts = raw.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refused::Malformed);
        };
        let message = &raw[..header.len() + 1 + payload.len()];
        let header: Header =
            serde_json::from_slice(&decode(header)?).map_err(|_| Refused::Malformed)?;
        // After the header, so that `none`, which has no signature, is called what it is.
        if header.crit || (signature.is_empty() && header.alg != Named::None) {
            return Err(Refused::Malformed);
        }
        Ok(Self {
            header,
            message,
            payload,
            signature,
        })
    }

    /// The payload's bytes: to be believed only after the signature was verified.
    pub(super) fn payload(&self) -> Result<Vec<u8>, Refused> {
        decode(self.payload)
    }

    /// The signature's bytes.
    pub(super) fn signature(&self) -> Result<Vec<u8>, Refused> {
        decode(self.signature)
    }
}

impl Header {
    /// The algorithm, if it is accepted.
    pub(super) fn algorithm(&self) -> Result<Algorithm, Refused> {
        match self.alg {
            Named::Accepted(algorithm) => Ok(algorithm),
            Named::None | Named::Other => Err(Refused::Algorithm),
        }
    }
}

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Named;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an algorithm")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Named, E> {
                Ok(match name {
                    "RS256" => Named::Accepted(Algorithm::Rs256),
                    "EdDSA" => Named::Accepted(Algorithm::EdDsa),
                    _ if name.eq_ignore_ascii_case("none") => Named::None,
                    _ => Named::Other,
                })
            }
        }

        value.deserialize_str(Name)
    }
}

fn decode(part: &str) -> Result<Vec<u8>, Refused> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refused::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> Result<(Result<Algorithm, Refused>, Option<String>), Refused> {
        let jws = Jws::parse(raw)?;
        Ok((jws.header.algorithm(), jws.header.kid.clone()))
    }

    fn header(json: &str) -> String {
        format!("{}.e30.c2ln", URL_SAFE_NO_PAD.encode(json))
    }

    #[test]
    fn what_was_signed_is_everything_before_the_last_dot() {
        let raw = header(r#"{"alg":"RS256","kid":"a"}"#);
        let jws = Jws::parse(&raw).unwrap();
        assert_eq!(format!("{}.c2ln", jws.message), raw);
        assert_eq!(jws.payload().unwrap(), b"{}");
        assert_eq!(jws.signature().unwrap(), b"sig");
    }

    #[test]
    fn names_may_be_written_with_escapes() {
        let read = parse(&header(
            r#"{"\u0061lg":"\u0045dDSA","kid":"\u00e9","typ":"JWT"}"#,
        ));
        assert_eq!(read, Ok((Ok(Algorithm::EdDsa), Some("é".to_owned()))));
    }

    #[test]
    fn a_header_has_one_meaning() {
        for json in [
            r#"{"alg":"RS256","alg":"none","kid":"a"}"#,
            r#"{"alg":"RS256","kid":"a","kid":"b"}"#,
            r#"{"alg":"RS256","kid":"a","crit":null}"#,
            r#"{"alg":"RS256","kid":"a","crit":[]}"#,
            r#"{"alg":"RS256","kid":"a","b64":false,"crit":["b64"]}"#,
            r#"{"alg":["RS256"],"kid":"a"}"#,
            r#"{"alg":"RS256","kid":7}"#,
            r#"{"kid":"a"}"#,
            r#"{"alg":"RS256","kid":"a"} "x""#,
            "null",
            "",
        ] {
            assert_eq!(parse(&header(json)), Err(Refused::Malformed), "{json}");
        }
    }

    #[test]
    fn bytes_have_one_spelling() {
        let good = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256" }"#);
        assert!(parse(&format!("{good}.e30.c2ln")).is_ok());
        // 16 bytes leave four unused bits in the last character.
        let (begin, last) = good.split_at(good.len() - 1);
        assert_eq!(last, "Q");
        for stray in ["R", "S", "f"] {
            let raw = format!("{begin}{stray}.e30.c2ln");
            assert_eq!(parse(&raw), Err(Refused::Malformed), "{stray}");
        }
        for spoilt in [
            format!("{good}=.e30.c2ln"),
            format!("{good}==.e30.c2ln"),
            format!(" {good}.e30.c2ln"),
            format!("{good}\n.e30.c2ln"),
            format!("{}.e30.c2ln", good.replace('J', "+")),
        ] {
            assert_eq!(parse(&spoilt), Err(Refused::Malformed), "{spoilt}");
        }
        for raw in [
            format!("{good}.e31.c2ln"),
            format!("{good}.e30=.c2ln"),
            format!("{good}.e30.c2lu="),
            format!("{good}.e30.c2m"),
            format!("{good}.e30.c2l_/"),
        ] {
            let jws = Jws::parse(&raw).unwrap();
            let (payload, signature) = (jws.payload(), jws.signature());
            assert!(payload.is_err() || signature.is_err(), "{raw}");
        }
    }
}
