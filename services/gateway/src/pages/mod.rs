//! Pages and documents that the gateway serves itself.

pub(crate) mod docs;
pub(crate) mod home;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub(crate) mod trouble;

use http::{HeaderMap, HeaderValue, header};
use minijinja::Environment;
use riwaq_kit::Locale;

/// The templates of pages for people.
fn templates() -> Result<Environment<'static>, minijinja::Error> {
    let mut templates = Environment::new();
    templates.add_template("layout.html", include_str!("assets/layout.html"))?;
    templates.add_template("home.html", include_str!("assets/home.html"))?;
    templates.add_template("trouble.html", include_str!("assets/trouble.html"))?;
    Ok(templates)
}

/// Says in which language a page is, and what else of a request decided how it looks.
fn mark(headers: &mut HeaderMap, locale: Locale, varies: &'static str) {
    let tag = HeaderValue::from_static(locale.tag());
    headers.insert(header::CONTENT_LANGUAGE, tag);
    headers.insert(header::VARY, HeaderValue::from_static(varies));
}
