//! Clients: programs that may ask the issuer for tokens.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::redirect;

/// Scopes that mean something here. Others are refused.
pub(crate) const SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// How a client may get tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// For a person who signs in at the issuer's page; with PKCE, and with refresh tokens.
    AuthorizationCode,
    /// For the client itself.
    ClientCredentials,
}

/// A client as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClientRecord {
    /// For people.
    pub(crate) name: String,
    /// The fingerprint of the secret; none for a public client, which keeps no secrets.
    pub(crate) secret_fingerprint: Option<String>,
    /// Addresses that a person may come back to, signed in.
    pub(crate) redirect_uris: Vec<String>,
    /// Addresses that a person may come back to, signed out.
    pub(crate) post_logout_redirect_uris: Vec<String>,
    /// How it may get tokens.
    pub(crate) grants: BTreeSet<Grant>,
    /// Roles of the client itself, for client credentials.
    pub(crate) roles: BTreeSet<String>,
}

impl ClientRecord {
    /// A client that keeps no secret: a program on somebody's machine.
    pub(crate) fn public(name: &str, redirect_uris: Vec<String>) -> Self {
        Self {
            name: name.to_owned(),
            secret_fingerprint: None,
            redirect_uris,
            post_logout_redirect_uris: Vec::new(),
            grants: BTreeSet::from([Grant::AuthorizationCode]),
            roles: BTreeSet::new(),
        }
    }

    pub(crate) fn may(&self, grant: Grant) -> bool {
        self.grants.contains(&grant)
    }

    /// Checks what a client is to be registered with; names the field that does not fit.
    pub(crate) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if self.name.trim().is_empty()
            || self.name.len() > 200
            || self.name.chars().any(char::is_control)
        {
            return Err(("name", "1 to 200 bytes, no control characters"));
        }
        if self.redirect_uris.len() + self.post_logout_redirect_uris.len() > 20 {
            return Err(("redirect_uris", "at most 20 addresses"));
        }
        for uri in &self.redirect_uris {
            redirect::check_registration(uri).map_err(|why| ("redirect_uris", why))?;
        }
        for uri in &self.post_logout_redirect_uris {
            redirect::check_registration(uri).map_err(|why| ("post_logout_redirect_uris", why))?;
        }
        if self.may(Grant::AuthorizationCode) == self.redirect_uris.is_empty() {
            return Err((
                "redirect_uris",
                "are needed for signing people in, and for nothing else",
            ));
        }
        if self.may(Grant::ClientCredentials) && self.secret_fingerprint.is_none() {
            return Err(("grants", "a public client cannot prove who it is"));
        }
        if self.grants.is_empty() {
            return Err(("grants", "at least one"));
        }
        Ok(())
    }
}

/// A client id: 1 to 64 of `a-z 0-9 - _ .`, beginning with a letter or digit.
pub(crate) fn is_client_id(text: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    (1..=64).contains(&text.len())
        && text.bytes().all(allowed)
        && text.as_bytes()[0].is_ascii_alphanumeric()
}

/// The scopes of a request, those that were asked for more than once only once.
pub(crate) fn scopes(text: Option<&str>) -> Option<BTreeSet<String>> {
    let asked: BTreeSet<String> = text
        .unwrap_or_default()
        .split_ascii_whitespace()
        .map(str::to_owned)
        .collect();
    asked
        .iter()
        .all(|scope| SCOPES.contains(&scope.as_str()))
        .then_some(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_makes_no_sense_is_refused_by_field() {
        let good = ClientRecord::public("App", vec!["https://a.example/cb".into()]);
        assert_eq!(good.check(), Ok(()));
        let field = |client: ClientRecord| client.check().unwrap_err().0;
        assert_eq!(
            field(ClientRecord {
                name: "\n".into(),
                ..good.clone()
            }),
            "name"
        );
        assert_eq!(
            field(ClientRecord {
                redirect_uris: vec![],
                ..good.clone()
            }),
            "redirect_uris"
        );
        assert_eq!(
            field(ClientRecord {
                redirect_uris: vec!["http://a.example".into()],
                ..good.clone()
            }),
            "redirect_uris"
        );
        assert_eq!(
            field(ClientRecord {
                post_logout_redirect_uris: vec!["x".into()],
                ..good.clone()
            }),
            "post_logout_redirect_uris"
        );
        let both = BTreeSet::from([Grant::AuthorizationCode, Grant::ClientCredentials]);
        assert_eq!(
            field(ClientRecord {
                grants: both,
                ..good
            }),
            "grants"
        );
    }

    #[test]
    fn scopes_are_a_closed_set() {
        assert_eq!(scopes(None).unwrap().len(), 0);
        assert_eq!(scopes(Some("openid  profile openid")).unwrap().len(), 2);
        assert!(scopes(Some("openid admin")).is_none());
    }

    #[test]
    fn client_ids_are_plain() {
        assert!(is_client_id("riwaq-cli"));
        for bad in ["", "-x", "A", "a b", "a/b", "é", &"a".repeat(65)] {
            assert!(!is_client_id(bad), "{bad}");
        }
    }
}
