//! Routes: the issuer's endpoints and pages, and the password endpoints of the API.

pub(crate) mod account_pages;
pub(crate) mod api;
pub(crate) mod authorize;
pub(crate) mod backchannel_logout;
pub(crate) mod browser;
pub(crate) mod client_auth;
pub(crate) mod dev_mail;
pub(crate) mod discovery;
pub mod paths;
pub(crate) mod revoke;
pub(crate) mod sign_in_page;
pub(crate) mod sign_out;
pub(crate) mod token;
pub(crate) mod userinfo;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{any, get, post};
use riwaq_kit::{Code, Problem};
use utoipa::openapi::OpenApi;

use crate::app::Auth;
use crate::issuing::Issuing;

/// Forms and JSON of this service are small, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The document alone.
pub(crate) fn openapi() -> OpenApi {
    api::open().merge(api::verified()).into_openapi()
}

/// Everything, with the document of the part that is the public API.
pub(crate) fn router(auth: &Auth) -> (Router, OpenApi) {
    let identity = auth.identity.layer();
    let api = api::open().merge(api::verified().layer(identity.clone()));
    let (api, openapi) = api.split_for_parts();
    let mut router = match auth.issuing {
        Issuing::Own => own_issuer().route(
            paths::USERINFO,
            get(userinfo::answer).post(userinfo::answer).layer(identity),
        ),
        Issuing::Elsewhere(_) => issuer_elsewhere(),
    };
    router = router
        .route(
            paths::ACTIVATE,
            get(account_pages::activate).post(account_pages::submit_activation),
        )
        .route(
            paths::RESET,
            get(account_pages::reset).post(account_pages::submit_reset),
        )
        .route(
            paths::FORGOT,
            get(account_pages::forgot).post(account_pages::submit_forgot),
        )
        .route(paths::STYLESHEET, get(browser::stylesheet));
    if auth.mailbox.is_some() {
        router = router.route(paths::DEV_MAIL, get(dev_mail::list));
    }
    let router = router
        .merge(api)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
    (router.with_state(auth.clone()), openapi)
}

/// What an issuer answers, without the endpoint that takes its own tokens.
fn own_issuer() -> Router<Auth> {
    Router::new()
        .route(paths::DISCOVERY, get(discovery::configuration))
        .route(paths::JWKS, get(discovery::jwks))
        .route(
            paths::AUTHORIZE,
            get(authorize::by_query).post(authorize::by_form),
        )
        .route(paths::SIGN_IN, post(sign_in_page::submit))
        .route(paths::TOKEN, post(token::exchange))
        .route(paths::REVOKE, post(revoke::revoke))
        .route(
            paths::LOGOUT,
            get(sign_out::by_query).post(sign_out::by_form),
        )
        .route(paths::SIGN_OUT, post(sign_out::submit))
}

/// What is answered in an issuer's stead, and what the issuer tells us.
fn issuer_elsewhere() -> Router<Auth> {
    let router = Router::new().route(paths::BACKCHANNEL_LOGOUT, post(backchannel_logout::submit));
    paths::OF_AN_ISSUER
        .iter()
        .fold(router, |router, path| router.route(path, any(not_here)))
}

async fn not_here(State(auth): State<Auth>) -> Problem {
    let problem = auth.issuing.elsewhere();
    problem.unwrap_or_else(|| Problem::new(Code::NotFound, "no such address"))
}
