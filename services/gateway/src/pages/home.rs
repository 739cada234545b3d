//! The page at `/`: what this is, what runs, and where to go on. No script, nothing from elsewhere.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use minijinja::{Value, context};
use riwaq_kit::Locale;
use serde::Deserialize;

const STYLE: &str = include_str!("assets/pages.css");
const ICON: &str = include_str!("assets/icon.svg");

/// The page in every language, in the order of [`Locale::ALL`]; made once.
#[derive(Clone)]
pub(crate) struct Home(Arc<[String; 3]>);

/// What the page says.
#[derive(Debug)]
struct Words {
    tagline: &'static str,
    running: &'static str,
    version: &'static str,
    api: &'static str,
    docs: &'static str,
    document: &'static str,
    health: &'static str,
    sign_in: &'static str,
    languages: &'static str,
}

const FRENCH: Words = Words {
    tagline: "L’espace numérique de travail de l’université",
    running: "En service",
    version: "Version",
    api: "L’interface de programmation",
    docs: "Documentation interactive",
    document: "Document OpenAPI",
    health: "État de santé",
    sign_in: "Se connecter",
    languages: "Langues",
};

const ARABIC: Words = Words {
    tagline: "فضاء العمل الرقمي للجامعة",
    running: "الخدمات العاملة",
    version: "الإصدار",
    api: "واجهة البرمجة",
    docs: "التوثيق التفاعلي",
    document: "وثيقة OpenAPI",
    health: "الحالة الصحية",
    sign_in: "تسجيل الدخول",
    languages: "اللغات",
};

const ENGLISH: Words = Words {
    tagline: "The university’s digital workspace",
    running: "Running",
    version: "Version",
    api: "The programming interface",
    docs: "Interactive documentation",
    document: "OpenAPI document",
    health: "Health",
    sign_in: "Sign in",
    languages: "Languages",
};

impl Words {
    fn value(&self) -> Value {
        let Self {
            tagline,
            running,
            version,
            api,
            docs,
            document,
            health,
            sign_in,
            languages,
        } = *self;
        context! { tagline, running, version, api, docs, document, health, sign_in, languages }
    }
}

const fn words(locale: Locale) -> &'static Words {
    match locale {
        Locale::Fr => &FRENCH,
        Locale::Ar => &ARABIC,
        Locale::En => &ENGLISH,
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Choice {
    lang: Option<String>,
}

impl Home {
    /// The page that names these roles.
    pub(crate) fn new(roles: &[&'static str]) -> Result<Self, minijinja::Error> {
        let templates = super::templates()?;
        let template = templates.get_template("home.html")?;
        let language = |locale: Locale| context! { tag => locale.tag(), name => locale.name() };
        let languages: Vec<Value> = Locale::ALL.into_iter().map(language).collect();
        let page = |locale: Locale| {
            template.render(context! {
                lang => locale.tag(),
                dir => locale.direction(),
                t => words(locale).value(),
                version => env!("CARGO_PKG_VERSION"),
                roles => roles.to_vec(),
                languages => languages.clone(),
            })
        };
        let [first, second, third] = Locale::ALL;
        Ok(Self(Arc::new([page(first)?, page(second)?, page(third)?])))
    }

    fn page(&self, locale: Locale) -> &str {
        let [french, arabic, english] = &*self.0;
        match locale {
            Locale::Fr => french,
            Locale::Ar => arabic,
            Locale::En => english,
        }
    }
}

pub(crate) async fn page(
    State(home): State<Home>,
    Query(choice): Query<Choice>,
    headers: HeaderMap,
) -> Response {
    let chosen = choice.lang.as_deref();
    let locale = Locale::negotiate([chosen], &headers, Locale::default());
    let mut response = Html(home.page(locale).to_owned()).into_response();
    super::mark(response.headers_mut(), locale, "accept-language, cookie");
    if let Some(chosen) = chosen.and_then(Locale::from_tag) {
        // The sign-in page goes on in it.
        let headers = response.headers_mut();
        headers.insert(header::SET_COOKIE, chosen.remember());
    }
    response
}

pub(crate) async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

pub(crate) async fn icon() -> Response {
    asset("image/svg+xml", ICON)
}

/// Nothing here is for search engines.
pub(crate) async fn robots() -> Response {
    asset("text/plain; charset=utf-8", "User-agent: *\nDisallow: /\n")
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static(kind));
    (
        [
            kind,
            (
                header::CACHE_CONTROL,
                HeaderValue::from_static("public, max-age=3600"),
            ),
        ],
        text,
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_runs_no_script_and_turns_with_its_language() {
        let home = Home::new(&["courses", "gateway"]).unwrap();
        for locale in Locale::ALL {
            let html = home.page(locale);
            let (tag, dir) = (locale.tag(), locale.direction());
            assert!(
                html.contains(&format!(r#"<html lang="{tag}" dir="{dir}">"#)),
                "{html}"
            );
            assert!(
                html.contains("courses")
                    && html.contains("/api/docs/")
                    && html.contains(words(locale).tagline)
            );
            for inline in ["<script", "style=", "onclick", "http://", "https://"] {
                assert!(!html.contains(inline), "{inline}");
            }
        }
    }
}
