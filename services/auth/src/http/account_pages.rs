//! Pages that mails lead to: activation, a new password, a forgotten one.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use minijinja::context;
use riwaq_kit::{ApiResult, Code, Locale, Problem};

use super::browser::{Browser, Page, is_form};
use super::paths;
use crate::app::Auth;
use crate::domain::form::Parameters;

/// Which of the two pages with a new password.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Activation,
    Reset,
}

struct Words {
    path: &'static str,
    title: &'static str,
    intro: &'static str,
    code: &'static str,
    submit: &'static str,
    done: &'static str,
}

impl Kind {
    const fn words(self) -> Words {
        match self {
            Self::Activation => Words {
                path: paths::ACTIVATE,
                title: "activate.title",
                intro: "activate.intro",
                code: "activate.code",
                submit: "activate.submit",
                done: "activate.done",
            },
            Self::Reset => Words {
                path: paths::RESET,
                title: "reset.title",
                intro: "reset.intro",
                code: "reset.code",
                submit: "reset.submit",
                done: "reset.done",
            },
        }
    }
}

/// `GET /auth/activate`. Shows only: programs that scan mails open every link.
pub(crate) async fn activate(State(auth): State<Auth>, browser: Browser) -> Response {
    auth.show_password_page(&browser, Kind::Activation)
}

/// `GET /auth/reset`.
pub(crate) async fn reset(State(auth): State<Auth>, browser: Browser) -> Response {
    auth.show_password_page(&browser, Kind::Reset)
}

/// `POST /auth/activate`.
pub(crate) async fn submit_activation(
    State(auth): State<Auth>,
    browser: Browser,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    auth.submit_password_page(browser, &headers, &body, Kind::Activation)
        .await
}

/// `POST /auth/reset`.
pub(crate) async fn submit_reset(
    State(auth): State<Auth>,
    browser: Browser,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    auth.submit_password_page(browser, &headers, &body, Kind::Reset)
        .await
}

/// `GET /auth/forgot`.
pub(crate) async fn forgot(State(auth): State<Auth>, browser: Browser) -> Response {
    auth.forgot_page(&browser, None)
        .unwrap_or_else(|problem| auth.failure(&browser, &problem))
}

/// `POST /auth/forgot`: the same answer whether or not there is an account.
pub(crate) async fn submit_forgot(
    State(auth): State<Auth>,
    browser: Browser,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(form) = auth.own_form(&browser, &headers, &body) else {
        let shown = auth.forgot_page(&browser, Some("sign_in.expired"));
        return shown.unwrap_or_else(|problem| auth.failure(&browser, &problem));
    };
    let email = form.get("email").unwrap_or_default().to_owned();
    let flow = auth.reset.clone();
    let asked: ApiResult<()> = auth
        .tasks
        .run(async move { flow.forgot(&email).await })
        .await;
    match asked {
        Ok(()) => auth.message(&browser, StatusCode::OK, ("forgot.title", "forgot.done")),
        Err(problem) => auth.failure(&browser, &problem),
    }
}

impl Auth {
    fn own_form(&self, browser: &Browser, headers: &HeaderMap, body: &[u8]) -> Option<Parameters> {
        let form = if is_form(headers) {
            Parameters::parse(body).ok()
        } else {
            None
        };
        form.filter(|form| self.forms.accepts(browser, form.get("csrf")))
    }

    fn show_password_page(&self, browser: &Browser, kind: Kind) -> Response {
        let parameters = Parameters::parse(browser.query().as_bytes()).unwrap_or_default();
        let shown =
            self.password_page(browser, kind, parameters.get("token"), None, StatusCode::OK);
        shown.unwrap_or_else(|problem| self.failure(browser, &problem))
    }

    fn password_page(
        &self,
        browser: &Browser,
        kind: Kind,
        token: Option<&str>,
        error: Option<&str>,
        status: StatusCode,
    ) -> ApiResult<Response> {
        let locale = browser.locale(None, self.config.default_locale);
        let form = self.forms.token(browser)?;
        let words = kind.words();
        let phrase = |key| self.texts.phrase(locale, key);
        let fill = context! {
            action => words.path,
            intro => phrase(words.intro),
            code_label => phrase(words.code),
            submit => phrase(words.submit),
            csrf => form.csrf,
            token => token,
            required => kind == Kind::Reset,
            error => error.map(phrase),
        };
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        token.map(|token| query.append_pair("token", token));
        let language_address = format!("{}?{}&", words.path, query.finish());
        self.page(
            browser,
            Page {
                template: "password.html",
                title: words.title,
                status,
                fill,
                locale,
                form_target: None,
                set_cookie: form.set_cookie,
                language_address: Some(language_address),
            },
        )
    }

    async fn submit_password_page(
        &self,
        browser: Browser,
        headers: &HeaderMap,
        body: &[u8],
        kind: Kind,
    ) -> Response {
        let Some(form) = self.own_form(&browser, headers, body) else {
            return self.message(
                &browser,
                StatusCode::BAD_REQUEST,
                ("error.title", "sign_in.expired"),
            );
        };
        let (auth, token) = (
            self.clone(),
            form.get("token").unwrap_or_default().to_owned(),
        );
        let password = form.get("password").map(str::to_owned);
        let used = token.clone();
        let outcome: ApiResult<()> = self
            .tasks
            .run(async move {
                match kind {
                    Kind::Activation => auth.activation.activate(&used, password.as_deref()).await,
                    Kind::Reset => {
                        auth.reset
                            .reset(&used, password.as_deref().unwrap_or_default())
                            .await
                    }
                }
            })
            .await;
        let Err(problem) = outcome else {
            return self.message(
                &browser,
                StatusCode::OK,
                (kind.words().title, kind.words().done),
            );
        };
        let Some(error) = shown_error(&problem) else {
            return self.failure(&browser, &problem);
        };
        let shown = self.password_page(&browser, kind, Some(&token), Some(error), problem.status());
        shown.unwrap_or_else(|problem| self.failure(&browser, &problem))
    }

    fn forgot_page(&self, browser: &Browser, error: Option<&str>) -> ApiResult<Response> {
        let locale: Locale = browser.locale(None, self.config.default_locale);
        let form = self.forms.token(browser)?;
        let fill = context! {
            action => paths::FORGOT,
            csrf => form.csrf,
            error => error.map(|key| self.texts.phrase(locale, key)),
        };
        let status = if error.is_some() {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::OK
        };
        self.page(
            browser,
            Page {
                template: "forgot.html",
                title: "forgot.title",
                status,
                fill,
                locale,
                form_target: None,
                set_cookie: form.set_cookie,
                language_address: Some(format!("{}?", paths::FORGOT)),
            },
        )
    }
}

/// What the person can do something about.
fn shown_error(problem: &Problem) -> Option<&'static str> {
    let field = problem
        .errors()
        .first()
        .map(|error| (error.field.as_str(), error.message.as_str()));
    match (problem.code(), field) {
        (Code::ValidationFailed, Some(("password", message))) if message.contains("needed") => {
            Some("password.needed")
        }
        (Code::ValidationFailed, Some(("password", _))) => Some("password.bad"),
        (Code::ValidationFailed, Some(("token", _))) | (Code::Conflict, _) => Some("token.bad"),
        _ => None,
    }
}
