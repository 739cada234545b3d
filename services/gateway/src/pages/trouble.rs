//! What a browser shows when somebody cannot be signed in: why, and what to do about it.

use std::sync::Arc;

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use minijinja::{Environment, context};
use riwaq_kit::Problem;
use url::form_urlencoded;

use super::language;

const TEMPLATE: &str = include_str!("assets/trouble.html");

/// Why somebody is not signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The issuer does not answer.
    Away,
    /// The sign-in did not begin in this browser, or too long ago.
    Expired,
    /// The issuer, or we, did not accept what came back.
    Incomplete,
}

struct Words {
    code: &'static str,
    dir: &'static str,
    title: &'static str,
    away: &'static str,
    expired: &'static str,
    incomplete: &'static str,
    again: &'static str,
    home: &'static str,
}

const WORDS: &[Words] = &[
    Words {
        code: "fr",
        dir: "ltr",
        title: "Connexion impossible pour le moment",
        away: "Le service d’authentification de l’établissement ne répond pas. Ce n’est pas votre mot de passe : \
               réessayez dans quelques instants. Si cela dure, prévenez le service informatique.",
        expired: "Cette connexion n’a pas commencé dans ce navigateur, ou a trop attendu. Recommencez.",
        incomplete: "La connexion n’a pas pu aboutir. Recommencez ; si cela se répète, prévenez le service \
                     informatique.",
        again: "Réessayer",
        home: "Accueil",
    },
    Words {
        code: "ar",
        dir: "rtl",
        title: "تعذّر تسجيل الدخول حاليًا",
        away: "خدمة التحقق من الهوية في المؤسسة لا تستجيب. المشكلة ليست في كلمة المرور: أعد المحاولة بعد لحظات، \
               وإن استمر الأمر فأبلغ مصلحة المعلوميات.",
        expired: "لم يبدأ تسجيل الدخول هذا في هذا المتصفح، أو انقضت مدته. ابدأ من جديد.",
        incomplete: "لم يكتمل تسجيل الدخول. أعد المحاولة، وإن تكرر الأمر فأبلغ مصلحة المعلوميات.",
        again: "إعادة المحاولة",
        home: "الصفحة الرئيسية",
    },
    Words {
        code: "en",
        dir: "ltr",
        title: "Signing in is not possible right now",
        away: "The school’s sign-in service does not answer. It is not your password: try again in a moment, and tell \
               the IT service if it lasts.",
        expired: "This sign-in did not begin in this browser, or too long ago. Begin again.",
        incomplete: "The sign-in could not be completed. Begin again, and tell the IT service if it happens once more.",
        again: "Try again",
        home: "Home",
    },
];

/// The page, made once.
#[derive(Clone)]
pub(crate) struct TroublePage(Arc<Environment<'static>>);

impl TroublePage {
    pub(crate) fn new() -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        environment.add_template("trouble.html", TEMPLATE)?;
        Ok(Self(Arc::new(environment)))
    }

    /// `problem`, as a page for a browser: what it says stays in the status and in `Retry-After`.
    pub(crate) fn answer(
        &self,
        trouble: Trouble,
        problem: Problem,
        headers: &HeaderMap,
        return_to: &str,
    ) -> Response {
        if !wants_page(headers) {
            return problem.into_response();
        }
        let code = language::choose(None, headers);
        let Some(page) = self.page(code, trouble, return_to) else {
            return problem.into_response();
        };
        let mut response = (problem.status(), Html(page)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(code));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let vary = HeaderValue::from_static("accept, accept-language");
        headers.insert(header::VARY, vary);
        if let Some(wait) = problem.retry_after() {
            headers.insert(header::RETRY_AFTER, wait.as_secs().max(1).into());
        }
        response
    }

    fn page(&self, code: &str, trouble: Trouble, return_to: &str) -> Option<String> {
        let words = WORDS.iter().find(|words| words.code == code)?;
        let text = match trouble {
            Trouble::Away => words.away,
            Trouble::Expired => words.expired,
            Trouble::Incomplete => words.incomplete,
        };
        let return_to: String = form_urlencoded::byte_serialize(return_to.as_bytes()).collect();
        let Words {
            code,
            dir,
            title,
            again,
            home,
            ..
        } = *words;
        let template = self.0.get_template("trouble.html").ok()?;
        template
            .render(context! { code, dir, title, text, again, home, return_to })
            .ok()
    }
}

/// Whether a person looks at the answer: programs ask for JSON, or say nothing.
fn wants_page(headers: &HeaderMap) -> bool {
    let all = headers.get_all(header::ACCEPT).iter();
    all.filter_map(|value| value.to_str().ok())
        .any(|value| value.to_ascii_lowercase().contains("text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_says_every_trouble() {
        let page = TroublePage::new().unwrap();
        for code in language::CODES {
            let mut seen = Vec::new();
            for trouble in [Trouble::Away, Trouble::Expired, Trouble::Incomplete] {
                let html = page.page(code, trouble, "/a?b=c&d=<x>").unwrap();
                assert!(
                    html.contains(&format!(r#"<html lang="{code}" dir="#)),
                    "{html}"
                );
                assert!(
                    html.contains("return_to=%2Fa%3Fb%3Dc%26d%3D%3Cx%3E"),
                    "{html}"
                );
                for inline in ["<script", "style=", "onclick", "http://", "https://"] {
                    assert!(!html.contains(inline), "{inline}");
                }
                assert!(!seen.contains(&html));
                seen.push(html);
            }
        }
    }
}
