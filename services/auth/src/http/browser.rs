//! What all pages have in common: language, cookies, forms that are ours, headers.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use minijinja::{Value, context};
use riwaq_kit::{ApiResult, Locale, Problem};
use url::form_urlencoded;

use super::paths;
use crate::app::Auth;
use crate::secrets::{MacKey, random_text};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What is known of the browser that asks.
#[derive(Debug, Clone)]
pub(crate) struct Browser {
    headers: HeaderMap,
    query: String,
    peer: Option<IpAddr>,
}

impl<S: Send + Sync> FromRequestParts<S> for Browser {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| info.0.ip());
        let query = parts.uri.query().unwrap_or_default().to_owned();
        Ok(Self {
            headers: parts.headers.clone(),
            query,
            peer,
        })
    }
}

impl Browser {
    /// The address of the client. The gateway is the only one that reaches us, and writes the address
    /// that it found at the end of `X-Forwarded-For`.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        let last = self.headers.get_all(FORWARDED_FOR).iter().next_back();
        let forwarded = last
            .and_then(|value| value.to_str().ok())
            .and_then(|list| list.rsplit(',').next())
            .and_then(|address| address.trim().parse().ok());
        forwarded.or(self.peer)
    }

    pub(crate) fn query(&self) -> &str {
        &self.query
    }

    /// The value of a cookie; `None` also where there are two, since somebody planted one.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let pairs = self.headers.get_all(header::COOKIE).iter();
        let mut values = pairs
            .filter_map(|value| value.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(found, _)| *found == name)
            .map(|(_, value)| value);
        let first = values.next();
        first.filter(|_| values.next().is_none())
    }

    fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        pairs
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.into_owned())
    }

    /// The language that was chosen by `?lang=`, to be remembered.
    fn chosen_language(&self) -> Option<Locale> {
        self.parameter("lang").as_deref().and_then(Locale::from_tag)
    }

    /// The language to answer in; `ui_locales` of a request comes first but for an explicit choice.
    pub(crate) fn locale(&self, ui_locales: Option<&str>, otherwise: Locale) -> Locale {
        let lang = self.parameter("lang");
        Locale::negotiate([lang.as_deref(), ui_locales], &self.headers, otherwise)
    }
}

/// Cookies and form tokens.
#[derive(Clone)]
pub(crate) struct FormGuard {
    key: MacKey,
    secure: bool,
}

/// A form's token, and the cookie to set if the browser has none.
pub(crate) struct FormToken {
    pub(crate) csrf: String,
    pub(crate) set_cookie: Option<HeaderValue>,
}

impl FormGuard {
    pub(crate) fn new(key: MacKey, secure: bool) -> Self {
        Self { key, secure }
    }

    /// A name that only we can set cookies under, where there is TLS (RFC 6265bis, 4.1.3.2).
    pub(crate) fn cookie_name(&self, name: &str) -> String {
        if self.secure {
            format!("__Host-{name}")
        } else {
            name.to_owned()
        }
    }

    /// Sets a cookie that scripts cannot read; without a time it goes with the browser.
    pub(crate) fn set_cookie(
        &self,
        name: &str,
        value: &str,
        max_age_seconds: Option<u32>,
    ) -> ApiResult<HeaderValue> {
        let name = self.cookie_name(name);
        let secure = if self.secure { "; Secure" } else { "" };
        let age = max_age_seconds
            .map(|seconds| format!("; Max-Age={seconds}"))
            .unwrap_or_default();
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}");
        HeaderValue::try_from(text).map_err(Problem::internal)
    }

    /// A token for a form on the page that is being made.
    pub(crate) fn token(&self, browser: &Browser) -> ApiResult<FormToken> {
        if let Some(known) = browser
            .cookie(&self.cookie_name("riwaq_form"))
            .filter(|value| value.len() == 43)
        {
            return Ok(FormToken {
                csrf: self.tag(known),
                set_cookie: None,
            });
        }
        let fresh = random_text()?;
        let set_cookie = Some(self.set_cookie("riwaq_form", &fresh, None)?);
        Ok(FormToken {
            csrf: self.tag(&fresh),
            set_cookie,
        })
    }

    /// Whether a form that came in was made by us for this browser.
    pub(crate) fn accepts(&self, browser: &Browser, csrf: Option<&str>) -> bool {
        let cookie = browser.cookie(&self.cookie_name("riwaq_form"));
        let (Some(cookie), Some(csrf)) = (cookie, csrf) else {
            return false;
        };
        crate::secrets::equal(self.tag(cookie).as_bytes(), csrf.as_bytes())
    }

    fn tag(&self, cookie: &str) -> String {
        self.key.tag_text(&[b"form", cookie.as_bytes()])
    }
}

/// A page before it is sent.
pub(crate) struct Page<'a> {
    pub(crate) template: &'static str,
    pub(crate) title: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) fill: Value,
    pub(crate) locale: Locale,
    /// Where the answer to a form on it may lead, beside ourselves.
    pub(crate) form_target: Option<&'a str>,
    pub(crate) set_cookie: Option<HeaderValue>,
    /// Where the page can be had in another language: all but the language itself.
    pub(crate) language_address: Option<String>,
}

impl Auth {
    /// Renders a page.
    pub(crate) fn page(&self, browser: &Browser, page: Page<'_>) -> ApiResult<Response> {
        let title = self.texts.phrase(page.locale, page.title);
        let fill = context! {
            title => title,
            stylesheet => paths::STYLESHEET,
            back => "/",
            language_address => page.language_address,
            ..page.fill
        };
        let html = self
            .texts
            .page(page.template, page.locale, &self.config.school_name, fill)?;
        let mut response = (page.status, html).into_response();
        let headers = response.headers_mut();
        page_headers(headers, page.form_target)?;
        headers.extend(page.set_cookie.map(|cookie| (header::SET_COOKIE, cookie)));
        if let Some(chosen) = browser.chosen_language() {
            headers.append(header::SET_COOKIE, chosen.remember());
        }
        Ok(response)
    }

    /// A page that says one thing.
    pub(crate) fn message(
        &self,
        browser: &Browser,
        status: StatusCode,
        (title, message): (&'static str, &str),
    ) -> Response {
        let locale = browser.locale(None, self.config.default_locale);
        let kind = if status.is_success() { "done" } else { "error" };
        let fill = context! { kind => kind, message => self.texts.phrase(locale, message) };
        let page = Page {
            template: "message.html",
            title,
            status,
            fill,
            locale,
            form_target: None,
            set_cookie: None,
            language_address: None,
        };
        self.page(browser, page)
            .unwrap_or_else(IntoResponse::into_response)
    }

    /// The page for what is our own fault; its cause is in the log.
    pub(crate) fn failure(&self, browser: &Browser, problem: &Problem) -> Response {
        self.message(browser, problem.status(), ("error.title", "error.server"))
    }
}

fn page_headers(headers: &mut HeaderMap, form_target: Option<&str>) -> ApiResult<()> {
    // Browsers hold the redirect that answers a form against `form-action`, too.
    let target = form_target
        .map(|source| format!(" {source}"))
        .unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; \
         form-action 'self'{target}"
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::try_from(policy).map_err(Problem::internal)?,
    );
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Addresses of pages hold one-time tokens: they are for nobody else.
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(())
}

/// Sends the browser elsewhere by GET, whatever it came by.
pub(crate) fn redirect(address: &str) -> ApiResult<Response> {
    let location = HeaderValue::try_from(address).map_err(Problem::internal)?;
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
    ];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// `GET /auth/assets/pages.css`.
pub(crate) async fn stylesheet() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, include_str!("../assets/pages.css")).into_response()
}

/// Whether a body says that it is a form.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let media = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    media.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::MasterSecret;

    fn browser(headers: &[(HeaderName, &str)]) -> Browser {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()));
        Browser {
            headers: headers.collect(),
            query: String::new(),
            peer: "10.0.0.1".parse().ok(),
        }
    }

    #[test]
    fn the_last_forwarded_address_is_the_gateways_own_finding() {
        let address = |value| {
            browser(&[(FORWARDED_FOR, value)])
                .address()
                .unwrap()
                .to_string()
        };
        assert_eq!(address("6.6.6.6, 192.0.2.1"), "192.0.2.1");
        assert_eq!(address("2001:db8::1"), "2001:db8::1");
        assert_eq!(address("nonsense"), "10.0.0.1");
    }

    #[test]
    fn a_cookie_that_is_there_twice_is_not_believed() {
        let one = browser(&[(header::COOKIE, "a=1; b=2")]);
        assert_eq!(
            (one.cookie("a"), one.cookie("b"), one.cookie("c")),
            (Some("1"), Some("2"), None)
        );
        assert_eq!(browser(&[(header::COOKIE, "a=1; a=2")]).cookie("a"), None);
    }

    #[test]
    fn a_form_is_accepted_from_the_browser_that_it_was_made_for() {
        let guard = FormGuard::new(MasterSecret::new(&[1; 32]).unwrap().mac("forms"), true);
        let stranger = browser(&[]);
        let made = guard.token(&stranger).unwrap();
        let set = made.set_cookie.unwrap();
        let set = set.to_str().unwrap();
        assert!(
            set.starts_with("__Host-riwaq_form=")
                && set.contains("; Secure")
                && set.contains("HttpOnly"),
            "{set}"
        );
        let own = browser(&[(header::COOKIE, set.split(';').next().unwrap())]);
        assert!(guard.accepts(&own, Some(&made.csrf)));
        assert_eq!(
            guard.token(&own).unwrap().csrf,
            made.csrf,
            "a second tab does not break the first"
        );
        assert!(!guard.accepts(&own, None));
        assert!(!guard.accepts(&own, Some("x")));
        assert!(!guard.accepts(&stranger, Some(&made.csrf)));
        let other = guard.token(&stranger).unwrap();
        assert!(!guard.accepts(&own, Some(&other.csrf)));
    }
}
