//! A browser's tab: cookies, forms, redirects.

use std::cell::RefCell;
use std::collections::BTreeMap;

use axum::body::Body;
use http::{Method, Request, StatusCode, header};

use super::world::{Answer, World, query};

pub(super) const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-0123456789";

/// Keeps cookies over requests.
pub(super) struct Tab<'a> {
    world: &'a World,
    pub(super) cookies: RefCell<BTreeMap<String, String>>,
}

/// A form as a page shows it.
#[derive(Debug, Clone)]
pub(super) struct Form {
    pub(super) action: String,
    pub(super) fields: BTreeMap<String, String>,
}

impl<'a> Tab<'a> {
    pub(super) fn new(world: &'a World) -> Self {
        Self {
            world,
            cookies: RefCell::default(),
        }
    }

    pub(super) async fn get(&self, address: &str) -> Answer {
        self.send(Method::GET, address, String::new()).await
    }

    pub(super) async fn post(&self, address: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(Method::POST, address, query(fields)).await
    }

    pub(super) async fn submit(&self, form: &Form) -> Answer {
        let fields: Vec<(&str, &str)> = form
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.post(&form.action, &fields).await
    }

    async fn send(&self, method: Method, address: &str, body: String) -> Answer {
        let cookies: Vec<String> = self
            .cookies
            .borrow()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut request = Request::builder().method(&method).uri(address);
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        if method == Method::POST {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let answer = self
            .world
            .send(request.body(Body::from(body)).unwrap())
            .await;
        for set in answer.headers.get_all(header::SET_COOKIE) {
            let set = set.to_str().unwrap();
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            if set.contains("Max-Age=0") {
                self.cookies.borrow_mut().remove(name);
            } else {
                self.cookies
                    .borrow_mut()
                    .insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// Signs in at the page that the address leads to; the answer to the form.
    pub(super) async fn sign_in(&self, address: &str, login: &str, password: &str) -> Answer {
        let page = self.get(address).await.expect(StatusCode::OK);
        let mut form = Form::on(&page.body);
        form.fields.insert("login".into(), login.into());
        form.fields.insert("password".into(), password.into());
        self.submit(&form).await
    }
}

impl Form {
    /// The first form of a page.
    pub(super) fn on(page: &str) -> Self {
        let start = page
            .find("<form")
            .unwrap_or_else(|| panic!("no form: {page}"));
        let form = &page[start..page.find("</form>").unwrap()];
        let action = attribute(form, "action").unwrap();
        let mut fields = BTreeMap::new();
        for input in form.split("<input").skip(1) {
            let input = &input[..input.find('>').unwrap()];
            if let Some(name) = attribute(input, "name") {
                fields.insert(name, attribute(input, "value").unwrap_or_default());
            }
        }
        Self { action, fields }
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    let value = &tag[start..];
    let value = &value[..value.find('"')?];
    Some(
        value
            .replace("&#x2f;", "/")
            .replace("&#x27;", "'")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#34;", "\"")
            .replace("&amp;", "&"),
    )
}

/// The address of a good request of the portal, but for these parameters.
pub(super) fn authorize(changes: &[(&str, &str)]) -> String {
    authorize_as("riwaq-gateway", super::world::PORTAL_CALLBACK, changes)
}

pub(super) fn authorize_as(client: &str, redirect_uri: &str, changes: &[(&str, &str)]) -> String {
    let challenge = challenge(VERIFIER);
    let mut parameters = BTreeMap::from([
        ("client_id", client),
        ("redirect_uri", redirect_uri),
        ("response_type", "code"),
        ("scope", "openid profile email"),
        ("state", "a state"),
        ("nonce", "a nonce"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ]);
    for (name, value) in changes {
        if value.is_empty() {
            parameters.remove(name);
        } else {
            parameters.insert(name, value);
        }
    }
    let parameters: Vec<(&str, &str)> = parameters.into_iter().collect();
    format!("/auth/authorize?{}", query(&parameters))
}

pub(super) fn challenge(verifier: &str) -> String {
    use base64::Engine as _;
    let hash = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash)
}

/// A parameter of the address that an answer redirects to.
pub(super) fn returned(answer: &Answer, name: &str) -> Option<String> {
    let address = url::Url::parse(answer.header(header::LOCATION)).ok()?;
    let mut pairs = address.query_pairs();
    pairs
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.into_owned())
}
