//! Requests to the authorization endpoint (RFC 6749, 4.1.1; OpenID Connect Core, 3.1.2.1).

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::client::{ClientRecord, Grant, scopes};
use super::form::Parameters;
use super::oauth_error::OAuthError;
use super::{pkce, redirect};

const MAX_STATE_BYTES: usize = 4096;
const MAX_NONCE_BYTES: usize = 512;

/// Why the browser is not even sent back: where to is what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreturnable {
    Client,
    Redirect,
    Request,
}

/// What a good request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuthorizationRequest {
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) code_challenge: String,
    /// The page must not be shown.
    pub(crate) silent: bool,
    /// The page must be shown.
    pub(crate) again: bool,
    pub(crate) max_age: Option<TimeDelta>,
    pub(crate) login_hint: Option<String>,
}

/// The address to come back to, if it is the client's.
pub(crate) fn return_address<'a>(
    parameters: &'a Parameters,
    client: &ClientRecord,
) -> Result<&'a str, Unreturnable> {
    let requested = parameters
        .get("redirect_uri")
        .ok_or(Unreturnable::Redirect)?;
    if !client.may(Grant::AuthorizationCode)
        || !redirect::is_registered(requested, &client.redirect_uris)
    {
        return Err(Unreturnable::Redirect);
    }
    // What is given back is put into a header: it must be of a sane length.
    if parameters
        .get("state")
        .is_some_and(|state| state.len() > MAX_STATE_BYTES)
    {
        return Err(Unreturnable::Request);
    }
    Ok(requested)
}

/// Reads the rest; errors are for the client, at its address.
pub(crate) fn read(parameters: &Parameters) -> Result<AuthorizationRequest, OAuthError> {
    refuse_unsupported(parameters)?;
    let scopes = scopes(parameters.get("scope")).ok_or_else(OAuthError::invalid_scope)?;
    let (silent, again) = prompts(parameters.get("prompt"))?;
    let nonce = parameters.get("nonce");
    if nonce.is_some_and(|nonce| nonce.len() > MAX_NONCE_BYTES) {
        return Err(OAuthError::invalid_request("nonce has at most 512 bytes"));
    }
    let max_age = parameters.get("max_age").map(str::parse::<u32>).transpose();
    let max_age =
        max_age.map_err(|_| OAuthError::invalid_request("max_age is not a number of seconds"))?;
    Ok(AuthorizationRequest {
        scopes,
        nonce: nonce.map(str::to_owned),
        code_challenge: challenge(parameters)?,
        silent,
        again,
        max_age: max_age.map(|seconds| TimeDelta::seconds(i64::from(seconds))),
        login_hint: parameters.get("login_hint").map(str::to_owned),
    })
}

fn refuse_unsupported(parameters: &Parameters) -> Result<(), OAuthError> {
    if parameters.get("request").is_some() {
        return Err(OAuthError::new(
            "request_not_supported",
            "request objects are not taken",
        ));
    }
    if parameters.get("request_uri").is_some() {
        return Err(OAuthError::new(
            "request_uri_not_supported",
            "request objects are not fetched",
        ));
    }
    if parameters.require("response_type")? != "code" {
        return Err(OAuthError::new("unsupported_response_type", "only code"));
    }
    if parameters
        .get("response_mode")
        .is_some_and(|mode| mode != "query")
    {
        return Err(OAuthError::invalid_request("response_mode is query"));
    }
    Ok(())
}

fn challenge(parameters: &Parameters) -> Result<String, OAuthError> {
    let challenge = parameters.require("code_challenge")?;
    // Without a method it would be `plain` (RFC 7636, 4.3).
    if parameters.get("code_challenge_method") != Some("S256") {
        return Err(OAuthError::invalid_request("code_challenge_method is S256"));
    }
    if !pkce::is_challenge(challenge) {
        return Err(OAuthError::invalid_request(
            "code_challenge is not a SHA-256 in base64url",
        ));
    }
    Ok(challenge.to_owned())
}

fn prompts(text: Option<&str>) -> Result<(bool, bool), OAuthError> {
    let asked: BTreeSet<&str> = text.unwrap_or_default().split_ascii_whitespace().collect();
    if asked
        .iter()
        .any(|prompt| !["none", "login", "consent", "select_account"].contains(prompt))
    {
        return Err(OAuthError::invalid_request("unknown prompt"));
    }
    let silent = asked.contains("none");
    if silent && asked.len() > 1 {
        return Err(OAuthError::invalid_request("prompt none stands alone"));
    }
    Ok((
        silent,
        asked.contains("login") || asked.contains("select_account"),
    ))
}

impl AuthorizationRequest {
    /// Whether a sign-in of that time will do, or the password has to be typed again.
    pub(crate) fn accepts(&self, signed_in_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        !self.again && self.max_age.is_none_or(|age| now <= signed_in_at + age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "client_id=app&redirect_uri=https%3A%2F%2Fa.example%2Fcb&response_type=code&scope=openid\
        &state=s&nonce=n&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";

    fn parameters(change: &str) -> Parameters {
        let (name, _) = change.split_once('=').unwrap_or((change, ""));
        let kept: Vec<&str> = GOOD
            .split('&')
            .filter(|part| part.split('=').next() != Some(name))
            .collect();
        Parameters::parse(format!("{}&{change}", kept.join("&")).as_bytes()).unwrap()
    }

    fn error(change: &str) -> &'static str {
        read(&parameters(change)).unwrap_err().code
    }

    #[test]
    fn a_good_request_is_read() {
        let request = read(&parameters("max_age=60")).unwrap();
        assert_eq!(request.nonce.as_deref(), Some("n"));
        assert!(request.scopes.contains("openid") && !request.silent && !request.again);
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        assert!(request.accepts(now - TimeDelta::seconds(60), now));
        assert!(!request.accepts(now - TimeDelta::seconds(61), now));
        assert!(!read(&parameters("prompt=login")).unwrap().accepts(now, now));
    }

    #[test]
    fn bad_requests_have_the_errors_of_the_specifications() {
        for (change, code) in [
            ("response_type=", "invalid_request"),
            ("response_type=token", "unsupported_response_type"),
            ("response_type=code+id_token", "unsupported_response_type"),
            ("response_mode=fragment", "invalid_request"),
            ("scope=openid+admin", "invalid_scope"),
            ("code_challenge=", "invalid_request"),
            ("code_challenge=short", "invalid_request"),
            ("code_challenge_method=", "invalid_request"),
            ("code_challenge_method=plain", "invalid_request"),
            ("prompt=none+login", "invalid_request"),
            ("prompt=dance", "invalid_request"),
            ("max_age=-1", "invalid_request"),
            ("max_age=99999999999", "invalid_request"),
            ("request=x", "request_not_supported"),
            (
                "request_uri=https://evil.example",
                "request_uri_not_supported",
            ),
        ] {
            assert_eq!(error(change), code, "{change}");
        }
        assert_eq!(
            error(&format!("nonce={}", "n".repeat(513))),
            "invalid_request"
        );
    }

    #[test]
    fn nobody_is_sent_to_an_address_that_is_not_the_clients() {
        let client = ClientRecord::public("App", vec!["https://a.example/cb".into()]);
        assert_eq!(
            return_address(&parameters("x=1"), &client),
            Ok("https://a.example/cb")
        );
        for change in [
            "redirect_uri=",
            "redirect_uri=https%3A%2F%2Fevil.example",
            "redirect_uri=https%3A%2F%2Fa.example%2Fcb%23x",
        ] {
            assert_eq!(
                return_address(&parameters(change), &client),
                Err(Unreturnable::Redirect),
                "{change}"
            );
        }
        let long = format!("state={}", "s".repeat(5000));
        assert_eq!(
            return_address(&parameters(&long), &client),
            Err(Unreturnable::Request)
        );
        let service = ClientRecord {
            grants: BTreeSet::from([Grant::ClientCredentials]),
            ..client
        };
        assert_eq!(
            return_address(&parameters("x=1"), &service),
            Err(Unreturnable::Redirect)
        );
    }
}
