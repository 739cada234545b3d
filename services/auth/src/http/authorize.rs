//! The authorization endpoint.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use riwaq_kit::ApiResult;
use uuid::Uuid;

use super::browser::{Browser, is_form, redirect};
use crate::app::Auth;
use crate::config::seconds;
use crate::domain::authorization::{AuthorizationRequest, Unreturnable, read, return_address};
use crate::domain::client::ClientRecord;
use crate::domain::code::CodeGrant;
use crate::domain::form::Parameters;
use crate::domain::oauth_error::OAuthError;
use crate::domain::redirect::with_query;
use crate::records::SessionRow;
use crate::secrets::{equal, fingerprint};

/// The cookie of a browser that somebody has signed in with.
pub(crate) const SESSION_COOKIE: &str = "riwaq_sso";

/// A request whose client and return address are good; what else it asks for may not be.
pub(crate) struct Asked {
    pub(crate) parameters: Parameters,
    pub(crate) client_id: String,
    pub(crate) client: ClientRecord,
    pub(crate) redirect_uri: String,
    pub(crate) request: Result<AuthorizationRequest, OAuthError>,
}

/// `GET /auth/authorize`.
pub(crate) async fn by_query(State(auth): State<Auth>, browser: Browser) -> Response {
    let query = browser.query().to_owned();
    auth.authorize(&browser, query.as_bytes()).await
}

/// `POST /auth/authorize` (OpenID Connect Core, 3.1.2.1).
pub(crate) async fn by_form(
    State(auth): State<Auth>,
    browser: Browser,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !is_form(&headers) {
        return auth.unreturnable(&browser, Unreturnable::Request);
    }
    auth.authorize(&browser, &body).await
}

impl Auth {
    async fn authorize(&self, browser: &Browser, encoded: &[u8]) -> Response {
        let outcome = match self.asked(encoded).await {
            Ok(Ok(asked)) => self.decide(browser, &asked).await,
            Ok(Err(unreturnable)) => return self.unreturnable(browser, unreturnable),
            Err(problem) => Err(problem),
        };
        outcome.unwrap_or_else(|problem| self.failure(browser, &problem))
    }

    /// Reads a request as far as it can be answered at the client's address.
    pub(crate) async fn asked(&self, encoded: &[u8]) -> ApiResult<Result<Asked, Unreturnable>> {
        let Ok(parameters) = Parameters::parse(encoded) else {
            return Ok(Err(Unreturnable::Request));
        };
        let client_id = parameters.get("client_id").unwrap_or_default().to_owned();
        let Some(client) = self.clients.get(&client_id).await? else {
            return Ok(Err(Unreturnable::Client));
        };
        let redirect_uri = match return_address(&parameters, &client) {
            Ok(address) => address.to_owned(),
            Err(unreturnable) => return Ok(Err(unreturnable)),
        };
        let request = read(&parameters);
        Ok(Ok(Asked {
            parameters,
            client_id,
            client,
            redirect_uri,
            request,
        }))
    }

    async fn decide(&self, browser: &Browser, asked: &Asked) -> ApiResult<Response> {
        let request = match &asked.request {
            Ok(request) => request,
            Err(error) => return self.refuse(asked, error),
        };
        let now = self.clock.now();
        let session = self.browser_session(browser).await?;
        let good = session.filter(|row| request.accepts(row.session.signed_in_at, now));
        match good {
            Some(row) => self.grant(asked, request, &row).await,
            None if request.silent => self.refuse(
                asked,
                &OAuthError::new("login_required", "nobody is signed in here"),
            ),
            None => self.sign_in_page(browser, asked, None, StatusCode::OK),
        }
    }

    /// The session that the browser's cookie names, if it still counts.
    pub(crate) async fn browser_session(&self, browser: &Browser) -> ApiResult<Option<SessionRow>> {
        let Some((sid, secret)) = self.session_cookie(browser) else {
            return Ok(None);
        };
        let Some(stored) = self.sessions.get(sid).await? else {
            return Ok(None);
        };
        let session = &stored.row.session;
        let known = session.cookie_fingerprint.as_deref().unwrap_or_default();
        let until = session.signed_in_at + seconds(self.config.lifetimes.browser_session_seconds);
        if !equal(known.as_bytes(), fingerprint(&secret).as_bytes()) || self.clock.now() >= until {
            return Ok(None);
        }
        let person = self
            .tokens
            .person(stored.row.subject, session.signed_in_at)
            .await?;
        Ok(person.map(|_| stored.row))
    }

    fn session_cookie(&self, browser: &Browser) -> Option<(Uuid, String)> {
        let value = browser.cookie(&self.forms.cookie_name(SESSION_COOKIE))?;
        let (sid, secret) = value.split_once('.')?;
        Some((Uuid::parse_str(sid).ok()?, secret.to_owned()))
    }

    /// Sends the browser back with a code.
    pub(crate) async fn grant(
        &self,
        asked: &Asked,
        request: &AuthorizationRequest,
        session: &SessionRow,
    ) -> ApiResult<Response> {
        let grant = CodeGrant {
            client_id: asked.client_id.clone(),
            redirect_uri: asked.redirect_uri.clone(),
            code_challenge: request.code_challenge.clone(),
            nonce: request.nonce.clone(),
            scopes: request.scopes.clone(),
            subject: session.subject,
            sid: session.sid,
            signed_in_at: session.session.signed_in_at,
        };
        let code = self.codes.issue(grant).await?;
        self.send_back(asked, &[("code", &code)])
    }

    /// Sends the browser back with an error.
    pub(crate) fn refuse(&self, asked: &Asked, error: &OAuthError) -> ApiResult<Response> {
        self.send_back(
            asked,
            &[
                ("error", error.code),
                ("error_description", &error.description),
            ],
        )
    }

    fn send_back(&self, asked: &Asked, parameters: &[(&str, &str)]) -> ApiResult<Response> {
        let mut all = parameters.to_vec();
        all.extend(asked.parameters.get("state").map(|state| ("state", state)));
        // Tells the client which issuer it is that answers (RFC 9207).
        all.push(("iss", self.config.issuer()));
        redirect(&with_query(&asked.redirect_uri, &all))
    }

    pub(crate) fn unreturnable(&self, browser: &Browser, why: Unreturnable) -> Response {
        let message = match why {
            Unreturnable::Client => "error.client",
            Unreturnable::Redirect => "error.redirect",
            Unreturnable::Request => "error.request",
        };
        self.message(browser, StatusCode::BAD_REQUEST, ("error.title", message))
    }
}
