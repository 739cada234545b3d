//! The sign-in page: the only place where a browser's password is typed.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use minijinja::context;
use riwaq_directory::Account;
use riwaq_kit::ApiResult;

use super::authorize::{Asked, SESSION_COOKIE};
use super::browser::{Browser, Page, is_form};
use super::paths;
use crate::app::Auth;
use crate::domain::authorization::Unreturnable;
use crate::domain::form::Parameters;
use crate::domain::redirect::csp_source;
use crate::secrets::{fingerprint, random_text};

/// What was typed, to be shown again with what was wrong.
pub(crate) struct Typed<'a> {
    login: &'a str,
    error: &'static str,
}

/// `POST /auth/sign-in`.
pub(crate) async fn submit(
    State(auth): State<Auth>,
    browser: Browser,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !is_form(&headers) {
        return auth.unreturnable(&browser, Unreturnable::Request);
    }
    let Ok(form) = Parameters::parse(&body) else {
        return auth.unreturnable(&browser, Unreturnable::Request);
    };
    let (tasks, page_of) = (auth.tasks.clone(), (auth.clone(), browser.clone()));
    let outcome: ApiResult<Response> = tasks
        .run(async move { auth.submitted(&browser, &form).await })
        .await;
    outcome.unwrap_or_else(|problem| page_of.0.failure(&page_of.1, &problem))
}

impl Auth {
    /// The page, for this request of a client.
    pub(crate) fn sign_in_page(
        &self,
        browser: &Browser,
        asked: &Asked,
        typed: Option<Typed<'_>>,
        status: StatusCode,
    ) -> ApiResult<Response> {
        let locale = browser.locale(
            asked.parameters.get("ui_locales"),
            self.config.default_locale,
        );
        let form = self.forms.token(browser)?;
        let hint = asked
            .request
            .as_ref()
            .ok()
            .and_then(|request| request.login_hint.as_deref());
        let request = asked.parameters.query_without(&["lang"]);
        let fill = context! {
            application => &asked.client.name,
            action => paths::SIGN_IN,
            forgot => format!("{}?lang={}", paths::FORGOT, locale.tag()),
            csrf => form.csrf,
            request => &request,
            login => typed.as_ref().map(|typed| typed.login).or(hint).unwrap_or_default(),
            error => typed.as_ref().map(|typed| self.texts.phrase(locale, typed.error)),
        };
        let source = csp_source(&asked.redirect_uri);
        let page = Page {
            template: "sign_in.html",
            title: "sign_in.title",
            status,
            fill,
            locale,
            form_target: source.as_deref(),
            set_cookie: form.set_cookie,
            language_address: Some(format!("{}?{request}&", paths::AUTHORIZE)),
        };
        self.page(browser, page)
    }

    async fn submitted(&self, browser: &Browser, form: &Parameters) -> ApiResult<Response> {
        let asked = match self
            .asked(form.get("request").unwrap_or_default().as_bytes())
            .await?
        {
            Ok(asked) => asked,
            Err(unreturnable) => return Ok(self.unreturnable(browser, unreturnable)),
        };
        let request = match &asked.request {
            Ok(request) => request,
            Err(error) => return self.refuse(&asked, error),
        };
        let login = form.get("login").unwrap_or_default();
        if !self.forms.accepts(browser, form.get("csrf")) {
            let typed = Typed {
                login,
                error: "sign_in.expired",
            };
            return self.sign_in_page(browser, &asked, Some(typed), StatusCode::BAD_REQUEST);
        }
        let password = form.get("password").unwrap_or_default();
        let verified = self
            .sign_in
            .verify(login, password, browser.address())
            .await?;
        let begun = match verified {
            Some(account) => self.begin_browser_session(&account).await?,
            None => None,
        };
        let Some((session, cookie)) = begun else {
            let typed = Typed {
                login,
                error: "sign_in.refused",
            };
            return self.sign_in_page(browser, &asked, Some(typed), StatusCode::UNAUTHORIZED);
        };
        let mut response = self.grant(&asked, request, &session).await?;
        response.headers_mut().append(header::SET_COOKIE, cookie);
        Ok(response)
    }

    async fn begin_browser_session(
        &self,
        verified: &Account,
    ) -> ApiResult<Option<(crate::records::SessionRow, http::HeaderValue)>> {
        let secret = random_text()?;
        let begun = self
            .tokens
            .begin_session(verified, Some(fingerprint(&secret)))
            .await?;
        let Some(row) = begun else { return Ok(None) };
        let value = format!("{}.{secret}", row.sid);
        let cookie = self.forms.set_cookie(SESSION_COOKIE, &value, None)?;
        Ok(Some((row, cookie)))
    }
}
