//! Who the client is (RFC 6749, 2.3.1), and answers in the form of OAuth.

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::browser::is_form;
use crate::app::Auth;
use crate::domain::client::ClientRecord;
use crate::domain::form::Parameters;
use crate::domain::oauth_error::OAuthError;
use crate::secrets::{equal, fingerprint};

/// A client that has proved who it is, as far as it can.
pub(crate) struct KnownClient {
    pub(crate) client_id: String,
    pub(crate) client: ClientRecord,
}

impl Auth {
    /// Reads a form and finds out whose it is.
    pub(crate) async fn form_of_client(
        &self,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(Parameters, KnownClient), OAuthError> {
        if !is_form(headers) {
            return Err(OAuthError::invalid_request(
                "the body is application/x-www-form-urlencoded",
            ));
        }
        let parameters = Parameters::parse(body)?;
        let (client_id, secret) = credentials(headers, &parameters)?;
        let client = self
            .clients
            .get(&client_id)
            .await?
            .ok_or_else(OAuthError::invalid_client)?;
        let proved = match (&client.secret_fingerprint, &secret) {
            (Some(known), Some(secret)) => equal(known.as_bytes(), fingerprint(secret).as_bytes()),
            (None, None) => true,
            _ => false,
        };
        if proved {
            Ok((parameters, KnownClient { client_id, client }))
        } else {
            Err(OAuthError::invalid_client())
        }
    }
}

fn credentials(
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<(String, Option<String>), OAuthError> {
    let named = parameters.get("client_id");
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        let client_id = named.ok_or_else(OAuthError::invalid_client)?;
        return Ok((
            client_id.to_owned(),
            parameters.get("client_secret").map(str::to_owned),
        ));
    };
    if parameters.get("client_secret").is_some() {
        return Err(OAuthError::invalid_request(
            "credentials come in one way only",
        ));
    }
    let (client_id, secret) = basic(value).ok_or_else(OAuthError::invalid_client)?;
    if named.is_some_and(|named| named != client_id) {
        return Err(OAuthError::invalid_request(
            "client_id differs from the credentials",
        ));
    }
    Ok((client_id, Some(secret)))
}

/// Both halves are form-encoded before they are joined.
fn basic(value: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (client_id, secret) = decoded.split_once(':')?;
    Some((form_decoded(client_id)?, form_decoded(secret)?))
}

fn form_decoded(text: &str) -> Option<String> {
    // A lone name without `=` or `&`, so that nothing in it is taken for a separator.
    if text.contains(['&', '=']) {
        return Some(text.to_owned());
    }
    url::form_urlencoded::parse(text.as_bytes())
        .next()
        .map(|(name, _)| name.into_owned())
}

/// A token answer: kept by nobody in between (RFC 6749, 5.1).
pub(crate) fn answer(status: StatusCode, body: &Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::PRAGMA, "no-cache"),
    ];
    (status, headers, body.to_string()).into_response()
}

impl IntoResponse for OAuthError {
    /// RFC 6749, 5.2.
    fn into_response(self) -> Response {
        let status = match self.code {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            "server_error" => StatusCode::INTERNAL_SERVER_ERROR,
            "temporarily_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut response = answer(
            status,
            &json!({ "error": self.code, "error_description": self.description }),
        );
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"riwaq\", charset=\"UTF-8\"");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Option<(String, String)> {
        basic(&HeaderValue::try_from(format!("Basic {}", STANDARD.encode(text))).unwrap())
    }

    #[test]
    fn basic_credentials_are_form_decoded() {
        assert_eq!(header("app:secret"), Some(("app".into(), "secret".into())));
        assert_eq!(
            header("a%3Ab:s%20+%25"),
            Some(("a:b".into(), "s  %".into()))
        );
        assert_eq!(header("app"), None);
        assert_eq!(basic(&HeaderValue::from_static("Bearer x")), None);
        assert_eq!(basic(&HeaderValue::from_static("Basic ???")), None);
    }
}
