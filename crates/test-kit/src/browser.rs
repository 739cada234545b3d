//! Signing in as a browser does: the authorization code flow with PKCE, through whatever form the issuer shows.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;

use crate::client::Answer;
use crate::one_time::Device;

/// Redirects that one step may lead over.
const STEPS: usize = 12;
/// Forms that one sign-in may ask for.
const FORMS: usize = 4;
/// The field of a one-time code, where a device is known, and where it is made known (Keycloak's names).
const CODE: &str = "otp";
const NEW_CODE: &str = "totp";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-0123456789";
/// Where a program on somebody's machine would listen; nothing does, the address is only read.
const CALLBACK: &str = "http://127.0.0.1:43219/callback";

/// A browser and its person: it keeps cookies, follows redirects and fills in forms; the person has a device that shows
/// one-time codes once the issuer asked for one.
///
/// Cookies are kept for one server only, and sent although they are `Secure`, because the test servers speak
/// plain HTTP on loopback, which browsers take for secure.
#[derive(Debug)]
pub struct Browser {
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
    device: Option<Device>,
}

/// A page, and where it came from.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its address.
    pub url: Url,
    /// All of it.
    pub answer: Answer,
}

/// A form of a page: where it goes and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Its address, as it is written.
    pub action: String,
    /// Names and values of its inputs.
    pub fields: BTreeMap<String, String>,
    /// Whether it asks for a password.
    pub asks_password: bool,
}

impl Default for Browser {
    fn default() -> Self {
        Self::new()
    }
}

impl Browser {
    /// One without cookies.
    #[must_use]
    pub fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap_or_default();
        Self {
            http,
            cookies: BTreeMap::new(),
            device: None,
        }
    }

    /// Opens an address and follows redirects, until a page comes or an address begins with `stop`.
    ///
    /// # Errors
    /// When no whole answer comes, or redirects do not end.
    pub async fn open(&mut self, url: Url, stop: &str) -> Result<Page> {
        let request = self.http.request(Method::GET, url.clone());
        let page = self.send(url, request).await?;
        self.follow(page, stop).await
    }

    /// Sends a form and follows redirects likewise.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn submit(&mut self, page: &Page, form: &Form, stop: &str) -> Result<Page> {
        let url = page.url.join(&form.action)?;
        let request = self
            .http
            .request(Method::POST, url.clone())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(encoded(&form.fields));
        let page = self.send(url, request).await?;
        self.follow(page, stop).await
    }

    /// Sends a change without a body, as a script of the portal does.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub async fn change(&mut self, method: Method, url: Url, csrf: &str) -> Result<Page> {
        let request = self.http.request(method, url.clone());
        self.send(url, request.header("x-csrf-token", csrf)).await
    }

    async fn follow(&mut self, mut page: Page, stop: &str) -> Result<Page> {
        for _ in 0..STEPS {
            let location = page.answer.header(LOCATION.as_str()).to_owned();
            let moved = StatusCode::from_u16(page.answer.status)?.is_redirection();
            if !moved || location.is_empty() {
                return Ok(page);
            }
            let url = page.url.join(&location)?;
            if !stop.is_empty() && url.as_str().starts_with(stop) {
                page.url = url;
                return Ok(page);
            }
            let request = self.http.request(Method::GET, url.clone());
            page = self.send(url, request).await?;
        }
        bail!("redirects do not end: {}", page.url)
    }

    async fn send(&mut self, url: Url, request: reqwest::RequestBuilder) -> Result<Page> {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = if cookies.is_empty() {
            request
        } else {
            request.header(COOKIE, cookies.join("; "))
        };
        let answer = Answer::read(request.send().await?).await?;
        for cookie in answer.headers.get_all(SET_COOKIE) {
            self.keep(cookie.to_str().unwrap_or_default());
        }
        Ok(Page { url, answer })
    }

    fn keep(&mut self, cookie: &str) {
        let mut parts = cookie.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let over = parts.any(|part| part.eq_ignore_ascii_case("max-age=0"));
        if over {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

impl Page {
    /// The form that asks for a password or a one-time code.
    #[must_use]
    pub fn form(&self) -> Option<Form> {
        let asks = |form: &Form| form.asks_password || form.has(CODE) || form.has(NEW_CODE);
        forms(&self.answer.text()).into_iter().find(asks)
    }
}

impl Form {
    fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    fn fill(&mut self, names: &[&str], value: &str) -> Result<()> {
        let name = names.iter().find(|name| self.has(name));
        let name = name.with_context(|| format!("none of {names:?} in {:?}", self.fields))?;
        self.fields.insert((*name).to_owned(), value.to_owned());
        Ok(())
    }
}

impl Browser {
    /// Signs in at an issuer as the public client `riwaq-cli`; gives the tokens. Who is signed in there already is not
    /// asked again.
    ///
    /// # Errors
    /// When any step is refused; the error says which, and shows the page.
    pub async fn sign_in(&mut self, issuer: &str, login: &str, password: &str) -> Result<Value> {
        let discovery = format!(
            "{}/.well-known/openid-configuration",
            issuer.trim_end_matches('/')
        );
        let page = self.open(Url::parse(&discovery)?, "").await?;
        let metadata = page.answer.expect(200).context("discovery")?;
        let endpoint = |name: &str| -> Result<Url> {
            let text = metadata[name]
                .as_str()
                .with_context(|| format!("no {name}"))?;
            Ok(Url::parse(text)?)
        };
        let url = authorization(endpoint("authorization_endpoint")?);
        let page = self.open(url, CALLBACK).await?;
        let page = self.fill_in(page, login, password).await?;
        let mut query = page.url.query_pairs();
        let code = query.find_map(|(name, value)| (name == "code").then(|| value.into_owned()));
        let code = code.with_context(|| format!("no code came back: {}", page.url))?;
        let form = exchange(endpoint("token_endpoint")?, &code);
        let tokens = self.submit(&page, &form, "").await?;
        tokens.answer.expect(200).context("the token endpoint")
    }

    /// Fills in whatever is asked for, until the way leads back.
    async fn fill_in(&mut self, mut page: Page, login: &str, password: &str) -> Result<Page> {
        for _ in 0..FORMS {
            if page.url.as_str().starts_with(CALLBACK) {
                return Ok(page);
            }
            let Some(mut form) = page.form() else { break };
            if form.asks_password {
                form.fill(&["login", "username", "email", "identifier"], login)?;
                form.fill(&["password"], password)?;
            } else if form.has(NEW_CODE) {
                let secret = form.fields.get("totpSecret").context("no secret")?;
                self.device = Some(Device::new(secret));
                form.fill(&[NEW_CODE], &self.code().await?)?;
            } else {
                form.fill(&[CODE], &self.code().await?)?;
            }
            page = self.submit(&page, &form, CALLBACK).await?;
        }
        bail!(
            "signing in as {login} did not lead back, but to {}: {} {}",
            page.url,
            page.answer.status,
            page.answer.text()
        )
    }

    /// The device's next code.
    async fn code(&mut self) -> Result<String> {
        let device = self.device.as_mut().context("no device for codes")?;
        Ok(device.next().await)
    }
}

/// Signs in once, with a browser of its own; gives the tokens.
///
/// # Errors
/// As [`Browser::sign_in`].
pub async fn sign_in_at(issuer: &str, login: &str, password: &str) -> Result<Value> {
    Browser::new().sign_in(issuer, login, password).await
}

/// What the token endpoint is sent.
fn exchange(endpoint: Url, code: &str) -> Form {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("client_id", "riwaq-cli"),
        ("code_verifier", VERIFIER),
    ];
    Form {
        action: endpoint.into(),
        fields: fields
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        asks_password: false,
    }
}

fn authorization(mut url: Url) -> Url {
    let digest = ring::digest::digest(&ring::digest::SHA256, VERIFIER.as_bytes());
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", "riwaq-cli")
        .append_pair("redirect_uri", CALLBACK)
        .append_pair("scope", "openid profile email")
        .append_pair("state", "a-state-of-this-run")
        .append_pair("nonce", "a-nonce-of-this-run")
        .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(digest))
        .append_pair("code_challenge_method", "S256");
    url
}

/// Every form of a page. Enough HTML for pages that we and our issuers write, not for the web's.
fn forms(html: &str) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    for tag in html.split('<').skip(1) {
        let Some((tag, _)) = tag.split_once('>') else {
            continue;
        };
        let name = tag.split_whitespace().next().unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "form" => forms.push(Form {
                action: attribute(tag, "action").unwrap_or_default(),
                fields: BTreeMap::new(),
                asks_password: false,
            }),
            "input" => {
                let (Some(form), Some(name)) = (forms.last_mut(), attribute(tag, "name")) else {
                    continue;
                };
                let kind = attribute(tag, "type").unwrap_or_default();
                form.asks_password |= kind == "password";
                // A box that is not ticked is not sent.
                if kind != "checkbox" && kind != "radio" {
                    let value = attribute(tag, "value").unwrap_or_default();
                    form.fields.insert(name, value);
                }
            }
            _ => {}
        }
    }
    forms
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let mut rest = tag;
    loop {
        let at = rest.find(name)?;
        let (before, after) = (&rest[..at], &rest[at + name.len()..]);
        let whole = before.ends_with(char::is_whitespace);
        if let Some(value) = after.trim_start().strip_prefix('=').filter(|_| whole) {
            let value = value.trim_start();
            let quote = value.chars().next().filter(|first| "\"'".contains(*first));
            let text = match quote {
                Some(quote) => value[1..].split(quote).next(),
                None => value.split(char::is_whitespace).next(),
            };
            return text.map(unescaped);
        }
        rest = after;
    }
}

fn unescaped(text: &str) -> String {
    text.replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&#x27;", "'")
        .replace("&#x2F;", "/")
        .replace("&#x3D;", "=")
        .replace("&#61;", "=")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

fn encoded(fields: &BTreeMap<String, String>) -> String {
    let mut url = Url::parse("http://form/").ok();
    if let Some(url) = &mut url {
        url.query_pairs_mut().extend_pairs(fields);
    }
    url.and_then(|url| url.query().map(str::to_owned))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_as_issuers_write_them() {
        let page = r#"<html><form action="/search"><input name=q></form>
            <form id="kc-form-login" class="x" onsubmit="return true;" action="http://host/realms/r/login-actions/authenticate?session_code=a&amp;tab_id=b" method="post">
            <input tabindex="2" id="username" class="c" name="username" value="" type="text" autofocus/>
            <INPUT id="password" name="password" type="password" autocomplete="current-password">
            <input id="rememberMe" name="rememberMe" type="checkbox"/>
            <input type="hidden" id="id-hidden-input" name="credentialId" value='x&quot;y'/></form></html>"#;
        let forms = forms(page);
        assert_eq!(forms.len(), 2);
        let form = &forms[1];
        assert!(form.asks_password && !forms[0].asks_password);
        assert_eq!(
            form.action,
            "http://host/realms/r/login-actions/authenticate?session_code=a&tab_id=b"
        );
        let names: Vec<_> = form.fields.keys().map(String::as_str).collect();
        assert_eq!(names, ["credentialId", "password", "username"]);
        assert_eq!(form.fields["credentialId"], "x\"y");
    }

    #[test]
    fn what_is_sent_is_encoded() {
        let fields = [("a b".to_owned(), "é&=".to_owned())].into();
        assert_eq!(encoded(&fields), "a+b=%C3%A9%26%3D");
    }

    #[test]
    fn a_cookie_that_is_over_is_forgotten() {
        let mut browser = Browser::new();
        browser.keep("a=1; Path=/; Secure; HttpOnly");
        browser.keep("b=2");
        browser.keep("a=; Max-Age=0; Path=/");
        assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), ["b"]);
    }
}
