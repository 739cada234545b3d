//! Signing out at the issuer (OpenID Connect RP-Initiated Logout 1.0).

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use minijinja::context;
use riwaq_kit::ApiResult;
use uuid::Uuid;

use super::authorize::SESSION_COOKIE;
use super::browser::{Browser, Page, is_form, redirect};
use super::paths;
use crate::app::Auth;
use crate::domain::authorization::Unreturnable;
use crate::domain::form::Parameters;
use crate::domain::redirect::{csp_source, is_registered, with_query};

/// What a request to sign out says, as far as it is to be believed.
struct Asked {
    /// The session of a genuine ID token, though it may have expired.
    sid: Option<Uuid>,
    /// Where to send the browser afterwards: registered for the client.
    back_to: Option<String>,
}

/// `GET /auth/logout`.
pub(crate) async fn by_query(State(auth): State<Auth>, browser: Browser) -> Response {
    let query = browser.query().to_owned();
    auth.sign_out(browser, query.into_bytes(), false).await
}

/// `POST /auth/logout`.
pub(crate) async fn by_form(
    State(auth): State<Auth>,
    browser: Browser,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !is_form(&headers) {
        return auth.unreturnable(&browser, Unreturnable::Request);
    }
    auth.sign_out(browser, body.to_vec(), false).await
}

/// `POST /auth/sign-out`: the person has said yes.
pub(crate) async fn submit(
    State(auth): State<Auth>,
    browser: Browser,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = if is_form(&headers) {
        Parameters::parse(&body).ok()
    } else {
        None
    };
    let Some(form) = form.filter(|form| auth.forms.accepts(&browser, form.get("csrf"))) else {
        return auth.message(
            &browser,
            StatusCode::BAD_REQUEST,
            ("error.title", "sign_in.expired"),
        );
    };
    let request = form.get("request").unwrap_or_default().to_owned();
    auth.sign_out(browser, request.into_bytes(), true).await
}

impl Auth {
    async fn sign_out(&self, browser: Browser, encoded: Vec<u8>, confirmed: bool) -> Response {
        let (auth, page_of) = (self.clone(), browser.clone());
        let outcome: ApiResult<Response> = self
            .tasks
            .run(async move { auth.sign_out_as_asked(&browser, &encoded, confirmed).await })
            .await;
        outcome.unwrap_or_else(|problem| self.failure(&page_of, &problem))
    }

    async fn sign_out_as_asked(
        &self,
        browser: &Browser,
        encoded: &[u8],
        confirmed: bool,
    ) -> ApiResult<Response> {
        let Ok(parameters) = Parameters::parse(encoded) else {
            return Ok(self.unreturnable(browser, Unreturnable::Request));
        };
        let asked = self.sign_out_asked(&parameters).await?;
        let here = self.browser_session(browser).await?.map(|row| row.sid);
        // Without a token of the session anybody's page could have sent the browser here.
        if let (Some(_), None, false) = (here, asked.sid, confirmed) {
            return self.ask_to_sign_out(browser, &parameters, &asked);
        }
        let mut ended: Vec<Uuid> = asked.sid.into_iter().collect();
        ended.extend(here.filter(|sid| confirmed && Some(*sid) != asked.sid));
        for sid in &ended {
            self.tokens.end_session(*sid).await?;
        }
        let mut response = match &asked.back_to {
            Some(address) => redirect(address)?,
            None => self.message(browser, StatusCode::OK, ("sign_out.title", "sign_out.done")),
        };
        if here.is_some_and(|sid| ended.contains(&sid)) {
            let gone = self.forms.set_cookie(SESSION_COOKIE, "", Some(0))?;
            response.headers_mut().append(header::SET_COOKIE, gone);
        }
        Ok(response)
    }

    async fn sign_out_asked(&self, parameters: &Parameters) -> ApiResult<Asked> {
        let hint = match parameters.get("id_token_hint") {
            Some(hint) => self.keys.claims_of_our_token(hint).await?,
            None => None,
        };
        let hint =
            hint.filter(|claims| claims["typ"] == "ID" && claims["iss"] == self.config.issuer());
        let audience = hint.as_ref().and_then(|claims| claims["aud"].as_str());
        let named = parameters.get("client_id");
        let agree = audience.is_none_or(|audience| named.is_none_or(|named| named == audience));
        let client_id = named.or(audience).filter(|_| agree);
        let sid = hint
            .as_ref()
            .filter(|_| agree)
            .and_then(|claims| claims["sid"].as_str());
        let client = match client_id {
            Some(client_id) => self.clients.get(client_id).await?,
            None => None,
        };
        let address = parameters
            .get("post_logout_redirect_uri")
            .filter(|address| {
                client
                    .is_some_and(|client| is_registered(address, &client.post_logout_redirect_uris))
            });
        let state: Vec<(&str, &str)> = parameters
            .get("state")
            .map(|state| ("state", state))
            .into_iter()
            .collect();
        let back_to = address.map(|address| match state.is_empty() {
            true => address.to_owned(),
            false => with_query(address, &state),
        });
        Ok(Asked {
            sid: sid.and_then(|sid| Uuid::parse_str(sid).ok()),
            back_to,
        })
    }

    fn ask_to_sign_out(
        &self,
        browser: &Browser,
        parameters: &Parameters,
        asked: &Asked,
    ) -> ApiResult<Response> {
        let locale = browser.locale(parameters.get("ui_locales"), self.config.default_locale);
        let form = self.forms.token(browser)?;
        let request = parameters.query_without(&["lang"]);
        let fill = context! { action => paths::SIGN_OUT, csrf => form.csrf, request => &request };
        let source = asked.back_to.as_deref().and_then(csp_source);
        self.page(
            browser,
            Page {
                template: "sign_out.html",
                title: "sign_out.title",
                status: StatusCode::OK,
                fill,
                locale,
                form_target: source.as_deref(),
                set_cookie: form.set_cookie,
                language_address: Some(format!("{}?{request}&", paths::LOGOUT)),
            },
        )
    }
}
