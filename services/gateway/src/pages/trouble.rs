//! What a browser shows when somebody cannot be signed in: why, and what to do about it.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use minijinja::{Environment, context};
use riwaq_kit::{Accept, Locale, Problem};
use url::form_urlencoded;

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

/// A title, and what to do.
type Sentences = (&'static str, &'static str);

struct Words {
    away: Sentences,
    expired: Sentences,
    incomplete: Sentences,
    again: &'static str,
    home: &'static str,
}

const FRENCH: Words = Words {
    away: (
        "Connexion impossible pour le moment",
        "Le service d’authentification de l’établissement ne répond pas. Ce n’est pas votre mot de passe : réessayez \
         dans quelques instants. Si cela dure, prévenez le service informatique.",
    ),
    expired: (
        "Connexion à recommencer",
        "Cette connexion n’a pas commencé dans ce navigateur, ou est restée trop longtemps en attente. Recommencez.",
    ),
    incomplete: (
        "La connexion n’a pas abouti",
        "Recommencez ; si cela se répète, prévenez le service informatique.",
    ),
    again: "Réessayer",
    home: "Accueil",
};

const ARABIC: Words = Words {
    away: (
        "تعذّر تسجيل الدخول حاليًا",
        "خدمة التحقق من الهوية في المؤسسة لا تستجيب. المشكلة ليست في كلمة المرور: أعد المحاولة بعد لحظات، وإن استمر الأمر \
         فأبلغ مصلحة المعلوميات.",
    ),
    expired: (
        "يجب إعادة تسجيل الدخول",
        "لم يبدأ تسجيل الدخول هذا في هذا المتصفح، أو انقضت مدته. ابدأ من جديد.",
    ),
    incomplete: (
        "لم يكتمل تسجيل الدخول",
        "أعد المحاولة، وإن تكرر الأمر فأبلغ مصلحة المعلوميات.",
    ),
    again: "إعادة المحاولة",
    home: "الصفحة الرئيسية",
};

const ENGLISH: Words = Words {
    away: (
        "Signing in is not possible right now",
        "The school’s sign-in service does not answer. It is not your password: try again in a moment, and tell the IT \
         service if it lasts.",
    ),
    expired: (
        "Please sign in again",
        "This sign-in did not begin in this browser, or too long ago. Begin again.",
    ),
    incomplete: (
        "The sign-in could not be completed",
        "Begin again, and tell the IT service if it happens once more.",
    ),
    again: "Try again",
    home: "Home",
};

/// The page's templates.
#[derive(Clone)]
pub(crate) struct TroublePage(Arc<Environment<'static>>);

impl TroublePage {
    pub(crate) fn new() -> Result<Self, minijinja::Error> {
        Ok(Self(Arc::new(super::templates()?)))
    }

    /// `problem`, as a page for a browser: what else it says stays in the status and the headers.
    pub(crate) fn answer(
        &self,
        trouble: Trouble,
        problem: Problem,
        headers: &HeaderMap,
        return_to: &str,
    ) -> Response {
        let mut response = problem.into_response();
        // Programs ask for JSON, or say nothing.
        let offered = ["application/json", "text/html"];
        if Accept::from_headers(headers).best(&offered) != Some("text/html") {
            return response;
        }
        let locale = Locale::negotiate([None], headers, Locale::default());
        match self.page(locale, trouble, return_to) {
            Ok(page) => *response.body_mut() = Body::from(page),
            Err(error) => {
                tracing::error!(%error, "the page for sign-in trouble");
                return response;
            }
        }
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("text/html; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, kind);
        super::mark(headers, locale, "accept, accept-language, cookie");
        response
    }

    fn page(
        &self,
        locale: Locale,
        trouble: Trouble,
        return_to: &str,
    ) -> Result<String, minijinja::Error> {
        let words = match locale {
            Locale::Fr => &FRENCH,
            Locale::Ar => &ARABIC,
            Locale::En => &ENGLISH,
        };
        let (title, text) = match trouble {
            Trouble::Away => words.away,
            Trouble::Expired => words.expired,
            Trouble::Incomplete => words.incomplete,
        };
        let return_to: String = form_urlencoded::byte_serialize(return_to.as_bytes()).collect();
        self.0.get_template("trouble.html")?.render(context! {
            lang => locale.tag(),
            dir => locale.direction(),
            title,
            text,
            return_to,
            again => words.again,
            home => words.home,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_says_every_trouble() {
        let page = TroublePage::new().unwrap();
        for locale in Locale::ALL {
            let mut seen = Vec::new();
            for trouble in [Trouble::Away, Trouble::Expired, Trouble::Incomplete] {
                let html = page.page(locale, trouble, "/a?b=c&d=<x>").unwrap();
                let tag = locale.tag();
                assert!(
                    html.contains(&format!(r#"<html lang="{tag}" dir="#)),
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

    #[test]
    fn only_whoever_prefers_a_page_gets_one() {
        let page = TroublePage::new().unwrap();
        for (accept, kind) in [
            (None, "application/problem+json"),
            (Some("*/*"), "application/problem+json"),
            (Some("application/json"), "application/problem+json"),
            (
                Some("application/json, text/html;q=0.5"),
                "application/problem+json",
            ),
            (Some("text/html;q=0, */*"), "application/problem+json"),
            (
                Some("text/html,application/xhtml+xml,*/*;q=0.8"),
                "text/html; charset=utf-8",
            ),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            }
            let problem = Problem::unavailable("away");
            let answer = page.answer(Trouble::Away, problem, &headers, "/");
            assert_eq!(answer.status(), 503);
            assert_eq!(answer.headers()[header::CONTENT_TYPE], kind, "{accept:?}");
            assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
            assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
        }
    }
}
