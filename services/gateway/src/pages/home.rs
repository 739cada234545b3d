//! The page at `/`: what this is, what runs, and where to go on. No script, nothing from elsewhere.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use minijinja::{Environment, Value, context};
use serde::Deserialize;

use super::language;

const TEMPLATE: &str = include_str!("assets/home.html");
const STYLE: &str = include_str!("assets/home.css");
const ICON: &str = include_str!("assets/icon.svg");

/// The page in every language, made once.
#[derive(Clone)]
pub(crate) struct Home(std::sync::Arc<[(&'static Language, String)]>);

/// One language of the page.
#[derive(Debug)]
struct Language {
    code: &'static str,
    dir: &'static str,
    name: &'static str,
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

const LANGUAGES: &[Language] = &[
    Language {
        code: "fr",
        dir: "ltr",
        name: "Français",
        tagline: "L’espace numérique de travail de l’université",
        running: "En service",
        version: "Version",
        api: "L’interface de programmation",
        docs: "Documentation interactive",
        document: "Document OpenAPI",
        health: "État de santé",
        sign_in: "Se connecter",
        languages: "Langues",
    },
    Language {
        code: "ar",
        dir: "rtl",
        name: "العربية",
        tagline: "فضاء العمل الرقمي للجامعة",
        running: "الخدمات العاملة",
        version: "الإصدار",
        api: "واجهة البرمجة",
        docs: "التوثيق التفاعلي",
        document: "وثيقة OpenAPI",
        health: "الحالة الصحية",
        sign_in: "تسجيل الدخول",
        languages: "اللغات",
    },
    Language {
        code: "en",
        dir: "ltr",
        name: "English",
        tagline: "The university’s digital workspace",
        running: "Running",
        version: "Version",
        api: "The programming interface",
        docs: "Interactive documentation",
        document: "OpenAPI document",
        health: "Health",
        sign_in: "Sign in",
        languages: "Languages",
    },
];

impl Language {
    fn value(&self) -> Value {
        let Self {
            code,
            dir,
            name,
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
        context! { code, dir, name, tagline, running, version, api, docs, document, health, sign_in, languages }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Choice {
    lang: Option<String>,
}

impl Home {
    /// The page that names these roles.
    pub(crate) fn new(roles: &[&'static str]) -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        environment.add_template("home.html", TEMPLATE)?;
        let template = environment.get_template("home.html")?;
        let languages: Vec<Value> = LANGUAGES.iter().map(Language::value).collect();
        let page = |language: &'static Language| {
            let version = env!("CARGO_PKG_VERSION");
            let t = language.value();
            let languages = languages.clone();
            let html =
                template.render(context! { t, roles => roles.to_vec(), version, languages })?;
            Ok((language, html))
        };
        Ok(Self(
            LANGUAGES
                .iter()
                .map(page)
                .collect::<Result<Vec<_>, minijinja::Error>>()?
                .into(),
        ))
    }
}

pub(crate) async fn page(
    State(home): State<Home>,
    Query(choice): Query<Choice>,
    headers: HeaderMap,
) -> Response {
    let code = language::choose(choice.lang.as_deref(), &headers);
    let page = home
        .0
        .iter()
        .find(|(language, _)| language.code == code)
        .or_else(|| home.0.first());
    let Some((language, html)) = page else {
        return ().into_response();
    };
    let mut response = axum::response::Html(html.clone()).into_response();
    response.headers_mut().insert(
        header::CONTENT_LANGUAGE,
        HeaderValue::from_static(language.code),
    );
    response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("accept-language"));
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
        for (language, html) in home.0.iter() {
            assert!(
                html.contains(&format!(
                    r#"<html lang="{}" dir="{}">"#,
                    language.code, language.dir
                )),
                "{html}"
            );
            assert!(
                html.contains("courses")
                    && html.contains("/api/docs/")
                    && html.contains(language.tagline)
            );
            for inline in ["<script", "style=", "onclick", "http://", "https://"] {
                assert!(!html.contains(inline), "{inline}");
            }
        }
    }
}
